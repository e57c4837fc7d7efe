package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
)

// operates is a message that says nothing but how a load balancer operates.
func operates(lb string, status model.OperatingStatus) model.StatusUpdate {
	return model.StatusUpdate{LoadBalancers: []model.ObjectStatus{{ID: lb, OperatingStatus: status}}}
}

// published makes a load balancer with an amphora; settled, with nothing in the outbox.
func published(t *testing.T, s *store.Store) (tree *model.LoadBalancer, amphora string) {
	t.Helper()
	tree, amphora = fullTree(), newID()
	id := addIntent(t, s, model.Intent{LoadBalancerID: tree.ID})
	save(t, s, tree, 1)
	if err := s.PutAmphora(t.Context(), model.Amphora{ID: amphora, LoadBalancerID: tree.ID}); err != nil {
		t.Fatal(err)
	}
	finish(t, s, store.Finish{LoadBalancerID: tree.ID, IntentIDs: []int64{id}, Published: true})
	settle(t, s, tree.ID, store.Settlement{})
	return tree, amphora
}

func putHealth(t *testing.T, s *store.Store, lb, amphora, view string) (unsettled bool) {
	t.Helper()
	unsettled, err := s.PutAmphoraHealth(t.Context(), lb, []store.AmphoraHealth{{AmphoraID: amphora, View: []byte(view)}})
	if err != nil {
		t.Fatal(err)
	}
	return unsettled
}

// settle returns what was known when it was decided; nil if nothing was to be decided.
func settle(t *testing.T, s *store.Store, lb string, settlement store.Settlement) *store.Health {
	t.Helper()
	var known *store.Health
	said, err := s.Settle(t.Context(), lb, func(health store.Health) store.Settlement {
		known = &health
		return settlement
	})
	if err != nil {
		t.Fatal(err)
	}
	want := model.StatusUpdate{}
	if known != nil {
		want = settlement.Status
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Errorf("said (-want +got):\n%s", diff)
	}
	return known
}

func wantUnsettled(t *testing.T, s *store.Store, want ...string) {
	t.Helper()
	got, err := s.Unsettled(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(append([]string{}, want...), append([]string{}, got...)); diff != "" {
		t.Errorf("Unsettled (-want +got):\n%s", diff)
	}
}

func TestHealthIsSettled(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		now := newClock()
		s := storetest.OpenAt(t, dsn, now.now)
		tree, amphora := published(t, s)
		silent := newID()
		now.add(time.Second)
		at := now.now().UTC().Truncate(time.Microsecond)
		if err := s.PutAmphora(t.Context(), model.Amphora{ID: silent, LoadBalancerID: tree.ID, LastHeartbeat: at}); err != nil {
			t.Fatal(err)
		}
		wantUnsettled(t, s)
		if putHealth(t, s, tree.ID, amphora, `{"a": 1}`) {
			t.Error("a change before the first")
		}
		if !putHealth(t, s, tree.ID, amphora, `{"a": 2}`) {
			t.Error("the change before is forgotten")
		}
		wantUnsettled(t, s, tree.ID)
		if oldest, err := s.OldestChange(t.Context()); err != nil || !oldest.Equal(at) {
			t.Errorf("OldestChange = %v, %v", oldest, err)
		}
		amphorae := []store.AmphoraHealth{
			{AmphoraID: amphora, LoadBalancerID: tree.ID, View: []byte(`{"a": 2}`), UpdatedAt: at},
			{AmphoraID: silent, LoadBalancerID: tree.ID, LastHeartbeat: at},
		}
		got, err := s.AmphoraHealth(t.Context(), "")
		if diff := cmp.Diff(amphorae, got); diff != "" || err != nil {
			t.Errorf("AmphoraHealth: %v (-want +got):\n%s", err, diff)
		}

		known := settle(t, s, tree.ID, store.Settlement{Status: operates(tree.ID, model.OperatingDegraded), Pause: 3 * time.Second})
		want := &store.Health{
			LoadBalancerID: tree.ID, Tree: tree, Amphorae: amphorae, PublishedAt: at.Add(-time.Second),
			Reported: map[model.Ref]model.OperatingStatus{}, Refused: map[model.Ref]bool{},
		}
		if diff := cmp.Diff(want, known); diff != "" {
			t.Errorf("known (-want +got):\n%s", diff)
		}
		wantUnsettled(t, s)
		if oldest, err := s.OldestChange(t.Context()); err != nil || !oldest.IsZero() {
			t.Errorf("OldestChange = %v, %v after it was settled", oldest, err)
		}
		messages := outbox(t, s, now.now())
		if len(messages) != 1 || len(messages[0].Status.LoadBalancers) != 1 {
			t.Fatalf("Outbox = %v", messages)
		}
		lb, err := s.LoadBalancer(t.Context(), tree.ID)
		if err != nil || lb.OperatingStatus != model.OperatingDegraded {
			t.Errorf("the barrier would tell Octavia %q, %v", lb.OperatingStatus, err)
		}
		health, err := s.Health(t.Context(), tree.ID)
		want.Tree, want.SpokeAt, want.Pause = nil, at, 3*time.Second
		want.Reported = map[model.Ref]model.OperatingStatus{{Kind: model.KindLoadBalancer, ID: tree.ID}: model.OperatingDegraded}
		if diff := cmp.Diff(want, health); diff != "" || err != nil {
			t.Errorf("Health: %v (-want +got):\n%s", err, diff)
		}
	})
}

