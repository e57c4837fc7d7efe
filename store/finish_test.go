package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
)

func statusOf(lb string, status model.ProvisioningStatus) model.StatusUpdate {
	return model.StatusUpdate{LoadBalancers: []model.ObjectStatus{{ID: lb, ProvisioningStatus: status}}}
}

func outbox(t *testing.T, s *store.Store, now time.Time) []store.OutboxMessage {
	t.Helper()
	messages, err := s.Outbox(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	return messages
}

func TestFinish(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		now := newClock()
		s := storetest.OpenAt(t, dsn, now.now)
		tree := fullTree()
		done := addIntent(t, s, model.Intent{LoadBalancerID: tree.ID})
		save(t, s, tree, 1)
		came := addIntent(t, s, model.Intent{LoadBalancerID: tree.ID})
		others := addIntent(t, s, model.Intent{LoadBalancerID: newID()})
		now.add(time.Second)
		at := now.now().UTC().Truncate(time.Microsecond)
		retry := at.Add(time.Hour)
		status := statusOf(tree.ID, model.ProvisioningError)
		status.LoadBalancers[0].OperatingStatus = model.OperatingOffline
		finish(t, s, store.Finish{
			LoadBalancerID: tree.ID, IntentIDs: []int64{done, others}, Status: status,
			ProvisioningStatus: model.ProvisioningError, LastError: "Envoy said no", RetryAt: &retry,
		})
		got, err := s.LoadBalancer(t.Context(), tree.ID)
		if err != nil {
			t.Fatal(err)
		}
		want := &store.LoadBalancer{
			ID: tree.ID, ProjectID: tree.ProjectID, Name: tree.Name, Tree: tree, Revision: 1,
			ProvisioningStatus: model.ProvisioningError, OperatingStatus: model.OperatingOffline,
			LastError: "Envoy said no", RetryAt: &retry, CreatedAt: got.CreatedAt, UpdatedAt: at,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("LoadBalancer (-want +got):\n%s", diff)
		}
		intents, err := s.Intents(t.Context(), tree.ID)
		if err != nil || len(intents) != 1 || intents[0].ID != came {
			t.Errorf("Intents = %v, %v; want only %d", intents, err, came)
		}
		messages := outbox(t, s, now.now())
		wantMessages := []store.OutboxMessage{{LoadBalancerID: tree.ID, ProjectID: tree.ProjectID, Status: status, CreatedAt: at}}
		if len(messages) == 1 {
			wantMessages[0].ID = messages[0].ID
		}
		if diff := cmp.Diff(wantMessages, messages); diff != "" {
			t.Errorf("Outbox (-want +got):\n%s", diff)
		}
		// An empty status is no message, and empty states are the old ones; an intent of another is not finished.
		finish(t, s, store.Finish{LoadBalancerID: tree.ID, IntentIDs: []int64{came}})
		if messages := outbox(t, s, now.now()); len(messages) != 1 {
			t.Errorf("an empty status became a message: %v", messages)
		}
		if got, err = s.LoadBalancer(t.Context(), tree.ID); err != nil {
			t.Fatal(err)
		}
		want.LastError, want.RetryAt = "", nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("LoadBalancer after a success (-want +got):\n%s", diff)
		}
		if work, err := s.LoadBalancersWithWork(t.Context()); err != nil || len(work) != 1 || work[0].LoadBalancerID == tree.ID {
			t.Errorf("LoadBalancersWithWork = %v, %v; want the other", work, err)
		}
	})
}

func TestFinishDeleted(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := storetest.Open(t, dsn)
		tree := fullTree()
		id := addIntent(t, s, model.Intent{LoadBalancerID: tree.ID, Op: model.OpDelete})
		save(t, s, tree, 1)
		amphora := model.Amphora{ID: newID(), LoadBalancerID: tree.ID}
		if err := s.PutAmphora(t.Context(), amphora); err != nil {
			t.Fatal(err)
		}
		finish(t, s, store.Finish{
			LoadBalancerID: tree.ID, IntentIDs: []int64{id}, Deleted: true, Status: statusOf(tree.ID, model.ProvisioningDeleted),
		})
		if _, err := s.LoadBalancer(t.Context(), tree.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("LoadBalancer: %v, want ErrNotFound", err)
		}
		wantOwner(t, s, model.KindMember, tree.Pools[0].Members[0].ID, "")
		if _, err := s.Amphora(t.Context(), amphora.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Amphora: %v, want ErrNotFound", err)
		}
		if entries, err := s.AuditEntries(t.Context(), tree.ID, 0); err != nil || len(entries) != 1 {
			t.Errorf("AuditEntries = %v, %v; want them to stay", entries, err)
		}
		for table, want := range map[string]int64{
			"load_balancers": 0, "objects": 0, "intents": 0, "amphorae": 0, "reported_statuses": 0, "outbox": 1, "audit": 1,
		} {
			var rows int64
			if err := s.DB().Table(table).Count(&rows).Error; err != nil || rows != want {
				t.Errorf("%s has %d rows, %v; want %d", table, rows, err, want)
			}
		}
		// A resync may find the id again.
		finish(t, s, store.Finish{LoadBalancerID: tree.ID, Deleted: true})
		addIntent(t, s, model.Intent{LoadBalancerID: tree.ID})
		save(t, s, tree, 1)
		wantWork(t, s, tree.ID)
	})
}

