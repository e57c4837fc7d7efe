package ocsp

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// The states of a certificate that has a responder.
const (
	stateStapled = "stapled"
	stateMissing = "missing"
	stateLate    = "late"
	stateRevoked = "revoked"
)

// How a question to a responder ends.
const (
	outcomeGood    = "good"
	outcomeRevoked = "revoked"
	outcomeRefused = "refused"
	outcomeFailed  = "failed"
)

type metrics struct {
	fetches *prometheus.CounterVec
}

func newMetrics(registry prometheus.Registerer, states func() map[string]int) metrics {
	m := metrics{fetches: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "octavia_envoy_ocsp_fetches_total", Help: "Questions to OCSP responders, by how they ended: good, revoked, refused (not a public address) or failed.",
	}, []string{"outcome"})}
	for _, outcome := range []string{outcomeGood, outcomeRevoked, outcomeRefused, outcomeFailed} {
		m.fetches.WithLabelValues(outcome) // shown as 0 before the first
	}
	if registry != nil {
		registry.MustRegister(m.fetches, collector{states})
	}
	return m
}

func (m metrics) fetched(err error) {
	outcome := outcomeGood
	switch {
	case errors.Is(err, ErrRevoked):
		outcome = outcomeRevoked
	case errors.Is(err, errNotAllowed):
		outcome = outcomeRefused
	case err != nil:
		outcome = outcomeFailed
	}
	m.fetches.WithLabelValues(outcome).Inc()
}

// collector counts the certificates when it is asked.
type collector struct{ states func() map[string]int }

func (c collector) description() *prometheus.Desc {
	return prometheus.NewDesc("octavia_envoy_ocsp_certificates",
		"Certificates with an OCSP responder: stapled, missing (no response yet), late (out of date, not stapled) or revoked.", []string{"state"}, nil)
}

// Describe implements prometheus.Collector.
func (c collector) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- c.description() }

// Collect implements prometheus.Collector.
func (c collector) Collect(all chan<- prometheus.Metric) {
	counts := c.states()
	for _, state := range []string{stateStapled, stateMissing, stateLate, stateRevoked} {
		all <- prometheus.MustNewConstMetric(c.description(), prometheus.GaugeValue, float64(counts[state]), state)
	}
}

// states counts the watched certificates.
func (s *Stapler) states() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[string]int{}
	for _, w := range s.watched {
		counts[w.state(s.Now())]++
	}
	return counts
}

// State says how a certificate is stapled: stapled, missing, late or revoked, and until when its response is good; "" for a
// certificate that has no responder, or that no load balancer uses.
func (s *Stapler) State(container *model.TLSContainer) (state string, until time.Time) {
	about, err := subjectOf(container)
	if err != nil {
		return "", time.Time{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.watched[about.fingerprint]
	if w == nil {
		return "", time.Time{}
	}
	return w.state(s.Now()), w.until
}

func (w *watched) state(now time.Time) string {
	switch {
	case w.revoked:
		return stateRevoked
	case w.response == nil:
		return stateMissing
	case !w.until.After(now):
		return stateLate
	}
	return stateStapled
}
