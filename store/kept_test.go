package store_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

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

// What was reported is decoded once, too: what one controller writes, another reads, though it had kept what was there before.
func TestStatusesOfAnotherController(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		one, other := storetest.Open(t, dsn), storetest.Open(t, dsn)
		tree := bigTree(newID(), 100)
		save(t, one, tree, 1)
		members := tree.Pools[0].Members
		finish := func(s *store.Store, status model.StatusUpdate) {
			t.Helper()
			if err := s.Finish(t.Context(), store.Finish{LoadBalancerID: tree.ID, Status: status}); err != nil {
				t.Fatal(err)
			}
		}
		update := func(operating model.OperatingStatus, provisioning model.ProvisioningStatus, members ...model.Member) model.StatusUpdate {
			var update model.StatusUpdate
			for _, member := range members {
				update.Members = append(update.Members,
					model.ObjectStatus{ID: member.ID, OperatingStatus: operating, ProvisioningStatus: provisioning})
			}
			return update
		}
		want := map[model.Ref]model.OperatingStatus{}
		for _, member := range members {
			want[model.Ref{Kind: model.KindMember, ID: member.ID}] = model.OperatingOnline
		}
		last := model.Ref{Kind: model.KindMember, ID: members[99].ID}
		var given, then []map[model.Ref]model.OperatingStatus
		for _, step := range []struct {
			what   string
			status model.StatusUpdate
			want   model.OperatingStatus
		}{
			{"the first of all", update(model.OperatingOnline, "", members...), model.OperatingOnline},
			{"another status", update(model.OperatingError, "", members[99]), model.OperatingError},
			{"the same again", update(model.OperatingError, model.ProvisioningActive, members[99]), model.OperatingError},
			{"no operating status", update("", model.ProvisioningError, members[99]), model.OperatingError},
			{"back", update(model.OperatingOnline, "", members[99]), model.OperatingOnline},
			{"deleted", update("", model.ProvisioningDeleted, members[99]), ""},
			{"deleted again", update("", model.ProvisioningDeleted, members[99]), ""},
		} {
			finish(one, step.status)
			if want[last] = step.want; step.want == "" {
				delete(want, last)
			}
			for _, s := range []*store.Store{one, other} {
				health, err := s.Health(t.Context(), tree.ID)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, health.Reported); diff != "" {
					t.Errorf("%s (-want +got):\n%s", step.what, diff)
				}
				given, then = append(given, health.Reported), append(then, maps.Clone(want))
			}
		}
		if diff := cmp.Diff(then, given); diff != "" {
			t.Errorf("what was given out has changed since (-want +got):\n%s", diff)
		}
	})
}

// Whoever changes what he was only to read is found out: see storetest.
func TestChangedTrees(t *testing.T) {
	s := storetest.Open(t, storetest.SQLite(t))
	tree := bigTree(newID(), 100)
	save(t, s, tree, 1)
	lb, err := s.LoadBalancer(t.Context(), tree.ID)
	if err != nil {
		t.Fatal(err)
	}
	var update model.StatusUpdate
	for _, member := range lb.Tree.Pools[0].Members {
		update.Members = append(update.Members, model.ObjectStatus{ID: member.ID, OperatingStatus: model.OperatingOnline})
	}
	if err := s.Finish(t.Context(), store.Finish{LoadBalancerID: tree.ID, Status: update}); err != nil {
		t.Fatal(err)
	}
	health, err := s.Health(t.Context(), tree.ID)
	if err != nil {
		t.Fatal(err)
	}
	ref := model.Ref{Kind: model.KindMember, ID: update.Members[0].ID}
	for what, change := range map[string]func() (undo func()){
		"the tree": func() func() {
			lb.Tree.Pools[0].Members[0].Weight++
			return func() { lb.Tree.Pools[0].Members[0].Weight-- }
		},
		"what was reported": func() func() {
			health.Reported[ref] = model.OperatingError
			return func() { health.Reported[ref] = model.OperatingOnline }
		},
	} {
		undo := change()
		if got := s.ChangedTrees(); !slices.Equal(got, []string{tree.ID}) {
			t.Errorf("%s was changed, ChangedTrees = %v", what, got)
		}
		undo()
		if got := s.ChangedTrees(); len(got) > 0 {
			t.Errorf("%s was changed back, ChangedTrees = %v", what, got)
		}
	}
}
