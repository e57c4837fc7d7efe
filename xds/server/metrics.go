package server

import (
	"fmt"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics have no label of a node: there are thousands.
type metrics struct {
	streams    prometheus.Gauge
	pushes     *prometheus.CounterVec
	resources  *prometheus.CounterVec
	removals   *prometheus.CounterVec
	nacks      *prometheus.CounterVec
	ackSeconds *prometheus.HistogramVec
}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(
			prometheus.CounterOpts{Namespace: "octavia_envoy", Subsystem: "xds", Name: name, Help: help}, []string{"type"})
	}
	m := &metrics{
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "octavia_envoy", Subsystem: "xds", Name: "streams", Help: "Open ADS streams.",
		}),
		pushes:    counter("pushes_total", "Messages with at least one resource or removal sent to an Envoy."),
		resources: counter("resources_sent_total", "Resources sent to Envoys."),
		removals:  counter("removals_sent_total", "Removals of resources sent to Envoys."),
		nacks:     counter("nacks_total", "Messages that an Envoy refused, in whole or in part."),
		ackSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "octavia_envoy", Subsystem: "xds", Name: "ack_seconds",
			Help:    "Time from sending a message to its ACK or NACK.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"type"}),
	}
	for _, typeURL := range []string{
		resource.SecretType, resource.EndpointType, resource.ClusterType, resource.RouteType, resource.ListenerType,
	} {
		kind := Kind(typeURL)
		m.ackSeconds.WithLabelValues(kind) // shown as 0 before the first, as are the counters
		for _, vector := range []*prometheus.CounterVec{m.pushes, m.resources, m.removals, m.nacks} {
			vector.WithLabelValues(kind)
		}
	}
	if registry == nil {
		return m, nil
	}
	for _, collector := range []prometheus.Collector{m.streams, m.pushes, m.resources, m.removals, m.nacks, m.ackSeconds} {
		if err := registry.Register(collector); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) sent(resp *discoveryv3.DeltaDiscoveryResponse) {
	kind := Kind(resp.GetTypeUrl())
	set, removed := len(resp.GetResources()), len(resp.GetRemovedResources())
	if set+removed == 0 {
		return
	}
	m.pushes.WithLabelValues(kind).Inc()
	m.resources.WithLabelValues(kind).Add(float64(set))
	m.removals.WithLabelValues(kind).Add(float64(removed))
}

func (m *metrics) answered(typeURL string, after time.Duration) {
	m.ackSeconds.WithLabelValues(Kind(typeURL)).Observe(after.Seconds())
}
