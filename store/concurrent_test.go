package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
)

// Two controllers on one database, many calls at once for the same and for different load balancers: all are accepted.
func TestAddIntentAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		stores := []*store.Store{storetest.Open(t, dsn), storetest.Open(t, dsn)}
		const goroutines, each = 8, 8
		same := newID()
		ids := make([][]int64, len(stores)*goroutines)
		var group errgroup.Group
		for worker := range ids {
			s := stores[worker%len(stores)]
			group.Go(func() error {
				for i := range each {
					lb := same
					if i%2 == 1 {
						lb = newID()
					}
					id, err := s.AddIntent(t.Context(), model.Intent{LoadBalancerID: lb, Op: model.OpUpdate}, store.Audit{})
					if err != nil {
						return err
					}
					ids[worker] = append(ids[worker], id)
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		all := slices.Concat(ids...)
		slices.Sort(all)
		if len(slices.Compact(all)) != len(ids)*each {
			t.Errorf("%d different ids, want %d", len(slices.Compact(all)), len(ids)*each)
		}
		intents, err := stores[0].Intents(t.Context(), same)
		if err != nil || len(intents) != len(ids)*each/2 {
			t.Errorf("%d intents of the shared load balancer, %v; want %d", len(intents), err, len(ids)*each/2)
		}
		work, err := stores[1].LoadBalancersWithWork(t.Context())
		if err != nil || len(work) != 1+len(ids)*each/2 {
			t.Errorf("%d load balancers with work, %v; want %d", len(work), err, 1+len(ids)*each/2)
		}
	})
}

// Each of many different trees that come at once, the first of their load balancer, has a revision of its own.
func TestFirstTreesAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		stores := []*store.Store{storetest.Open(t, dsn), storetest.Open(t, dsn)}
		for range 5 {
			lb := newID()
			revisions := make([]int64, 6)
			var group errgroup.Group
			for i := range revisions {
				group.Go(func() (err error) {
					tree := bigTree(lb, 3)
					tree.Name = strconv.Itoa(i)
					revisions[i], err = stores[i%2].SaveTree(t.Context(), tree)
					return err
				})
			}
			if err := group.Wait(); err != nil {
				t.Fatal(err)
			}
			slices.Sort(revisions)
			if !slices.Equal(revisions, []int64{1, 2, 3, 4, 5, 6}) {
				t.Errorf("revisions %v, want 1 to 6", revisions)
			}
		}
	})
}

// API, reconcilers and senders of two controllers in each other's way: nothing fails, and what was accepted is either
// still there or finished by somebody.
func TestEverythingAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		stores := []*store.Store{storetest.Open(t, dsn), storetest.Open(t, dsn)}
		lbs := []string{newID(), newID()}
		const rounds = 10
		var group errgroup.Group
		for i, s := range stores {
			for _, lb := range lbs {
				group.Go(func() error {
					for range rounds {
						if _, err := s.AddIntent(t.Context(), model.Intent{LoadBalancerID: lb}, store.Audit{}); err != nil {
							return err
						}
					}
					return nil
				})
				group.Go(func() error {
					for round := range rounds {
						if err := reconcileOnce(t, s, lb, fmt.Sprint(i, round)); err != nil {
							return err
						}
					}
					return nil
				})
			}
			group.Go(func() error {
				for range rounds {
					if err := sendOnce(t, s); err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		for _, lb := range lbs {
			if err := reconcileOnce(t, stores[0], lb, "last"); err != nil {
				t.Fatal(err)
			}
		}
		wantWork(t, stores[1])
		for range 2 * rounds * len(stores) {
			if err := sendOnce(t, stores[1]); err != nil {
				t.Fatal(err)
			}
		}
		if rest, err := stores[0].Outbox(t.Context(), newClock().now()); err != nil || len(rest) != 0 {
			t.Errorf("the outbox still has %v, %v", rest, err)
		}
	})
}

func reconcileOnce(t *testing.T, s *store.Store, lb, name string) error {
	intents, err := s.Intents(t.Context(), lb)
	if err != nil {
		return err
	}
	ids := make([]int64, len(intents))
	for i := range intents {
		ids[i] = intents[i].ID
	}
	tree := bigTree(lb, 5)
	tree.Name = name
	for range 2 {
		tree.Pools[0].Members = append(tree.Pools[0].Members, model.Member{ID: newID()})
	}
	if _, err := s.SaveTree(t.Context(), tree); err != nil {
		return err
	}
	return s.Finish(t.Context(), store.Finish{LoadBalancerID: lb, IntentIDs: ids, Status: statusOf(lb, model.ProvisioningActive)})
}

func sendOnce(t *testing.T, s *store.Store) error {
	messages, err := s.Outbox(t.Context(), newClock().now())
	if err != nil {
		return err
	}
	for _, message := range messages {
		if _, err := s.HasNewerIntent(t.Context(), message); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err := s.OutboxSent(t.Context(), message.ID); err != nil {
			return err
		}
	}
	return nil
}
