package status

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// What is asked of the driver-agent, as label `request`.
const (
	requestBarrier = "barrier"
	requestGet     = "get"
	requestUpdate  = "update"
)

// AgentMetrics measures the driver-agent's share of a change: what Octavia takes and the controller can only wait for.
type AgentMetrics struct {
	seconds *prometheus.HistogramVec
}

// NewAgentMetrics makes the metrics of an Agent and registers them, unless registry is nil.
func NewAgentMetrics(registry prometheus.Registerer) *AgentMetrics {
	m := &AgentMetrics{seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "octavia_envoy_driver_agent_seconds",
		Help: "Time until Octavia's driver-agent has answered or failed, by request: barrier (a provider call's commit awaited), " +
			"get (an object read), update (statuses reported).",
		Buckets: prometheus.ExponentialBuckets(0.01, 2, 13),
	}, []string{"request"})}
	for _, request := range []string{requestBarrier, requestGet, requestUpdate} {
		m.seconds.WithLabelValues(request) // shown as 0 before the first
	}
	if registry != nil {
		registry.MustRegister(m.seconds)
	}
	return m
}

// timed starts to measure a request; what it returns ends that.
func (m *AgentMetrics) timed(request string) func() {
	if m == nil {
		return func() {}
	}
	begin := time.Now()
	return func() { m.seconds.WithLabelValues(request).Observe(time.Since(begin).Seconds()) }
}
