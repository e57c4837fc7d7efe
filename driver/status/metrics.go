package status

import "github.com/prometheus/client_golang/prometheus"

// Outcomes of a message and reasons for leaving out a record, as labels.
const (
	outcomeSent    = "sent"
	outcomeFailed  = "failed"
	outcomeDropped = "dropped"
	reasonGone     = "gone"
	reasonRefused  = "refused"
)

type senderMetrics struct {
	messages *prometheus.CounterVec
	records  *prometheus.CounterVec
	seconds  prometheus.Histogram
	oldest   prometheus.Gauge
}

func newSenderMetrics(registry prometheus.Registerer) senderMetrics {
	m := senderMetrics{
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "octavia_envoy_status_messages_total",
			Help: "Attempts to send a status message to Octavia, by outcome: sent, failed (tried again), dropped (superseded).",
		}, []string{"outcome"}),
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "octavia_envoy_status_records_left_out_total",
			Help: "Records that Octavia could not take, by reason: gone (no such object), refused (a bug: see the log).",
		}, []string{"reason"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "octavia_envoy_status_send_seconds",
			Help:    "Time to send a status message to the driver-agent.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 13),
		}),
		oldest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "octavia_envoy_status_outbox_oldest_seconds",
			Help: "Age of the oldest status message that is not sent.",
		}),
	}
	for _, outcome := range []string{outcomeSent, outcomeFailed, outcomeDropped} {
		m.messages.WithLabelValues(outcome)
	}
	for _, reason := range []string{reasonGone, reasonRefused} {
		m.records.WithLabelValues(reason)
	}
	if registry != nil {
		registry.MustRegister(m.messages, m.records, m.seconds, m.oldest)
	}
	return m
}