// One message of a load balancer waits, and it is silent for as long as it was told, whatever comes.
func TestSettleIsBounded(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		now := newClock()
		s := storetest.OpenAt(t, dsn, now.now)
		tree, amphora := published(t, s)
		putHealth(t, s, tree.ID, amphora, `{}`)
		settle(t, s, tree.ID, store.Settlement{Status: operates(tree.ID, model.OperatingError), Pause: 3 * time.Second})
		message := outbox(t, s, now.now())[0]
		putHealth(t, s, tree.ID, amphora, `{"a": 1}`)
		wantUnsettled(t, s)
		now.add(time.Minute)
		wantUnsettled(t, s) // the message is not sent
		if settle(t, s, tree.ID, store.Settlement{}) != nil {
			t.Error("settled while a message waits")
		}
		if err := s.OutboxSent(t.Context(), message.ID); err != nil {
			t.Fatal(err)
		}
		wantUnsettled(t, s, tree.ID)
		settle(t, s, tree.ID, store.Settlement{Status: operates(tree.ID, model.OperatingOnline), Pause: 3 * time.Second})
		if err := s.OutboxSent(t.Context(), outbox(t, s, now.now())[0].ID); err != nil {
			t.Fatal(err)
		}
		putHealth(t, s, tree.ID, amphora, `{"a": 2}`)
		now.add(2 * time.Second)
		wantUnsettled(t, s)
		if settle(t, s, tree.ID, store.Settlement{}) != nil {
			t.Error("settled in the pause")
		}
		now.add(time.Second)
		wantUnsettled(t, s, tree.ID)
		// What is to be looked at again without a word comes back.
		settle(t, s, tree.ID, store.Settlement{Again: now.now().Add(time.Hour)})
		wantUnsettled(t, s)
		now.add(time.Hour)
		wantUnsettled(t, s, tree.ID)
	})
}

// Whatever is put in the outbox is reported; what may have been lost or overwritten is reported again.
func TestReported(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := storetest.Open(t, dsn)
		tree, _ := published(t, s)
		listener, pool, member := tree.Listeners[0].ID, tree.Pools[0].ID, tree.Pools[0].Members[0].ID
		lbRef := model.Ref{Kind: model.KindLoadBalancer, ID: tree.ID}
		listenerRef, poolRef := model.Ref{Kind: model.KindListener, ID: listener}, model.Ref{Kind: model.KindPool, ID: pool}
		memberRef := model.Ref{Kind: model.KindMember, ID: member}
		wantReported := func(what string, want map[model.Ref]model.OperatingStatus) {
			t.Helper()
			health, err := s.Health(t.Context(), tree.ID)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, health.Reported); diff != "" {
				t.Errorf("%s: reported (-want +got):\n%s", what, diff)
			}
		}
		active := model.ProvisioningActive
		finish(t, s, store.Finish{LoadBalancerID: tree.ID, Published: true, Refused: []model.Ref{poolRef}, Status: model.StatusUpdate{
			LoadBalancers: []model.ObjectStatus{{ID: tree.ID, ProvisioningStatus: active, OperatingStatus: model.OperatingOnline}},
			Listeners:     []model.ObjectStatus{{ID: listener, ProvisioningStatus: active, OperatingStatus: model.OperatingOnline}},
			Pools:         []model.ObjectStatus{{ID: pool, ProvisioningStatus: model.ProvisioningError}},
			Members:       []model.ObjectStatus{{ID: member, ProvisioningStatus: active, OperatingStatus: model.OperatingError}},
		}})
		all := map[model.Ref]model.OperatingStatus{
			lbRef: model.OperatingOnline, listenerRef: model.OperatingOnline, memberRef: model.OperatingError,
		}
		wantReported("after a call", all)
		wantUnsettled(t, s, tree.ID) // a view may have come since the status was thought up
		if health := settle(t, s, tree.ID, store.Settlement{}); !health.Refused[poolRef] {
			t.Errorf("refused: %v", health.Refused)
		}

		message := outbox(t, s, time.Now())[0]
		if err := s.OutboxDropped(t.Context(), message); err != nil {
			t.Fatal(err)
		}
		wantReported("after a message that was not sent", map[model.Ref]model.OperatingStatus{})
		wantUnsettled(t, s, tree.ID)
		if messages := outbox(t, s, time.Now()); len(messages) != 0 {
			t.Errorf("Outbox = %v", messages)
		}

		settle(t, s, tree.ID, store.Settlement{Status: model.StatusUpdate{
			LoadBalancers: []model.ObjectStatus{{ID: tree.ID, OperatingStatus: model.OperatingDegraded}},
			Members:       []model.ObjectStatus{{ID: member, OperatingStatus: model.OperatingError}},
		}})
		wantReported("after it was said again", map[model.Ref]model.OperatingStatus{
			lbRef: model.OperatingDegraded, memberRef: model.OperatingError,
		})
		// A barrier that tells what Octavia has changes nothing, one that was overtaken has to be put right.
		if err := s.Told(t.Context(), tree.ID, model.OperatingDegraded); err != nil {
			t.Fatal(err)
		}
		if health, err := s.Health(t.Context(), tree.ID); err != nil || health.Reported[lbRef] == "" {
			t.Errorf("after a barrier: %v, %v", health, err)
		}
		if err := s.Told(t.Context(), tree.ID, model.OperatingOnline); err != nil {
			t.Fatal(err)
		}
		wantReported("after a barrier that was overtaken", map[model.Ref]model.OperatingStatus{memberRef: model.OperatingError})
		if err := s.Told(t.Context(), newID(), model.OperatingOnline); err != nil {
			t.Errorf("Told of an unknown load balancer: %v", err)
		}

		finish(t, s, store.Finish{LoadBalancerID: tree.ID, Status: model.StatusUpdate{
			Members: []model.ObjectStatus{{ID: member, ProvisioningStatus: model.ProvisioningDeleted}},
		}})
		wantReported("after a deletion", map[model.Ref]model.OperatingStatus{})
		if health, err := s.Health(t.Context(), tree.ID); err != nil || !health.Refused[poolRef] {
			t.Errorf("a Finish that published nothing changed what is refused: %v, %v", health, err)
		}
	})
}

