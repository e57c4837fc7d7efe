package reconcile

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
)

// manyStored is a store that holds so many load balancers, with two amphorae each; the first has no tree.
type manyStored struct {
	Store
	count, reads int
}

func (m *manyStored) LoadBalancers(context.Context) ([]store.LoadBalancer, error) {
	all := make([]store.LoadBalancer, m.count)
	for i := range all {
		tree := tree()
		tree.ID = fmt.Sprintf("lb%d", i)
		all[i] = store.LoadBalancer{ID: tree.ID, Revision: int64(i), Tree: tree}
	}
	all[0].Tree = nil
	return all, nil
}

func (m *manyStored) Amphorae(_ context.Context, lbID string) ([]model.Amphora, error) {
	m.reads++
	var all []model.Amphora
	for i := range m.count {
		for _, side := range []string{"a", "b"} {
			if id := fmt.Sprintf("lb%d", i); lbID == "" || lbID == id {
				all = append(all, model.Amphora{ID: id + side, LoadBalancerID: id})
			}
		}
	}
	return all, nil
}

func TestRestoreOfMany(t *testing.T) {
	w, many := &world{}, &manyStored{count: 40}
	loop := New(Options{Store: many, Publisher: w, Parallel: 1, Logger: slog.New(slog.DiscardHandler)})
	if err := loop.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	slices.Sort(w.restored)
	if restored := slices.Compact(w.restored); len(restored) != 2*(many.count-1) || slices.Contains(restored, "lb0a") {
		t.Errorf("restored: %v", restored)
	}
	if many.reads != 1 {
		t.Errorf("the amphorae were read %d times", many.reads)
	}
	if revision := loop.revision("lb7b"); revision != 7 {
		t.Errorf("the revision of lb7b is %d", revision)
	}
}
