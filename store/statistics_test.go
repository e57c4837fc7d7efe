package store_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
)

func TestStatistics(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s, ctx := storetest.Open(t, dsn), t.Context()
		tree := &model.LoadBalancer{ID: newID(), Listeners: []model.Listener{{ID: newID()}}}
		amphora, listener := newID(), tree.Listeners[0].ID
		nothing := func(store.Counted) { t.Error("the change of a load balancer that does not exist is made") }
		if err := s.UpdateStatistics(ctx, tree.ID, nothing); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("without a load balancer: %v", err)
		}
		if _, err := s.SaveTree(ctx, tree); err != nil {
			t.Fatal(err)
		}
		if err := s.PutAmphora(ctx, model.Amphora{ID: amphora, LoadBalancerID: tree.ID}); err != nil {
			t.Fatal(err)
		}
		update := func(change func(store.Counted)) {
			t.Helper()
			if err := s.UpdateStatistics(ctx, tree.ID, change); err != nil {
				t.Fatal(err)
			}
		}
		want := func(statistics model.LoadBalancerStatistics) {
			t.Helper()
			all, err := s.Statistics(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(statistics, all[tree.ID]); diff != "" {
				t.Errorf("statistics (-want +got):\n%s", diff)
			}
		}
		counted := model.AmphoraStatistics{Epoch: "1", Listeners: map[string]model.ListenerStatistics{listener: {
			ActiveConnections: 1, Before: model.Counters{BytesIn: 1 << 63},
			Now: model.Counters{TotalConnections: 2, Responses: [5]uint64{0, 3}, RequestTimes: []model.TimeBucket{{UpperBound: 0.5, Count: 3}}},
		}}}
		update(func(now store.Counted) {
			exists := store.Counted{
				Statistics: model.LoadBalancerStatistics{}, Amphorae: map[string]bool{amphora: true}, Listeners: map[string]bool{listener: true},
			}
			if diff := cmp.Diff(exists, now); diff != "" {
				t.Errorf("at first (-want +got):\n%s", diff)
			}
			now.Statistics[amphora], now.Statistics[""] = counted, model.AmphoraStatistics{Epoch: "past"}
		})
		want(model.LoadBalancerStatistics{amphora: counted, "": {Epoch: "past"}})
		update(func(now store.Counted) {
			delete(now.Statistics, "")
			// In place: what was read before must not change with it.
			now.Statistics[amphora].Listeners[listener] = model.ListenerStatistics{ActiveConnections: 7}
		})
		counted.Listeners[listener] = model.ListenerStatistics{ActiveConnections: 7}
		want(model.LoadBalancerStatistics{amphora: counted})

		// What does not change is not written.
		written := func() string {
			var at any
			if err := s.DB().Table("amphora_statistics").Select("updated_at").Row().Scan(&at); err != nil {
				t.Fatal(err)
			}
			return fmt.Sprint(at)
		}
		before := written()
		update(func(store.Counted) {})
		if after := written(); after != before {
			t.Errorf("what has not changed since %s was written again: %s", before, after)
		}

		if err := s.Finish(ctx, store.Finish{LoadBalancerID: tree.ID, Deleted: true}); err != nil {
			t.Fatal(err)
		}
		want(nil)
	})
}