func TestHealthGoesWithItsAmphora(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := storetest.Open(t, dsn)
		tree, amphora := published(t, s)
		rows := func(table string) (rows int64) {
			t.Helper()
			if err := s.DB().Table(table).Count(&rows).Error; err != nil {
				t.Fatal(err)
			}
			return rows
		}
		putHealth(t, s, tree.ID, amphora, `{}`)
		if err := s.DeleteAmphora(t.Context(), amphora); err != nil {
			t.Fatal(err)
		}
		putHealth(t, s, tree.ID, amphora, `{}`) // it comes late
		if rows("amphora_health") != 0 {
			t.Error("the view of a deleted amphora is left")
		}
		if err := s.PutAmphora(t.Context(), model.Amphora{ID: amphora, LoadBalancerID: tree.ID}); err != nil {
			t.Fatal(err)
		}
		putHealth(t, s, tree.ID, amphora, `{}`)
		finish(t, s, store.Finish{LoadBalancerID: tree.ID, Deleted: true})
		if rows("amphora_health") != 0 || rows("reported_statuses") != 0 {
			t.Error("something of a deleted load balancer is left")
		}
		_, err := s.PutAmphoraHealth(t.Context(), tree.ID, []store.AmphoraHealth{{AmphoraID: amphora, View: []byte(`{}`)}})
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("PutAmphoraHealth: %v", err)
		}
		if settle(t, s, tree.ID, store.Settlement{}) != nil {
			t.Error("a deleted load balancer was settled")
		}
		if health, err := s.Health(t.Context(), tree.ID); err != nil || len(health.Reported)+len(health.Amphorae) != 0 {
			t.Errorf("Health = %v, %v", health, err)
		}
	})
}

func TestUnsettle(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		now := newClock()
		s := storetest.OpenAt(t, dsn, now.now)
		one, _ := published(t, s)
		now.add(time.Second)
		other, _ := published(t, s)
		if err := s.Unsettle(t.Context(), one.ID); err != nil {
			t.Fatal(err)
		}
		wantUnsettled(t, s, one.ID)
		now.add(time.Second)
		if err := s.Unsettle(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		wantUnsettled(t, s, one.ID, other.ID)
	})
}

// TestSettleLosesNoChange lets two replicas settle while amphorae speak: whoever commits last, the last view is seen.
func TestSettleLosesNoChange(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		replicas := []*store.Store{storetest.Open(t, dsn), storetest.Open(t, dsn)}
		tree, amphora := published(t, replicas[0])
		const changes = 30
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error {
			for i := range changes {
				view := []byte{'"', byte('A' + i), '"'}
				_, err := replicas[0].PutAmphoraHealth(ctx, tree.ID, []store.AmphoraHealth{{AmphoraID: amphora, View: view}})
				if err != nil {
					return err
				}
			}
			return nil
		})
		last := `"` + string(rune('A'+changes-1)) + `"`
		seen := make(chan struct{}, 2*changes)
		for _, replica := range replicas {
			group.Go(func() error {
				for {
					_, err := replica.Settle(ctx, tree.ID, func(health store.Health) store.Settlement {
						if string(health.Amphorae[0].View) == last {
							seen <- struct{}{}
						}
						return store.Settlement{}
					})
					if err != nil || len(seen) > 0 {
						return err
					}
				}
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		wantUnsettled(t, replicas[0])
	})
}
