package fair

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
)

// crowd takes turns in goroutines of its own.
type crowd struct {
	t     *testing.T
	turns *Turns
	order []string
}

// come lets so many of a key ask for a place, and waits until they have it or wait for it.
func (c *crowd) come(key string, count int) {
	for range count {
		go func() {
			if err := c.turns.Take(c.t.Context(), key); err == nil {
				c.turns.mu.Lock()
				defer c.turns.mu.Unlock()
				c.order = append(c.order, key)
			}
		}()
		synctest.Wait()
	}
}

// want says who works and who waits.
func (c *crowd) want(what string, working, waiting map[string]int) {
	c.t.Helper()
	for key, count := range working {
		if c.turns.taken[key] != count {
			c.t.Errorf("%s: %d of %q work, want %d", what, c.turns.taken[key], key, count)
		}
	}
	for key, count := range waiting {
		waits := 0
		for _, w := range c.turns.waiting {
			if w.key == key {
				waits++
			}
		}
		if waits != count {
			c.t.Errorf("%s: %d of %q wait, want %d", what, waits, key, count)
		}
	}
}

func (c *crowd) leave(key string) {
	c.turns.Leave(key)
	synctest.Wait()
}

// in runs a test with its own goroutines; who still waits at its end is let go by its context.
func in(t *testing.T, count int, test func(*crowd)) {
	synctest.Test(t, func(t *testing.T) { test(&crowd{t: t, turns: NewTurns(count)}) })
}

// One tenant whose work never ends leaves half of the places, and so do the next ones of what is left.
func TestOneKeyLeavesPlaces(t *testing.T) {
	in(t, 32, func(c *crowd) {
		c.come("dead", 40)
		c.want("alone", map[string]int{"dead": 16}, map[string]int{"dead": 24})
		c.come("small", 1)
		c.want("one more", map[string]int{"dead": 16, "small": 1}, map[string]int{"small": 0})
		c.leave("small")
		for i, tenant := range []string{"a", "b", "c", "d"} {
			c.come(tenant, 40)
			c.want(tenant, map[string]int{tenant: 8 >> i}, nil)
		}
		c.come("small", 1)
		c.want("five tenants have much to do", map[string]int{"small": 1}, map[string]int{"small": 0})
	})
}

// When all places are taken, the one that comes free goes to the tenant with the fewest, however late it came.
func TestFewestFirst(t *testing.T) {
	in(t, 4, func(c *crowd) {
		c.come("many", 9)
		c.come("some", 1)
		c.come("few", 1)
		c.want("full", map[string]int{"many": 2, "some": 1, "few": 1}, map[string]int{"many": 7})
		c.come("late", 1)
		c.come("later", 1)
		c.leave("many")
		c.want("one came free", map[string]int{"many": 1, "late": 1}, map[string]int{"many": 7, "later": 1})
		c.leave("many")
		c.want("of two that have none the one that came first", map[string]int{"many": 1}, map[string]int{"many": 6, "later": 1})
		c.leave("some")
		c.want("another came free", map[string]int{"many": 1, "later": 1}, map[string]int{"many": 6, "later": 0})
		if want := []string{"many", "many", "some", "few", "late", "many", "later"}; !slices.Equal(c.order, want) {
			t.Errorf("the order was %v, want %v", c.order, want)
		}
	})
}

// Whoever stops waiting leaves nothing behind, not even when it was given a place at the same time.
func TestStopWaiting(t *testing.T) {
	in(t, 1, func(c *crowd) {
		c.come("a", 1)
		ctx, cancel := context.WithCancel(c.t.Context())
		stopped := make(chan error, 1)
		go func() { stopped <- c.turns.Take(ctx, "b") }()
		synctest.Wait()
		cancel()
		if err := <-stopped; !errors.Is(err, context.Canceled) {
			t.Errorf("a wait that was stopped ended with %v", err)
		}
		if n := c.turns.Waiting(); n != 0 {
			t.Errorf("%d wait", n)
		}
		c.leave("a")
		for range 100 { // whether it has a place or has not is chance
			if c.turns.Take(ctx, "b") == nil {
				c.turns.Leave("b")
			}
		}
		if c.turns.free != 1 || len(c.turns.taken) != 0 {
			t.Errorf("%d places are free, %v are taken", c.turns.free, c.turns.taken)
		}
	})
}

func TestOnePlace(t *testing.T) {
	in(t, 1, func(c *crowd) {
		c.come("a", 2)
		c.want("one place", map[string]int{"a": 1}, map[string]int{"a": 1})
		c.leave("a")
		c.want("one place", map[string]int{"a": 1}, map[string]int{"a": 0})
	})
}
