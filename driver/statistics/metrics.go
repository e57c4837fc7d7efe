package statistics

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	messages  *prometheus.CounterVec
	listeners prometheus.Counter
}

// Outcomes of a message, as label `outcome`.
const (
	outcomeTaken  = "taken"
	outcomeFailed = "failed"
)

func newMetrics(registry prometheus.Registerer) metrics {
	m := metrics{
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "octavia_envoy_statistics_messages_total",
			Help: "Messages with listeners' statistics to Octavia's driver-agent, by outcome: taken, or failed and to be repeated.",
		}, []string{"outcome"}),
		listeners: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "octavia_envoy_statistics_listeners_total",
			Help: "Statistics of listeners that Octavia's driver-agent took.",
		}),
	}
	for _, outcome := range []string{outcomeTaken, outcomeFailed} {
		m.messages.WithLabelValues(outcome) // shown as 0 before the first
	}
	if registry != nil {
		registry.MustRegister(m.messages, m.listeners)
	}
	return m
}

func (m *metrics) told(listeners int, err error) {
	if err != nil {
		m.messages.WithLabelValues(outcomeFailed).Inc()
		return
	}
	m.messages.WithLabelValues(outcomeTaken).Inc()
	m.listeners.Add(float64(listeners))
}
