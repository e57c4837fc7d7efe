package publish

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics measures where the time of a Publish goes: how long Envoys take to acknowledge, and to get ready.
type Metrics struct {
	seconds *prometheus.HistogramVec
}

// NewMetrics makes the metrics of a Publisher and registers them, unless registry is nil.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "octavia_envoy_publish_phase_seconds",
		Help: "Time of each phase of a publication to an amphora, failed ones included: widen (clusters acknowledged), warm (Envoy " +
			"is ready for traffic), shift (routes and listeners acknowledged), narrow (what is left over removed), relieve (endpoints removed for which others had to be checked first), retry (what was " +
			"refused a moment ago tried again).",
		Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 12),
	}, []string{"phase"})}
	for _, phase := range []string{phaseWiden, phaseWarm, phaseShift, phaseNarrow, phaseRelieve} {
		m.seconds.WithLabelValues(phase) // shown as 0 before the first
	}
	if registry != nil {
		registry.MustRegister(m.seconds)
	}
	return m
}

// timed starts to measure a phase; what it returns ends that.
func (m *Metrics) timed(phase string) func() {
	if m == nil {
		return func() {}
	}
	begin := time.Now()
	return func() { m.seconds.WithLabelValues(phase).Observe(time.Since(begin).Seconds()) }
}
