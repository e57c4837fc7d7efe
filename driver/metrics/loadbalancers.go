// Package metrics shows how the load balancers fare, for Prometheus: one set of series a load balancer, whatever it has in
// it. What listeners, pools and members do in detail is for their owners, by a PROMETHEUS listener.
//
// METRICS.md lists these and all other metrics of the controller, and is made from what a controller registers.
package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
	"github.com/octavia-envoy/octavia-envoy/driver/amphora"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/statistics"
)

// LoadBalancers is a prometheus.Collector. It shows the load balancers whose amphorae are connected to this controller, so
// that with several controllers each load balancer is counted by one.
type LoadBalancers struct {
	// Fleet returns the agents that are or were connected.
	Fleet func() []amphora.AgentState
	// Statistics returns what listeners have counted.
	Statistics func() []statistics.LoadBalancer
	// Members returns how many members are in which operating status, by load balancer.
	Members func() map[string]map[model.OperatingStatus]int
}

// classes are the label `class` of responses.
func classes() []string { return []string{"1xx", "2xx", "3xx", "4xx", "5xx"} }

// memberStatuses are the label `status` of members: each is shown, so that a scrape has the same series every time.
func memberStatuses() []model.OperatingStatus {
	return []model.OperatingStatus{
		model.OperatingOnline, model.OperatingError, model.OperatingDegraded, model.OperatingDraining, model.OperatingOffline,
		model.OperatingNoMonitor,
	}
}

// bounds are the buckets that are shown of those that Envoy has, in seconds.
func bounds() []float64 {
	return []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
}

// What one load balancer adds to a scrape at most, whatever it has in it; METRICS.md says so.
const (
	SeriesPerLoadBalancer = 34
	// BytesPerLoadBalancer is without compression; Prometheus asks for gzip, which leaves a twentieth.
	BytesPerLoadBalancer = 4 << 10
)

const millisecondsPerSecond = 1000

func description(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("octavia_envoy_loadbalancer_"+name, help, append([]string{"loadbalancer"}, labels...), nil)
}

type descriptions struct {
	serving, active, connections, received, sent, errors, responses, seconds, members *prometheus.Desc
}

func describe() descriptions {
	return descriptions{
		serving: description("serving",
			"1 if at least one amphora's Envoy runs and is connected to this controller, otherwise 0."),
		active:      description("active_connections", "Clients' connections; sessions for UDP."),
		connections: description("connections_total", "Clients' connections that were accepted; sessions for UDP."),
		received:    description("received_bytes_total", "Bytes from clients."),
		sent:        description("sent_bytes_total", "Bytes to clients."),
		errors:      description("request_errors_total", "Requests that came to no proper end, as in Octavia's statistics."),
		responses:   description("responses_total", "Answered HTTP requests by class of status, Envoy's own answers included.", "class"),
		seconds:     description("request_duration_seconds", "Time from a request's first byte to its answer's last, of HTTP listeners."),
		members:     description("members", "Members by operating status.", "status"),
	}
}

// Describe implements prometheus.Collector.
func (l *LoadBalancers) Describe(to chan<- *prometheus.Desc) {
	d := describe()
	for _, one := range []*prometheus.Desc{
		d.serving, d.active, d.connections, d.received, d.sent, d.errors, d.responses, d.seconds, d.members,
	} {
		to <- one
	}
}

// Collect implements prometheus.Collector.
func (l *LoadBalancers) Collect(to chan<- prometheus.Metric) {
	d := describe()
	counted := map[string]statistics.LoadBalancer{}
	for _, lb := range l.Statistics() {
		counted[lb.ID] = lb
	}
	members := l.Members()
	for id, state := range l.here() {
		to <- prometheus.MustNewConstMetric(d.serving, prometheus.GaugeValue, state.serving, id)
		if !state.connected {
			continue
		}
		d.count(to, counted[id], id)
		for _, status := range memberStatuses() {
			to <- prometheus.MustNewConstMetric(
				d.members, prometheus.GaugeValue, float64(members[id][status]), id, string(status))
		}
	}
}

type presence struct {
	serving   float64
	connected bool
}

// here returns the load balancers with an agent that is or was connected to this controller.
func (l *LoadBalancers) here() map[string]presence {
	all := map[string]presence{}
	for _, agent := range l.Fleet() {
		state := all[agent.LoadBalancerID]
		if agent.Connected {
			state.connected = true
			if agent.Envoy.GetState() == agentapiv1.EnvoyStatus_RUNNING && agent.Envoy.GetXdsConnected() {
				state.serving = 1
			}
		}
		all[agent.LoadBalancerID] = state
	}
	return all
}

func (d descriptions) count(to chan<- prometheus.Metric, lb statistics.LoadBalancer, id string) {
	sum := lb.Total()
	counter := func(of *prometheus.Desc, value uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(of, prometheus.CounterValue, float64(value), append([]string{id}, labels...)...)
	}
	to <- prometheus.MustNewConstMetric(d.active, prometheus.GaugeValue, float64(sum.ActiveConnections), id)
	counter(d.connections, sum.TotalConnections)
	counter(d.received, sum.BytesIn)
	counter(d.sent, sum.BytesOut)
	counter(d.errors, sum.RequestErrors)
	for i, class := range classes() {
		counter(d.responses, sum.Responses[i], class)
	}
	var count uint64
	if last := len(sum.RequestTimes) - 1; last >= 0 {
		count = sum.RequestTimes[last].Count // it holds them all
	}
	buckets := map[float64]uint64{}
	for _, bound := range bounds() {
		buckets[bound] = 0
		for _, bucket := range sum.RequestTimes {
			if bucket.UpperBound <= bound*millisecondsPerSecond {
				buckets[bound] = bucket.Count
			}
		}
	}
	to <- prometheus.MustNewConstHistogram(d.seconds, count, float64(sum.RequestTimeSum)/millisecondsPerSecond, buckets, id)
}
