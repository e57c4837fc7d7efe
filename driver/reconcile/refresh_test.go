package reconcile

import (
	"errors"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// TestRefresh brings up to date what Octavia did not ask for: it is published, and Octavia, which waits for nothing, is told
// nothing; and a refresh that fails is tried again and puts nothing into ERROR.
func TestRefresh(t *testing.T) {
	w := start(t, func(o *Options) { o.Deadline = time.Millisecond })
	w.set(func() { w.tree = tree() })
	w.intend(t, model.OpCreate, lbRef)
	w.next(t)
	publishes := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.published)
	}
	idle := func() bool {
		intents, err := w.store.Intents(t.Context(), lbID)
		return err == nil && len(intents) == 0
	}
	before := publishes()
	if err := w.store.Refresh(t.Context(), lbID); err != nil {
		t.Fatal(err)
	}
	testkit.Until(t, "the refresh to end", func() bool { return publishes() > before && idle() })

	w.set(func() { w.ensure = errors.New("no amphora") })
	if err := w.store.Refresh(t.Context(), lbID); err != nil {
		t.Fatal(err)
	}
	testkit.Until(t, "the failure to be noted", func() bool {
		known, err := w.store.LoadBalancer(t.Context(), lbID)
		return err == nil && known.LastError != "" && known.RetryAt != nil && idle()
	})
	known, err := w.store.LoadBalancer(t.Context(), lbID)
	if err != nil || known.ProvisioningStatus != model.ProvisioningActive {
		t.Errorf("the load balancer is %s, %v", known.ProvisioningStatus, err)
	}
	before = publishes()
	w.set(func() { w.ensure = nil })
	testkit.Until(t, "another try", func() bool {
		known, err := w.store.LoadBalancer(t.Context(), lbID)
		return err == nil && known.LastError == "" && publishes() > before
	})
	if messages, err := w.store.Outbox(t.Context(), time.Now()); err != nil || len(messages) > 0 {
		t.Errorf("Octavia is told %v, %v", messages, err)
	}
}
