// Package fair shares places to work among tenants, so that one that has much to do, or whose work is slow, delays no other.
package fair

import (
	"context"
	"slices"
	"sync"
)

// Turns are a number of places that are shared among keys, which are tenants. A key is given one only while it has fewer than
// are free: so one key alone has at most half of them, the next at most half of the rest, and a key that has none waits only
// if all are taken, for which it needs several other keys that each have much to do (four of 8 places, five of 16, six of 32).
//
// Of those that wait the key that has the fewest is first, and of the same the one that came first. A place is never taken
// away from whom it was given.
type Turns struct {
	mu      sync.Mutex
	free    int
	taken   map[string]int
	waiting []*wait
}

type wait struct {
	key   string
	given chan struct{}
}

// NewTurns makes so many places, at least one.
func NewTurns(count int) *Turns { return &Turns{free: max(count, 1), taken: map[string]int{}} }

// Take waits for a place. Whoever has one calls Leave.
func (t *Turns) Take(ctx context.Context, key string) error {
	w := &wait{key: key, given: make(chan struct{})}
	t.mu.Lock()
	t.waiting = append(t.waiting, w)
	t.give()
	t.mu.Unlock()
	select {
	case <-w.given:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.waiting, w); i >= 0 {
		t.waiting = slices.Delete(t.waiting, i, i+1)
	} else {
		t.leave(key)
	}
	return context.Cause(ctx)
}

// Leave gives a place back.
func (t *Turns) Leave(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leave(key)
}

func (t *Turns) leave(key string) {
	t.free++
	if t.taken[key]--; t.taken[key] == 0 {
		delete(t.taken, key)
	}
	t.give()
}

// give gives places to those whose turn it is; t.mu is held.
func (t *Turns) give() {
	for len(t.waiting) > 0 {
		first := 0
		for i, w := range t.waiting {
			if t.taken[w.key] < t.taken[t.waiting[first].key] {
				first = i
			}
		}
		next := t.waiting[first]
		if t.taken[next.key] >= t.free {
			return
		}
		t.waiting = slices.Delete(t.waiting, first, first+1)
		t.taken[next.key]++
		t.free--
		close(next.given)
	}
}

// Waiting counts those that wait for a place.
func (t *Turns) Waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.waiting)
}
