package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
)

// A controller that stood still for longer than its lease, and goes on as if nothing had happened, changes nothing of what
// another has done since.
func TestLostLeaseWritesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		old, young := storetest.Open(t, dsn), storetest.Open(t, dsn)
		lb := newID()
		slow, fresh := store.Holding(t.Context(), "old"), store.Holding(t.Context(), "young")
		first := addIntent(t, old, model.Intent{LoadBalancerID: lb})
		if !acquire(t, old, lb, "old", time.Hour) {
			t.Fatal("no lease")
		}
		if _, err := old.SaveTree(slow, &model.LoadBalancer{ID: lb, Name: "read by the old"}); err != nil {
			t.Fatal(err)
		}
		// Its hour is over, and it has not noticed.
		if err := old.DB().Exec("UPDATE leases SET expires_at = ?", time.Unix(0, 0).UTC().Format("2006-01-02 15:04:05.000000")).Error; err != nil {
			t.Fatal(err)
		}
		stale := func(when string) {
			t.Helper()
			if _, err := old.SaveTree(slow, &model.LoadBalancer{ID: lb, Name: "stale"}); !errors.Is(err, store.ErrLeaseLost) {
				t.Errorf("%s the old one's SaveTree ended with %v", when, err)
			}
			for _, deleted := range []bool{false, true} {
				err := old.Finish(slow, store.Finish{
					LoadBalancerID: lb, IntentIDs: []int64{first}, Status: statusOf(lb, model.ProvisioningActive), Deleted: deleted,
				})
				if !errors.Is(err, store.ErrLeaseLost) {
					t.Errorf("%s the old one's Finish ended with %v", when, err)
				}
			}
		}
		stale("when its time is over,")
		if intents, err := old.Intents(t.Context(), lb); err != nil || len(intents) != 1 {
			t.Fatalf("%d intents are left, error %v", len(intents), err)
		}
		if !acquire(t, young, lb, "young", time.Hour) {
			t.Fatal("no lease after the other's has expired")
		}
		stale("while the young one works,")
		if _, err := young.SaveTree(fresh, &model.LoadBalancer{ID: lb, Name: "read by the young"}); err != nil {
			t.Fatal(err)
		}
		if err := young.Finish(fresh, store.Finish{LoadBalancerID: lb, IntentIDs: []int64{first}}); err != nil {
			t.Fatal(err)
		}
		if err := young.ReleaseLease(t.Context(), lb, "young"); err != nil {
			t.Fatal(err)
		}
		stale("when the young one is done,")
		known, err := young.LoadBalancer(t.Context(), lb)
		if err != nil || known.Tree.Name != "read by the young" {
			t.Errorf("the tree is %+v, error %v", known, err)
		}
		if left := outbox(t, young, time.Now()); len(left) != 0 {
			t.Errorf("reported: %+v", left)
		}
	})
}
