package probe

import (
	"context"
	"strconv"
	"sync"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

func (g *gate) used(name string) (used, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if own := g.groups[name]; own != nil {
		return own.used, len(own.waiting)
	}
	return 0, 0
}

// TestGateKeepsPlaces has pools of members that hang, and one more.
func TestGateKeepsPlaces(t *testing.T) {
	g := newGate(64)
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	hog := func(name string, wants, gets int) {
		for range wants {
			ended.Go(func() {
				if g.enter(ctx, name) == nil {
					<-ctx.Done()
					g.leave(name)
				}
			})
		}
		testkit.Until(t, "all others wait", func() bool { _, waiting := g.used(name); return waiting == wants-gets })
		if used, _ := g.used(name); used != gets {
			t.Errorf("%s has %d places, want %d", name, used, gets)
		}
	}
	hog("a", 500, 32)
	hog("b", 500, 16)
	hog("c", 500, 8)
	if err := g.enter(t.Context(), "good"); err != nil {
		t.Fatal(err)
	}
	g.leave("good")
	cancel()
	ended.Wait()
	if g.free != 64 || len(g.groups) != 0 {
		t.Errorf("%d places are free, %d groups are kept", g.free, len(g.groups))
	}
}

// TestGateInOrder lets those of a pool in as they came, and the pool with less before.
func TestGateInOrder(t *testing.T) {
	g := newGate(2) // one for a pool
	must(t, g.enter(t.Context(), "a"))
	order := make(chan int, 10)
	for number := range 3 {
		go func() {
			if err := g.enter(t.Context(), "a"); err != nil {
				t.Error(err)
			}
			order <- number
		}()
		testkit.Until(t, "waits", func() bool { _, waiting := g.used("a"); return waiting == number+1 })
	}
	for number := range 3 {
		g.leave("a")
		if got := <-order; got != number {
			t.Errorf("%d came instead of %d", got, number)
		}
	}
	g.leave("a")
	if g.free != 2 || len(g.groups) != 0 {
		t.Errorf("%d places are free, %d groups are kept", g.free, len(g.groups))
	}
}

// TestGateRace has all do everything at once.
func TestGateRace(t *testing.T) {
	g := newGate(8)
	var all sync.WaitGroup
	for i := range 500 {
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%3 == 0 {
				go cancel()
			}
			name := strconv.Itoa(i % 5)
			if g.enter(ctx, name) == nil {
				g.leave(name)
			}
		})
	}
	all.Wait()
	if g.free != 8 || len(g.groups) != 0 {
		t.Errorf("%d places are free, %d groups are kept", g.free, len(g.groups))
	}
}
