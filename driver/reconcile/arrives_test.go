package reconcile

import (
	"sync/atomic"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// An amphora that is connected to another replica is for that one to publish to, and taken up when it is not any more.
func TestAmphoraElsewhereIsLeftToItsReplica(t *testing.T) {
	var elsewhere atomic.Bool
	var asked atomic.Int64
	w := start(t, func(options *Options) {
		options.Elsewhere = func(model.Amphora) bool { asked.Add(1); return elsewhere.Load() }
	})
	w.set(func() { w.tree = tree() })
	w.intend(t, model.OpCreate, lbRef)
	w.next(t)
	elsewhere.Store(true)
	w.set(func() { w.tree.Name = "other"; w.published = nil })
	before := asked.Load()
	w.intend(t, model.OpUpdate, lbRef)
	testkit.Until(t, "looked at again", func() bool { return asked.Load() > before+1 })
	w.mu.Lock()
	published := len(w.published)
	w.mu.Unlock()
	if published > 0 {
		t.Fatalf("%d publications to an amphora that is not here", published)
	}
	elsewhere.Store(false)
	w.next(t)
}

// What was published here is not read again when its Envoy comes back; what another replica published is.
func TestArrivalReadsWhatIsNewOnly(t *testing.T) {
	var loop *Reconciler
	w := start(t, nil)
	loop = New(Options{Store: w.store, Publisher: w, Parallel: 1})
	w.set(func() { w.tree = tree() })
	w.intend(t, model.OpCreate, lbRef)
	w.next(t)
	for range 2 {
		if err := loop.Arrives(t.Context(), lbID); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.restored) != 1 {
		t.Fatalf("read %d times", len(w.restored))
	}
	changed := tree()
	changed.Name = "by another replica"
	if _, err := w.store.SaveTree(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	if err := loop.Arrives(t.Context(), lbID); err != nil {
		t.Fatal(err)
	}
	if len(w.restored) != 2 {
		t.Fatalf("read %d times", len(w.restored))
	}
	if err := loop.Arrives(t.Context(), "a stranger"); err != nil {
		t.Fatal(err)
	}
}
