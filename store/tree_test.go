package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
)

// fullTree has an object of every kind.
func fullTree() *model.LoadBalancer {
	lb, listener, pool, policy := newID(), newID(), newID(), newID()
	return &model.LoadBalancer{
		ID: lb, Name: "täglich 🐙", ProjectID: newID(), AdminStateUp: true, VIPAddress: "2001:db8::1",
		Flavor: map[string]any{"amphorae": float64(2), "zone": map[string]any{"a": nil}}, AvailabilityZone: "az1",
		Listeners: []model.Listener{{
			ID: listener, LoadBalancerID: lb, Protocol: model.ProtocolHTTP, ProtocolPort: 80, DefaultPoolID: pool,
			InsertHeaders: map[string]string{"X-Forwarded-For": "true"},
			L7Policies: []model.L7Policy{{
				ID: policy, ListenerID: listener, Action: "REJECT",
				Rules: []model.L7Rule{{ID: newID(), L7PolicyID: policy, Type: "PATH", Value: "\x00\u2028'\"\\"}},
			}},
		}},
		Pools: []model.Pool{{
			ID: pool, LoadBalancerID: lb, Protocol: model.ProtocolHTTP,
			Members:       []model.Member{{ID: newID(), PoolID: pool, Address: "192.0.2.1", ProtocolPort: 80, Weight: 1}},
			HealthMonitor: &model.HealthMonitor{ID: newID(), PoolID: pool, Type: "HTTP", Delay: 5},
		}},
	}
}

// bigTree has one pool with as many members; the same arguments give the same tree.
func bigTree(lb string, members int) *model.LoadBalancer {
	id := func(name string) string { return uuid.NewSHA1(uuid.NameSpaceOID, []byte(lb+name)).String() }
	pool := model.Pool{ID: id("pool"), LoadBalancerID: lb}
	for i := range members {
		pool.Members = append(pool.Members, model.Member{
			ID: id(fmt.Sprint("member", i)), PoolID: pool.ID, Name: fmt.Sprint("member-", i), ProtocolPort: 80, Weight: 1,
			Address: fmt.Sprintf("10.0.%d.%d", i/256, i%256), AdminStateUp: true,
		})
	}
	return &model.LoadBalancer{ID: lb, Pools: []model.Pool{pool}}
}

func save(t *testing.T, s *store.Store, tree *model.LoadBalancer, wantRevision int64) {
	t.Helper()
	revision, err := s.SaveTree(t.Context(), tree)
	if err != nil {
		t.Fatal(err)
	}
	if revision != wantRevision {
		t.Errorf("SaveTree = revision %d, want %d", revision, wantRevision)
	}
}

func wantOwner(t *testing.T, s *store.Store, kind model.Kind, id, want string) {
	t.Helper()
	got, err := s.LoadBalancerOf(t.Context(), model.Ref{Kind: kind, ID: id})
	if want == "" {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("LoadBalancerOf(%s %s) = %q, %v; want ErrNotFound", kind, id, got, err)
		}
		return
	}
	if err != nil || got != want {
		t.Errorf("LoadBalancerOf(%s %s) = %q, %v; want %q", kind, id, got, err, want)
	}
}

func TestTreeComesBackWhole(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		now := newClock()
		s := storetest.OpenAt(t, dsn, now.now)
		tree := fullTree()
		save(t, s, tree, 1)
		at := now.now().UTC().Truncate(time.Microsecond)
		want := &store.LoadBalancer{
			ID: tree.ID, ProjectID: tree.ProjectID, Name: tree.Name, Tree: tree, Revision: 1, CreatedAt: at, UpdatedAt: at,
		}
		got, err := s.LoadBalancer(t.Context(), tree.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("LoadBalancer (-want +got):\n%s", diff)
		}
		now.add(time.Second)
		other := fullTree()
		save(t, s, other, 1)
		all, err := s.LoadBalancers(t.Context())
		if err != nil || len(all) != 2 || all[0].ID != tree.ID || all[1].ID != other.ID {
			t.Fatalf("LoadBalancers = %v, %v", all, err)
		}
		if diff := cmp.Diff(other, all[1].Tree); diff != "" {
			t.Errorf("LoadBalancers (-want +got):\n%s", diff)
		}
		if _, err := s.LoadBalancer(t.Context(), newID()); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("LoadBalancer of nobody: %v, want ErrNotFound", err)
		}
	})
}