// An intent that came while the load balancer was being deleted is accepted, so somebody must finish it.
func TestFinishDeletedKeepsWhatCameMeanwhile(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := storetest.Open(t, dsn)
		tree := fullTree()
		first := addIntent(t, s, model.Intent{LoadBalancerID: tree.ID, Op: model.OpDelete})
		save(t, s, tree, 1)
		second := addIntent(t, s, model.Intent{LoadBalancerID: tree.ID, Op: model.OpDelete})
		finish(t, s, store.Finish{LoadBalancerID: tree.ID, IntentIDs: []int64{first}, Deleted: true})
		wantWork(t, s, tree.ID)
		if lb, err := s.LoadBalancer(t.Context(), tree.ID); err != nil || lb.Tree != nil {
			t.Errorf("LoadBalancer = %v, %v; want a row without a tree", lb, err)
		}
		wantOwner(t, s, model.KindPool, tree.Pools[0].ID, "")
		finish(t, s, store.Finish{LoadBalancerID: tree.ID, IntentIDs: []int64{second}, Deleted: true})
		wantWork(t, s)
	})
}

// Either all of it or nothing.
func TestFinishIsOneTransaction(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := storetest.Open(t, dsn)
		lb := newID()
		id := addIntent(t, s, model.Intent{LoadBalancerID: lb})
		// The last statement of the transaction fails.
		if err := s.DB().Exec("ALTER TABLE load_balancers RENAME COLUMN last_error TO was_error").Error; err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := s.Finish(ctx, store.Finish{
			LoadBalancerID: lb, IntentIDs: []int64{id}, Status: statusOf(lb, model.ProvisioningActive),
		})
		if err == nil {
			t.Fatal("Finish succeeded")
		}
		if intents, err := s.Intents(t.Context(), lb); err != nil || len(intents) != 1 {
			t.Errorf("Intents = %v, %v; want the one", intents, err)
		}
		if messages := outbox(t, s, time.Now()); len(messages) != 0 {
			t.Errorf("Outbox = %v, want none", messages)
		}
	})
}

// What comes from outside must not make a row that the database refuses: the load balancer would stay PENDING.
func TestHostileTexts(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := storetest.Open(t, dsn)
		long := make([]byte, 1<<20)
		for i := range long {
			long[i] = 'x'
		}
		for _, text := range []string{"a\x00b", "\xff\xfe", "🐙'\"\\%s;--", string(long), string(long) + "🐙"} {
			lb := newID()
			id, err := s.AddIntent(t.Context(), model.Intent{LoadBalancerID: lb, RequestID: text}, store.Audit{
				UserID: text, ProjectID: text, Message: text,
			})
			if err != nil {
				t.Fatalf("%.20q: %v", text, err)
			}
			finish(t, s, store.Finish{
				LoadBalancerID: lb, IntentIDs: []int64{id}, LastError: text, Status: statusOf(lb, model.ProvisioningError),
			})
			message := outbox(t, s, time.Now())[0]
			if err := s.OutboxFailed(t.Context(), message.ID, text, time.Now()); err != nil {
				t.Fatalf("%.20q: %v", text, err)
			}
			if err := s.OutboxSent(t.Context(), message.ID); err != nil {
				t.Fatal(err)
			}
		}
		lb := newID()
		finish(t, s, store.Finish{LoadBalancerID: lb})
		addIntent(t, s, model.Intent{LoadBalancerID: lb})
		finish(t, s, store.Finish{LoadBalancerID: lb, LastError: "🐙 a\x00b \xff"})
		got, err := s.LoadBalancer(t.Context(), lb)
		if err != nil || got.LastError != "🐙 ab \uFFFD" {
			t.Errorf("LastError = %q, %v", got.LastError, err)
		}
	})
}
