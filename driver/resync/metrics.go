package resync

import "github.com/prometheus/client_golang/prometheus"

// Why an intent was added: a load balancer that is PENDING, one that the store does not know, a child that is PENDING
// below an ACTIVE load balancer, a load balancer that Octavia does not have any more.
const (
	reasonPending = "pending"
	reasonUnknown = "unknown"
	reasonChild   = "child"
	reasonOrphan  = "orphan"
)

type metrics struct {
	rounds  *prometheus.CounterVec
	intents *prometheus.CounterVec
}

func newMetrics(registry prometheus.Registerer) metrics {
	m := metrics{
		rounds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "octavia_envoy_resync_rounds_total",
			Help: "Comparisons of the store with Octavia, by outcome.",
		}, []string{"outcome"}),
		intents: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "octavia_envoy_resync_intents_total",
			Help: "Intents that the resync had to add, by reason; each is a call that got lost.",
		}, []string{"reason"}),
	}
	for _, outcome := range []string{"ok", "error"} {
		m.rounds.WithLabelValues(outcome)
	}
	for _, reason := range []string{reasonPending, reasonUnknown, reasonChild, reasonOrphan} {
		m.intents.WithLabelValues(reason)
	}
	if registry != nil {
		registry.MustRegister(m.rounds, m.intents)
	}
	return m
}
