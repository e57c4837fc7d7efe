package store_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
)

func addIntent(t *testing.T, s *store.Store, intent model.Intent) int64 {
	t.Helper()
	id, err := s.AddIntent(t.Context(), intent, store.Audit{})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func finish(t *testing.T, s *store.Store, f store.Finish) {
	t.Helper()
	if err := s.Finish(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func wantWork(t *testing.T, s *store.Store, want ...string) {
	t.Helper()
	work, err := s.LoadBalancersWithWork(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, each := range work {
		got = append(got, each.LoadBalancerID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("LoadBalancersWithWork = %v, want %v", got, want)
	}
}

func TestIntents(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		now := newClock()
		s := storetest.OpenAt(t, dsn, now.now)
		lb := newID()
		at := now.now().UTC().Truncate(time.Microsecond)
		want := []model.Intent{
			{LoadBalancerID: lb, Op: model.OpCreate, Object: model.Ref{Kind: model.KindLoadBalancer, ID: lb}, RequestID: "req-1", CreatedAt: at},
			{LoadBalancerID: lb, Op: model.OpBatchUpdate, Object: model.Ref{Kind: model.KindPool, ID: newID()}, MemberIDs: []string{newID(), newID()}, CreatedAt: at},
			{LoadBalancerID: lb, Op: model.OpDelete, Object: model.Ref{Kind: model.KindMember, ID: newID()}, ParentID: newID(), Cascade: true, CreatedAt: at},
		}
		addIntent(t, s, model.Intent{LoadBalancerID: newID(), Op: model.OpCreate})
		for i := range want {
			given := want[i]
			given.CreatedAt = time.Time{}
			want[i].ID = addIntent(t, s, given)
		}
		got, err := s.Intents(t.Context(), lb)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Intents (-want +got):\n%s", diff)
		}
		row, err := s.LoadBalancer(t.Context(), lb)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&store.LoadBalancer{ID: lb, CreatedAt: at, UpdatedAt: at}, row); diff != "" {
			t.Errorf("LoadBalancer before the first tree (-want +got):\n%s", diff)
		}
		if _, err := s.AddIntent(t.Context(), model.Intent{Op: model.OpCreate}, store.Audit{}); err == nil {
			t.Error("an intent without a load balancer was accepted")
		}
	})
}

// A reconciler that was slow must not finish an intent that it has never seen.
func TestIntentIDsAreNeverUsedAgain(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := storetest.Open(t, dsn)
		lb, last := newID(), int64(0)
		for range 3 {
			id := addIntent(t, s, model.Intent{LoadBalancerID: lb, Op: model.OpUpdate})
			if id <= last {
				t.Errorf("id %d came after %d", id, last)
			}
			last = id
			finish(t, s, store.Finish{LoadBalancerID: lb, IntentIDs: []int64{id}, Deleted: true})
		}
	})
}

func TestLoadBalancersWithWork(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		now := newClock()
		s := storetest.OpenAt(t, dsn, now.now)
		first, second, third := newID(), newID(), newID()
		wantWork(t, s)
		ids := map[string]int64{}
		for _, lb := range []string{first, second, third} {
			now.add(time.Second)
			ids[lb] = addIntent(t, s, model.Intent{LoadBalancerID: lb})
		}
		now.add(time.Second)
		addIntent(t, s, model.Intent{LoadBalancerID: first})
		wantWork(t, s, first, second, third)

		// Done, and to be tried again in a minute.
		retry := now.now().Add(time.Minute)
		finish(t, s, store.Finish{LoadBalancerID: second, IntentIDs: []int64{ids[second]}, RetryAt: &retry})
		wantWork(t, s, first, third)
		// An attempt that finished nothing leaves the work.
		finish(t, s, store.Finish{LoadBalancerID: third, RetryAt: &retry, LastError: "no amphora"})
		wantWork(t, s, first, third)
		now.add(time.Minute)
		wantWork(t, s, first, third, second)
		finish(t, s, store.Finish{LoadBalancerID: second})
		finish(t, s, store.Finish{LoadBalancerID: third, IntentIDs: []int64{ids[third]}})
		wantWork(t, s, first)
	})
}

// What there is to do is found by indexes: the load balancers that have nothing to do are not read for it.
func TestLoadBalancersWithWorkReadsNoOthers(t *testing.T) {
	s := storetest.Open(t, storetest.SQLite(t))
	var plan []struct{ Detail string }
	if err := s.DB().Raw("EXPLAIN QUERY PLAN "+store.WithWork, "2026-11-24 10:00:00.000000").Scan(&plan).Error; err != nil {
		t.Fatal(err)
	}
	found := false
	for _, step := range plan {
		if strings.HasPrefix(step.Detail, "SCAN lb") || strings.HasPrefix(step.Detail, "SCAN late") {
			t.Errorf("all load balancers are read: %s", step.Detail)
		}
		found = found || strings.HasPrefix(step.Detail, "SEARCH lb")
	}
	if !found {
		t.Errorf("the plan is %v", plan)
	}
}

// Work says whose it is: at first who made the first call, from then on the project of the tree.
func TestWorkIsAProjects(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := storetest.Open(t, dsn)
		want := func(project string) {
			t.Helper()
			work, err := s.LoadBalancersWithWork(t.Context())
			if err != nil || len(work) != 1 || work[0].ProjectID != project {
				t.Errorf("LoadBalancersWithWork = %v, %v; want one of project %q", work, err, project)
			}
		}
		call := func(lb, project string) {
			t.Helper()
			_, err := s.AddIntent(t.Context(), model.Intent{LoadBalancerID: lb}, store.Audit{Action: "test", ProjectID: project})
			if err != nil {
				t.Fatal(err)
			}
		}
		lb := newID()
		call(lb, "who creates it")
		want("who creates it")
		if _, err := s.SaveTree(t.Context(), &model.LoadBalancer{ID: lb, ProjectID: "tenant"}); err != nil {
			t.Fatal(err)
		}
		call(lb, "an administrator")
		want("tenant")
	})
}

func TestAddIntentEndsWithItsContext(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := storetest.Open(t, dsn)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.AddIntent(ctx, model.Intent{LoadBalancerID: newID()}, store.Audit{}); err == nil {
			t.Error("AddIntent with a context that is over succeeded")
		}
		wantWork(t, s)
	})
}
