package statistics

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// octavia keeps what it is told, unless it is away.
type octavia struct {
	mu       sync.Mutex
	away     bool
	refused  int
	messages int
	has      map[string]status.ListenerStatistics
}

func (o *octavia) Statistics(_ context.Context, listeners []status.ListenerStatistics) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.away {
		o.refused++
		return errors.New("away")
	}
	o.messages++
	for _, listener := range listeners {
		o.has[listener.ID] = listener
	}
	return nil
}

func (o *octavia) set(away bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.away = away
}

func (o *octavia) seen() (messages, refused int, has map[string]status.ListenerStatistics) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.messages, o.refused, maps.Clone(o.has)
}

// lab is a store with a load balancer lb with listener l and amphorae a and b.
func lab(t *testing.T) *store.Store {
	t.Helper()
	s := storetest.Open(t, storetest.SQLite(t))
	if _, err := s.SaveTree(t.Context(), &model.LoadBalancer{ID: "lb", Listeners: []model.Listener{{ID: "l"}}}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b"} {
		if err := s.PutAmphora(t.Context(), model.Amphora{ID: id, LoadBalancerID: "lb"}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func collector(s Store, o Octavia) *Collector {
	return New(Options{Store: s, Octavia: o, Logger: slog.New(slog.DiscardHandler), Interval: 10 * time.Millisecond})
}

func wantTold(t *testing.T, o *octavia, want map[string]status.ListenerStatistics) {
	t.Helper()
	testkit.Eventually(t, func() error {
		if _, _, has := o.seen(); !cmp.Equal(want, has) {
			return errors.New("Octavia (-want +got):\n" + cmp.Diff(want, has))
		}
		return nil
	})
}

// TestTotalsReachOctavia follows a listener over another Envoy, an absence of Octavia and another controller.
func TestTotalsReachOctavia(t *testing.T) {
	s, o := lab(t), &octavia{has: map[string]status.ListenerStatistics{}}
	a, b := model.Amphora{ID: "a", LoadBalancerID: "lb"}, model.Amphora{ID: "b", LoadBalancerID: "lb"}
	first := collector(s, o)
	stop := testkit.Run(t, first.Run)
	first.Report(t.Context(), a, said("1", "l", 3, 30, 1))
	first.Report(t.Context(), b, said("1", "l", 4, 40, 1))
	wantTold(t, o, map[string]status.ListenerStatistics{"l": {ID: "l", TotalConnections: 7, BytesIn: 70, ActiveConnections: 2}})

	o.set(true)
	first.Report(t.Context(), a, said("2", "l", 1, 10, 0))
	testkit.Until(t, "Octavia refuses", func() bool { _, refused, _ := o.seen(); return refused > 1 })
	first.Report(t.Context(), a, said("2", "l", 2, 20, 0))
	o.set(false)
	told := map[string]status.ListenerStatistics{"l": {ID: "l", TotalConnections: 9, BytesIn: 90, ActiveConnections: 1}}
	wantTold(t, o, told)
	stop()

	// What did not change is not sent again, but by a process that does not know that.
	before, _, _ := o.seen()
	second := collector(s, o)
	testkit.Run(t, second.Run)
	testkit.Until(t, "the second controller tells", func() bool { messages, _, _ := o.seen(); return messages == before+1 })
	second.Report(t.Context(), a, said("2", "l", 2, 20, 0))
	second.Report(t.Context(), a, said("3", "l", 1, 0, 0))
	told["l"] = status.ListenerStatistics{ID: "l", TotalConnections: 10, BytesIn: 90, ActiveConnections: 1}
	wantTold(t, o, told)
	if after, _, _ := o.seen(); after != before+2 {
		t.Errorf("%d messages for one change", after-before-1)
	}
	if got := second.Snapshot(); len(got) != 1 || got[0].ID != "lb" || len(got[0].Listeners) != 1 || got[0].Listeners[0].TotalConnections != 10 {
		t.Errorf("snapshot: %+v", got)
	}
}

// absent is a store that does not answer until it is told to.
type absent struct {
	Store
	mu   sync.Mutex
	away bool
}

func (a *absent) UpdateStatistics(ctx context.Context, lbID string, change func(store.Counted)) error {
	a.mu.Lock()
	away := a.away
	a.mu.Unlock()
	if away {
		return errors.New("away")
	}
	return a.Store.UpdateStatistics(ctx, lbID, change)
}

// TestStoreAway loses nothing of Envoys that end while the store is away, and keeps only what it needs.
func TestStoreAway(t *testing.T) {
	s, o := &absent{Store: lab(t), away: true}, &octavia{has: map[string]status.ListenerStatistics{}}
	c := collector(s, o)
	testkit.Run(t, c.Run)
	a := model.Amphora{ID: "a", LoadBalancerID: "lb"}
	for _, epoch := range []string{"1", "2", "3"} {
		for count := range uint64(50) {
			c.Report(t.Context(), a, said(epoch, "l", count+1, 0, 1))
		}
	}
	// A listener that is gone afterwards takes its last word along.
	c.Report(t.Context(), a, &agentapiv1.StatisticsReport{Epoch: "3"})
	c.mu.Lock()
	if waiting := len(c.waiting["a"].reports); waiting != 4 {
		t.Errorf("%d reports wait, want the last ones of three Envoys and one without the listener", waiting)
	}
	c.mu.Unlock()
	s.mu.Lock()
	s.away = false
	s.mu.Unlock()
	wantTold(t, o, map[string]status.ListenerStatistics{"l": {ID: "l", TotalConnections: 150}})
}

// TestForgotten drops a load balancer that is deleted.
func TestForgotten(t *testing.T) {
	s, o := lab(t), &octavia{has: map[string]status.ListenerStatistics{}}
	c := collector(s, o)
	testkit.Run(t, c.Run)
	c.Report(t.Context(), model.Amphora{ID: "a", LoadBalancerID: "lb"}, said("1", "l", 1, 1, 1))
	testkit.Until(t, "Octavia is told", func() bool { messages, _, _ := o.seen(); return messages == 1 })
	if err := s.Finish(t.Context(), store.Finish{LoadBalancerID: "lb", Deleted: true}); err != nil {
		t.Fatal(err)
	}
	c.Forget("lb")
	if got := c.Snapshot(); len(got) != 0 {
		t.Errorf("snapshot: %+v", got)
	}
	c.Report(t.Context(), model.Amphora{ID: "a", LoadBalancerID: "lb"}, said("1", "l", 2, 2, 1))
	testkit.Until(t, "the late report is dropped", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return len(c.waiting) == 0 })
	if got := c.Snapshot(); len(got) != 0 {
		t.Errorf("snapshot: %+v", got)
	}
}
