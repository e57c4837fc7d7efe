package store_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
)

// write puts a message into the outbox and returns it.
func writeMessage(t *testing.T, s *store.Store, f store.Finish) store.OutboxMessage {
	t.Helper()
	if f.Status.Empty() {
		f.Status = statusOf(f.LoadBalancerID, model.ProvisioningActive)
	}
	finish(t, s, f)
	var id int64
	if err := s.DB().Table("outbox").Select("MAX(id)").Scan(&id).Error; err != nil {
		t.Fatal(err)
	}
	return store.OutboxMessage{ID: id, LoadBalancerID: f.LoadBalancerID}
}

func wantOutbox(t *testing.T, s *store.Store, now time.Time, want ...store.OutboxMessage) {
	t.Helper()
	var got, ids []int64
	for _, message := range outbox(t, s, now) {
		got = append(got, message.ID)
	}
	for _, message := range want {
		ids = append(ids, message.ID)
	}
	if !slices.Equal(got, ids) {
		t.Errorf("Outbox = messages %v, want %v", got, ids)
	}
}

func wantNewer(t *testing.T, s *store.Store, message store.OutboxMessage, want bool) {
	t.Helper()
	if got, err := s.HasNewerIntent(t.Context(), message); err != nil || got != want {
		t.Errorf("HasNewerIntent = %v, %v; want %v", got, err, want)
	}
}

func TestOutboxOrder(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := storetest.Open(t, dsn)
		now := newClock().now()
		a, b := newID(), newID()
		active := writeMessage(t, s, store.Finish{LoadBalancerID: a})
		other := writeMessage(t, s, store.Finish{LoadBalancerID: b})
		deleted := writeMessage(t, s, store.Finish{LoadBalancerID: a, Deleted: true})
		wantOutbox(t, s, now, active, other)

		// While the oldest waits, the later ones of the same load balancer wait behind it.
		if err := s.OutboxFailed(t.Context(), active.ID, "no driver-agent", now.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		wantOutbox(t, s, now, other)
		wantOutbox(t, s, now.Add(time.Minute-time.Microsecond), other)
		wantOutbox(t, s, now.Add(time.Minute), active, other)
		if err := s.OutboxFailed(t.Context(), active.ID, "still none", now); err != nil {
			t.Fatal(err)
		}
		first := outbox(t, s, now)[0]
		if first.Attempts != 2 || first.LastError != "still none" {
			t.Errorf("after two failures: %+v", first)
		}
		for range 2 {
			if err := s.OutboxSent(t.Context(), active.ID); err != nil {
				t.Fatal(err)
			}
		}
		wantOutbox(t, s, now, other, deleted)
		if err := s.OutboxFailed(t.Context(), active.ID, "", now); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("OutboxFailed of a message that was sent: %v, want ErrNotFound", err)
		}
		if _, err := s.HasNewerIntent(t.Context(), active); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("HasNewerIntent of a message that was sent: %v, want ErrNotFound", err)
		}
	})
}

func TestHasNewerIntent(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		// The clock stands still, and the second controller's is a day behind: only order counts.
		now, behind := newClock(), newClock()
		behind.add(-24 * time.Hour)
		s, replica := storetest.OpenAt(t, dsn, now.now), storetest.OpenAt(t, dsn, behind.now)
		lb := newID()
		done := addIntent(t, s, model.Intent{LoadBalancerID: lb})
		open := addIntent(t, s, model.Intent{LoadBalancerID: lb}) // there before the message: proves nothing
		first := writeMessage(t, s, store.Finish{LoadBalancerID: lb, IntentIDs: []int64{done}})
		wantNewer(t, s, first, false)
		addIntent(t, s, model.Intent{LoadBalancerID: newID()})
		wantNewer(t, s, first, false)

		newer := addIntent(t, replica, model.Intent{LoadBalancerID: lb, Op: model.OpDelete})
		wantNewer(t, s, first, true)
		// It stays a proof when the intent is finished, and when the load balancer is gone.
		second := writeMessage(t, s, store.Finish{LoadBalancerID: lb, IntentIDs: []int64{open}})
		third := writeMessage(t, s, store.Finish{LoadBalancerID: lb, IntentIDs: []int64{newer}, Deleted: true})
		wantNewer(t, s, first, true)
		wantNewer(t, replica, second, false)
		wantNewer(t, s, third, false)
		// A later intent for the same id, from a resync.
		addIntent(t, replica, model.Intent{LoadBalancerID: lb})
		wantNewer(t, s, second, true)
		wantNewer(t, s, third, true)
	})
}
