package publish

import (
	"context"

	"github.com/octavia-envoy/octavia-envoy/xds/server"
)

func (p *Publisher) state(node string) *state {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stateLocked(node)
}

func (p *Publisher) stateLocked(node string) *state {
	st := p.nodes[node]
	if st == nil {
		st = &state{turn: make(chan struct{}, 1), pending: map[server.Key]string{}}
		st.turn <- struct{}{}
		p.nodes[node] = st
	}
	return st
}

// turn interrupts an older Publish of the node and waits until it has let go. The context that it returns ends when a
// newer one comes; done hands the turn on.
func (p *Publisher) turn(ctx context.Context, node string) (*state, context.Context, func(), error) {
	ctx, cancel := context.WithCancelCause(ctx)
	p.mu.Lock()
	st := p.stateLocked(node)
	if st.cancel != nil {
		st.cancel(ErrSuperseded)
	}
	st.newest++
	number := st.newest
	st.cancel = cancel
	p.mu.Unlock()

	release := func() {
		p.mu.Lock()
		if st.newest == number {
			st.cancel = nil
		}
		p.mu.Unlock()
		cancel(nil)
	}
	select {
	case <-st.turn:
	case <-ctx.Done():
		err := context.Cause(ctx)
		release()
		return nil, nil, nil, err
	}
	if ctx.Err() != nil {
		err := context.Cause(ctx)
		st.turn <- struct{}{}
		release()
		return nil, nil, nil, err
	}
	return st, ctx, func() {
		st.turn <- struct{}{}
		release()
	}, nil
}
