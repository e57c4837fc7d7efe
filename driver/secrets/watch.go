package secrets

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
)

// Store is what a Watch needs of package store.
type Store interface {
	LoadBalancers(ctx context.Context) ([]store.LoadBalancer, error)
	Refresh(ctx context.Context, lbID string) error
}

// Watch looks after the certificates in use: it has load balancers read their secrets again from time to time, because
// nobody tells when one changes behind its reference (Vault by Castellan does that), and it warns before a certificate ends.
type Watch struct {
	Store Store
	// Interval is that between two rounds.
	Interval time.Duration
	// WarnBefore is how long before its end a certificate is warned of.
	WarnBefore time.Duration
	// Wake is called when there is something to reconcile.
	Wake   func()
	Logger *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time

	mu     sync.Mutex
	counts map[Validity]int
	// next is the end of the certificate that ends first; zero when there is none.
	next time.Time
}

// Validity is how much of a certificate's life is left.
type Validity string

// The validities, worst first.
const (
	Expired  Validity = "expired"
	Expiring Validity = "expiring"
	Valid    Validity = "valid"
)

// Of returns the validity and the end of a certificate; "" for what is none.
func (w *Watch) Of(container *model.TLSContainer) (Validity, time.Time) {
	block, _ := pem.Decode([]byte(container.Certificate))
	if block == nil {
		return "", time.Time{}
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", time.Time{}
	}
	switch left := certificate.NotAfter.Sub(w.now()); {
	case left <= 0:
		return Expired, certificate.NotAfter
	case left <= w.WarnBefore:
		return Expiring, certificate.NotAfter
	}
	return Valid, certificate.NotAfter
}

func (w *Watch) now() time.Time {
	if w.Now != nil {
		return w.Now()
	}
	return time.Now()
}

// Run goes its rounds until the context ends. The first is at once: it only counts and warns, as everything has just been read.
func (w *Watch) Run(ctx context.Context) error {
	for first := true; ; first = false {
		if err := w.round(ctx, !first); err != nil && ctx.Err() == nil {
			w.Logger.WarnContext(ctx, "look after the certificates", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(w.Interval):
		}
	}
}

func (w *Watch) round(ctx context.Context, refresh bool) error {
	all, err := w.Store.LoadBalancers(ctx)
	if err != nil {
		return err
	}
	counts, next := map[Validity]int{}, time.Time{}
	for _, lb := range all {
		if lb.Tree == nil {
			continue
		}
		places := lb.Tree.Secrets()
		for _, place := range places {
			container := place.Certificate()
			if container == nil {
				continue
			}
			validity, end := w.Of(container)
			if validity == "" {
				continue
			}
			counts[validity]++
			if next.IsZero() || end.Before(next) {
				next = end
			}
			if validity != Valid {
				w.Logger.WarnContext(ctx, "a certificate ends", "validity", validity, "lb", lb.ID, "certificate", place.Name(), "ref", place.URL,
					"not_after", end.UTC().Format(time.RFC3339))
			}
		}
		if refresh && len(places) > 0 {
			if err := w.Store.Refresh(ctx, lb.ID); err != nil {
				return err
			}
		}
	}
	w.mu.Lock()
	w.counts, w.next = counts, next
	w.mu.Unlock()
	if refresh {
		w.Wake()
	}
	return nil
}

// Describe implements prometheus.Collector.
func (w *Watch) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- countDescription()
	descriptions <- endDescription()
}

// Collect implements prometheus.Collector.
func (w *Watch) Collect(metrics chan<- prometheus.Metric) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, validity := range []Validity{Expired, Expiring, Valid} {
		metrics <- prometheus.MustNewConstMetric(countDescription(), prometheus.GaugeValue, float64(w.counts[validity]), string(validity))
	}
	if !w.next.IsZero() {
		metrics <- prometheus.MustNewConstMetric(endDescription(), prometheus.GaugeValue, float64(w.next.Unix()))
	}
}

func countDescription() *prometheus.Desc {
	return prometheus.NewDesc("octavia_envoy_certificates",
		"Certificates of load balancers: expired, expiring (within secrets.warn_before) or valid.", []string{"validity"}, nil)
}

func endDescription() *prometheus.Desc {
	return prometheus.NewDesc("octavia_envoy_certificate_first_expiry_timestamp_seconds",
		"When the certificate of a load balancer ends that ends first.", nil, nil)
}