func TestRevisionCountsChanges(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		now := newClock()
		s := storetest.OpenAt(t, dsn, now.now)
		tree := fullTree()
		addIntent(t, s, model.Intent{LoadBalancerID: tree.ID})
		save(t, s, tree, 1)
		now.add(time.Second)
		// As Octavia would send it again.
		encoded, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		again := &model.LoadBalancer{}
		if err := json.Unmarshal(encoded, again); err != nil {
			t.Fatal(err)
		}
		save(t, s, again, 1)
		if lb, err := s.LoadBalancer(t.Context(), tree.ID); err != nil || lb.UpdatedAt.After(lb.CreatedAt) {
			t.Errorf("saving the same tree changed the row: %v, %v", lb, err)
		}
		tree.Pools[0].Members[0].Weight = 7
		save(t, s, tree, 2)
		if lb, err := s.LoadBalancer(t.Context(), tree.ID); err != nil || lb.Tree.Pools[0].Members[0].Weight != 7 {
			t.Errorf("the change is not there: %v, %v", lb, err)
		}
	})
}

func TestObjectIndex(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := storetest.Open(t, dsn)
		tree, other := fullTree(), fullTree()
		save(t, s, tree, 1)
		save(t, s, other, 1)
		listener, pool := tree.Listeners[0], tree.Pools[0]
		wantOwner(t, s, model.KindLoadBalancer, tree.ID, tree.ID)
		wantOwner(t, s, model.KindListener, listener.ID, tree.ID)
		wantOwner(t, s, model.KindL7Policy, listener.L7Policies[0].ID, tree.ID)
		wantOwner(t, s, model.KindL7Rule, listener.L7Policies[0].Rules[0].ID, tree.ID)
		wantOwner(t, s, model.KindPool, pool.ID, tree.ID)
		wantOwner(t, s, model.KindMember, pool.Members[0].ID, tree.ID)
		wantOwner(t, s, model.KindHealthMonitor, pool.HealthMonitor.ID, tree.ID)
		wantOwner(t, s, model.KindMember, pool.ID, "")
		wantOwner(t, s, model.KindLoadBalancer, newID(), "")

		added := model.Member{ID: newID(), PoolID: pool.ID}
		tree.Pools[0].Members = []model.Member{added}
		tree.Pools[0].HealthMonitor = nil
		tree.Listeners[0].L7Policies = nil
		save(t, s, tree, 2)
		wantOwner(t, s, model.KindMember, added.ID, tree.ID)
		wantOwner(t, s, model.KindMember, pool.Members[0].ID, "")
		wantOwner(t, s, model.KindHealthMonitor, pool.HealthMonitor.ID, "")
		wantOwner(t, s, model.KindL7Policy, listener.L7Policies[0].ID, "")
		wantOwner(t, s, model.KindL7Rule, listener.L7Policies[0].Rules[0].ID, "")
		wantOwner(t, s, model.KindListener, listener.ID, tree.ID)
		wantOwner(t, s, model.KindHealthMonitor, other.Pools[0].HealthMonitor.ID, other.ID)
	})
}

// 10,000 members: several megabytes, more rows than a statement takes arguments.
func TestBigTree(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := storetest.Open(t, dsn)
		const members = 10_000
		tree := bigTree(newID(), members)
		save(t, s, tree, 1)
		all := tree.Pools[0].Members
		wantOwner(t, s, model.KindMember, all[members-1].ID, tree.ID)
		got, err := s.LoadBalancer(t.Context(), tree.ID)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(tree, got.Tree) {
			t.Error("a big tree came back different")
		}
		// All but one go, at once.
		tree.Pools[0].Members = all[:1]
		save(t, s, tree, 2)
		wantOwner(t, s, model.KindMember, all[members-1].ID, "")
		wantOwner(t, s, model.KindMember, all[0].ID, tree.ID)
	})
}

// A damaged row is the trouble of one load balancer, and the next tree from Octavia repairs it.
func TestDamagedTree(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := storetest.Open(t, dsn)
		tree, other := fullTree(), fullTree()
		save(t, s, tree, 1)
		save(t, s, other, 1)
		err := s.DB().Exec("UPDATE load_balancers SET tree = '{\"pools\":7}' WHERE id = ?", tree.ID).Error
		if err != nil {
			t.Fatal(err)
		}
		all, err := s.LoadBalancers(t.Context())
		if err != nil || len(all) != 2 {
			t.Fatalf("LoadBalancers = %v, %v", all, err)
		}
		for _, lb := range all {
			if damaged := lb.ID == tree.ID; damaged != (lb.Tree == nil) || damaged != (lb.LastError != "") {
				t.Errorf("load balancer %s: tree %v, error %q", lb.ID, lb.Tree, lb.LastError)
			}
		}
		save(t, s, tree, 2)
		if lb, err := s.LoadBalancer(t.Context(), tree.ID); err != nil || lb.Tree == nil || lb.LastError != "" {
			t.Errorf("after a repair: %v, %v", lb, err)
		}
	})
}
