package publish

import (
	"context"
	"time"

	"github.com/octavia-envoy/octavia-envoy/xds/server"
)

const (
	// patience is how long Publish calls may follow each other without that one comes to its end. From then on one that runs
	// is not interrupted within undisturbed, which is enough for all phases that come to their end at all.
	patience    = 5 * time.Second
	undisturbed = 20 * time.Second
)

// holder is a Publish that runs, or waits for its turn.
type holder struct {
	cancel context.CancelCauseFunc
	// began is when it got the turn, and until when it may not be interrupted.
	began, until time.Time
}

func (p *Publisher) state(node string) *state {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stateLocked(node)
}

func (p *Publisher) stateLocked(node string) *state {
	st := p.nodes[node]
	if st == nil {
		st = &state{
			turn: make(chan struct{}, 1), pending: map[server.Key]string{}, led: map[string]struct{}{},
			leaving: map[string]map[string]time.Time{},
		}
		st.turn <- struct{}{}
		p.nodes[node] = st
	}
	return st
}

// turn takes the place of an older Publish of the node that waits, interrupts the one that runs as soon as that may be, and
// waits until it has let go. The context that it returns ends when a newer one comes; done hands the turn on, and is told
// whether the Publish came to its end.
func (p *Publisher) turn(ctx context.Context, node string) (*state, context.Context, func(ended bool), error) {
	ctx, cancel := context.WithCancelCause(ctx)
	self := &holder{cancel: cancel}
	p.mu.Lock()
	st := p.stateLocked(node)
	if st.waiting != nil {
		st.waiting.cancel(ErrSuperseded)
	}
	st.waiting = self
	running := st.running
	p.mu.Unlock()

	var interrupt <-chan time.Time
	if running != nil {
		timer := time.NewTimer(time.Until(running.until))
		defer timer.Stop()
		interrupt = timer.C
	}
	for {
		select {
		case <-interrupt:
			running.cancel(ErrSuperseded)
		case <-ctx.Done():
			p.leave(st, self)
			return nil, nil, nil, context.Cause(ctx)
		case <-st.turn:
			if p.begin(ctx, st, self) {
				return st, ctx, func(ended bool) { p.end(st, self, ended) }, nil
			}
			st.turn <- struct{}{}
			return nil, nil, nil, context.Cause(ctx)
		}
	}
}

// begin notes that self runs, unless a newer one has come.
func (p *Publisher) begin(ctx context.Context, st *state, self *holder) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil {
		return false
	}
	self.began = time.Now()
	self.until = self.began
	if !st.unfinished.IsZero() && self.began.Sub(st.unfinished) > patience {
		self.until = self.began.Add(undisturbed)
	}
	st.running, st.waiting = self, nil
	st.count++
	return true
}

func (p *Publisher) end(st *state, self *holder, ended bool) {
	p.mu.Lock()
	st.running = nil
	switch {
	case ended:
		st.unfinished = time.Time{}
	case st.unfinished.IsZero():
		st.unfinished = self.began
	}
	p.mu.Unlock()
	self.cancel(nil)
	st.turn <- struct{}{}
}

// leave ends a wait for the turn.
func (p *Publisher) leave(st *state, self *holder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if st.waiting == self {
		st.waiting = nil
	}
	self.cancel(nil)
}
