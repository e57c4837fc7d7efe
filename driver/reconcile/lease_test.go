package reconcile

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// A replica that lost its lease in the middle of an attempt, since its machine stood still, writes nothing of what it read
// before, and begins anew when the other one is done.
func TestLeaseLostInAnAttempt(t *testing.T) {
	registry := prometheus.NewRegistry()
	w := start(t, func(o *Options) { o.Registry = registry })
	w.set(func() {
		w.tree = tree()
		w.overtake = func() {
			w.overtake = nil
			// What another replica does while this one stands still.
			if err := w.store.ReleaseLease(t.Context(), lbID, "test"); err != nil {
				t.Error(err)
			}
			if got, err := w.store.AcquireLease(t.Context(), lbID, "another", time.Minute); err != nil || !got {
				t.Error(got, err)
			}
		}
	})
	w.intend(t, model.OpCreate, lbRef)
	testkit.Until(t, "the attempt has failed", func() bool { return failed(t, registry) > 0 })
	w.set(func() {
		if len(w.published) != 1 {
			t.Errorf("%d publications", len(w.published))
		}
	})
	known, err := w.store.LoadBalancer(t.Context(), lbID)
	if err != nil || known.Tree != nil {
		t.Errorf("stored: %+v, error %v", known, err)
	}
	if messages, err := w.store.Outbox(t.Context(), time.Now()); err != nil || len(messages) != 0 {
		t.Errorf("reported: %+v, error %v", messages, err)
	}
	if err := w.store.ReleaseLease(t.Context(), lbID, "another"); err != nil {
		t.Fatal(err)
	}
	if update := w.next(t); provisioning(update.LoadBalancers) != model.ProvisioningActive {
		t.Errorf("reported: %+v", update)
	}
}

// failed counts the attempts that ended with an error.
func failed(t *testing.T, registry *prometheus.Registry) (count uint64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "octavia_envoy_reconcile_attempt_seconds" && m.GetLabel()[0].GetValue() == outcomeError {
				count = m.GetHistogram().GetSampleCount()
			}
		}
	}
	return count
}
