package health

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Kinds of a report, as label `kind`.
const (
	kindWhole   = "whole"
	kindChanges = "changes"
)

type metrics struct {
	reports   *prometheus.CounterVec
	changes   prometheus.Counter
	coalesced prometheus.Counter
	messages  prometheus.Counter
	oldest    prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer) metrics {
	m := metrics{
		reports: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "octavia_envoy_health_reports_total",
			Help: "Reports of amphorae on the health of members and listeners, by kind: whole, changes.",
		}, []string{"kind"}),
		changes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "octavia_envoy_health_changes_total",
			Help: "Changes of members and listeners as single amphorae see them, after coalescing within a second.",
		}),
		coalesced: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "octavia_envoy_health_changes_coalesced_total",
			Help: "Changes of members and listeners that came before Octavia had been told of earlier ones.",
		}),
		messages: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "octavia_envoy_health_messages_total",
			Help: "Status messages that changes of health gave rise to.",
		}),
		oldest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "octavia_envoy_health_unsent_oldest_seconds",
			Help: "Age of the oldest change of health that is not in a status message yet.",
		}),
	}
	m.reports.WithLabelValues(kindWhole)
	m.reports.WithLabelValues(kindChanges)
	if registry != nil {
		registry.MustRegister(m.reports, m.changes, m.coalesced, m.messages, m.oldest)
	}
	return m
}

func (m metrics) report(whole bool) {
	kind := kindChanges
	if whole {
		kind = kindWhole
	}
	m.reports.WithLabelValues(kind).Inc()
}

func (m metrics) age(oldest, now time.Time) {
	if oldest.IsZero() {
		oldest = now
	}
	m.oldest.Set(max(0, now.Sub(oldest).Seconds()))
}
