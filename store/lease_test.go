package store_test

import (
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
)

func acquire(t *testing.T, s *store.Store, lb, owner string, ttl time.Duration) bool {
	t.Helper()
	got, err := s.AcquireLease(t.Context(), lb, owner, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestLease(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		// A controller whose clock is a day ahead takes nothing.
		ahead := newClock()
		ahead.t = time.Now().Add(24 * time.Hour)
		s, fast := storetest.Open(t, dsn), storetest.OpenAt(t, dsn, ahead.now)
		lb := newID()
		for range 2 {
			if !acquire(t, s, lb, "a", time.Hour) {
				t.Fatal("the first owner did not get the lease, or could not extend it")
			}
		}
		if acquire(t, fast, lb, "b", time.Hour) {
			t.Fatal("a second owner got a lease that has not expired")
		}
		if !acquire(t, fast, newID(), "b", time.Hour) {
			t.Error("the lease of one load balancer is in the way of another's")
		}
		if err := fast.ReleaseLease(t.Context(), lb, "b"); err != nil {
			t.Fatal(err)
		}
		if acquire(t, fast, lb, "b", time.Hour) {
			t.Fatal("somebody else released the lease")
		}
		if err := s.ReleaseLease(t.Context(), lb, "a"); err != nil {
			t.Fatal(err)
		}
		if !acquire(t, fast, lb, "b", time.Hour) {
			t.Error("a lease that was released is not free")
		}
		for _, bad := range []func() (bool, error){
			func() (bool, error) { return s.AcquireLease(t.Context(), "", "a", time.Hour) },
			func() (bool, error) { return s.AcquireLease(t.Context(), lb, "", time.Hour) },
			func() (bool, error) { return s.AcquireLease(t.Context(), lb, "a", 0) },
		} {
			if _, err := bad(); err == nil {
				t.Error("a lease without a load balancer, owner or time was given")
			}
		}
	})
}

func TestLeaseExpires(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := storetest.Open(t, dsn)
		lb := newID()
		if !acquire(t, s, lb, "a", 100*time.Millisecond) {
			t.Fatal("the first owner did not get the lease")
		}
		start := time.Now()
		for !acquire(t, s, lb, "b", time.Hour) {
			if time.Since(start) > time.Minute {
				t.Fatal("the lease does not expire")
			}
			time.Sleep(10 * time.Millisecond)
		}
		if acquire(t, s, lb, "a", time.Hour) {
			t.Error("the owner whose lease expired has it again")
		}
	})
}

// Of many that want a lease at once exactly one gets it, whether the row is new or has expired.
func TestLeaseRace(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		stores := []*store.Store{storetest.Open(t, dsn), storetest.Open(t, dsn)}
		for round := range 6 {
			lb := newID()
			if round%2 == 1 {
				acquire(t, stores[0], lb, "before", time.Microsecond)
			}
			var winners atomic.Int32
			var group errgroup.Group
			for i := range 12 {
				group.Go(func() error {
					got, err := stores[i%2].AcquireLease(t.Context(), lb, newID(), time.Hour)
					if got {
						winners.Add(1)
					}
					return err
				})
			}
			if err := group.Wait(); err != nil {
				t.Fatal(err)
			}
			if winners.Load() != 1 {
				t.Errorf("round %d: %d owners", round, winners.Load())
			}
		}
		// The same owner from several goroutines always has it.
		lb := newID()
		var group errgroup.Group
		for i := range 8 {
			group.Go(func() error {
				got, err := stores[i%2].AcquireLease(t.Context(), lb, "a", time.Hour)
				if err == nil && !got {
					t.Error("the owner was refused its own lease")
				}
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
	})
}
