package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
)

func TestAudit(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		now := newClock()
		s := storetest.OpenAt(t, dsn, now.now)
		ctx, at := t.Context(), now.now().UTC().Truncate(time.Microsecond)
		lb, pool := newID(), newID()
		intent := model.Intent{
			LoadBalancerID: lb, Op: model.OpUpdate, Object: model.Ref{Kind: model.KindPool, ID: pool}, RequestID: "req-1",
		}
		if _, err := s.AddIntent(ctx, intent, store.Audit{ProjectID: "p", UserID: "u"}); err != nil {
			t.Fatal(err)
		}
		own := store.Audit{
			At: at.Add(-time.Hour), LoadBalancerID: lb, Action: "failover", ObjectKind: "amphora", ObjectID: newID(),
			Outcome: "ERROR", Message: "no host",
		}
		other := store.Audit{At: at, LoadBalancerID: newID(), Action: "create", Outcome: "refused", RequestID: "req-2"}
		for _, entry := range []store.Audit{own, other} {
			if err := s.AddAudit(ctx, entry); err != nil {
				t.Fatal(err)
			}
		}
		accepted := store.Audit{
			At: at, RequestID: "req-1", ProjectID: "p", UserID: "u", LoadBalancerID: lb, Action: "update",
			ObjectKind: "pool", ObjectID: pool, Outcome: "accepted",
		}
		check := func(lb string, limit int, want ...store.Audit) {
			t.Helper()
			got, err := s.AuditEntries(ctx, lb, limit)
			if err != nil {
				t.Fatal(err)
			}
			for i := range got {
				if got[i].ID == 0 {
					t.Error("an entry has no id")
				}
				got[i].ID = 0
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("AuditEntries(%q, %d) (-want +got):\n%s", lb, limit, diff)
			}
		}
		check("", 0, other, own, accepted)
		check("", 2, other, own)
		check(lb, 10, own, accepted)
		if n, err := s.PruneAudit(ctx, at); err != nil || n != 1 {
			t.Errorf("PruneAudit = %d, %v; want 1", n, err)
		}
		check("", 0, other, accepted)
	})
}
