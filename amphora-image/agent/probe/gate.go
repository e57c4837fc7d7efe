package probe

import (
	"context"
	"sync"
)

// gate bounds how many checks hold descriptors at a time, so that no pool keeps the others from being checked: a pool has
// at most as many as are left free (the dynamic threshold of Choudhury and Hahne, which shares buffers in switches). One
// pool of members that hang so gets half of the places, two a third each; there is always a place for the next one.
type gate struct {
	mu     sync.Mutex
	free   int
	groups map[string]*group
}

// group is the checks of a pool; it is in the map while it has any.
type group struct {
	used    int
	waiting []chan struct{} // in the order they came
}

func newGate(places int) *gate { return &gate{free: places, groups: map[string]*group{}} }

// enter waits for a place. Its error is the context's.
func (g *gate) enter(ctx context.Context, name string) error {
	g.mu.Lock()
	own := g.groups[name]
	if own == nil {
		own = &group{}
		g.groups[name] = own
	}
	if len(own.waiting) == 0 && own.used < g.free {
		g.take(own)
		g.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	own.waiting = append(own.waiting, turn)
	g.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, other := range own.waiting {
		if other == turn {
			own.waiting = append(own.waiting[:i], own.waiting[i+1:]...)
			g.forget(name, own)
			return ctx.Err()
		}
	}
	g.release(name, own) // the turn came at the same moment
	return ctx.Err()
}

// leave gives a place back.
func (g *gate) leave(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.release(name, g.groups[name])
}

func (g *gate) take(own *group) {
	own.used++
	g.free--
}

func (g *gate) release(name string, own *group) {
	own.used--
	g.free++
	for {
		var next *group // that has the least
		for _, candidate := range g.groups {
			if len(candidate.waiting) > 0 && candidate.used < g.free && (next == nil || candidate.used < next.used) {
				next = candidate
			}
		}
		if next == nil {
			break
		}
		g.take(next)
		close(next.waiting[0])
		next.waiting = next.waiting[1:]
	}
	g.forget(name, own)
}

func (g *gate) forget(name string, own *group) {
	if own.used == 0 && len(own.waiting) == 0 {
		delete(g.groups, name)
	}
}
