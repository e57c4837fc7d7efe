package reconcile

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Outcomes of an attempt, as label `outcome`.
const (
	outcomeOK    = "ok"
	outcomeError = "error"
)

type metrics struct {
	seconds *prometheus.HistogramVec
	working prometheus.Gauge
	panics  prometheus.Counter
}

func newMetrics(registry prometheus.Registerer, waiting func() int) metrics {
	m := metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "octavia_envoy_reconcile_attempt_seconds",
			Help:    "Time of an attempt to bring a load balancer to what Octavia wants, by its outcome.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 13),
		}, []string{"outcome"}),
		working: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "octavia_envoy_reconcile_load_balancers",
			Help: "Load balancers that are being worked on, or wait for their turn.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "octavia_envoy_reconcile_panics_total",
			Help: "Panics that were caught while reconciling a load balancer; each is a bug.",
		}),
	}
	for _, outcome := range []string{outcomeOK, outcomeError} {
		m.seconds.WithLabelValues(outcome) // shown as 0 before the first
	}
	if registry != nil {
		registry.MustRegister(m.seconds, m.working, m.panics, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "octavia_envoy_reconcile_waiting",
			Help: "Load balancers whose work waits for a turn: reconcile.parallel are worked on at once, of one project at most half of them.",
		}, func() float64 { return float64(waiting()) }))
	}
	return m
}

func (m metrics) observe(took time.Duration, err error) {
	outcome := outcomeOK
	if err != nil {
		outcome = outcomeError
	}
	m.seconds.WithLabelValues(outcome).Observe(took.Seconds())
}
