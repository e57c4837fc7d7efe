package store_test

import (
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
)

// Two controllers on one database: what one writes, the other reads, though it had kept what was there before. A bundle is
// in no tree's text, and so is renewed without a new revision.
func TestTreesOfAnotherController(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		keys := storetest.Keys(t, "test")
		one := storetest.OpenWith(t, store.Options{DSN: dsn, Keys: keys})
		other := storetest.OpenWith(t, store.Options{DSN: dsn, Keys: keys})
		id := newID()
		tree := func(name string, bundle model.PEM) *model.LoadBalancer {
			return &model.LoadBalancer{ID: id, Name: name, Listeners: []model.Listener{
				{ID: "11111111-1111-4111-8111-111111111111", ClientCATLSContainerRef: "ref", ClientCATLSContainer: bundle},
			}}
		}
		read := func(s *store.Store) *model.LoadBalancer {
			t.Helper()
			lb, err := s.LoadBalancer(t.Context(), id)
			if err != nil || lb.Tree == nil {
				t.Fatal(lb, err)
			}
			return lb.Tree
		}
		for _, step := range []struct {
			name   string
			bundle model.PEM
		}{{"a", "1"}, {"a", "2"}, {"b", "2"}, {"a", "1"}} {
			if _, err := one.SaveTree(t.Context(), tree(step.name, step.bundle)); err != nil {
				t.Fatal(err)
			}
			for _, s := range []*store.Store{one, other, other} {
				got := read(s)
				if got.Name != step.name || got.Listeners[0].ClientCATLSContainer != step.bundle {
					t.Errorf("read %s with %s, want %s with %s", got.Name, got.Listeners[0].ClientCATLSContainer, step.name, step.bundle)
				}
			}
		}
		if first, second := read(other), read(other); first != second {
			t.Error("it was decoded twice")
		}
	})
}
