package status

import (
	"context"
	"errors"
	"time"

	"github.com/octavia-envoy/octavia-envoy/store"
)

// errElsewhere is a load balancer whose messages another replica sends.
var errElsewhere = errors.New("another controller sends the messages of this load balancer")

// turn is the sending of one message: a place among the Sender's, and the sole right to send for that load balancer.
type turn struct {
	sender  *Sender
	message store.OutboxMessage
	// placed says that there is a place, acquired when the right was asked for last; zero without it.
	placed   bool
	acquired time.Time
}

// take waits for a place.
func (t *turn) take(ctx context.Context) error {
	err := t.sender.turns.Take(ctx, t.message.ProjectID)
	t.placed = err == nil
	return err
}

// acquire makes sure that nobody else sends, for longer than one part takes.
func (t *turn) acquire(ctx context.Context) error {
	s := t.sender
	now := s.Now()
	if s.Owner == "" || !t.acquired.IsZero() && now.Sub(t.acquired) < renewAfter {
		return nil
	}
	got, err := s.Outbox.AcquireSending(ctx, t.message.LoadBalancerID, s.Owner, sendingTTL)
	switch {
	case err != nil:
		return err
	case !got:
		t.acquired = time.Time{}
		return errElsewhere
	}
	t.acquired = now
	return nil
}

// yield lets others have the place for a while.
func (t *turn) yield(ctx context.Context) error {
	t.leave()
	return t.take(ctx)
}

func (t *turn) leave() {
	if t.placed {
		t.sender.turns.Leave(t.message.ProjectID)
		t.placed = false
	}
}

// end gives back what there is, also while the process ends.
func (t *turn) end(ctx context.Context) {
	t.leave()
	if t.acquired.IsZero() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), bookkeeping)
	defer cancel()
	if err := t.sender.Outbox.ReleaseSending(ctx, t.message.LoadBalancerID, t.sender.Owner); err != nil {
		// It also expires.
		t.sender.Logger.Warn("give back the right to send", "lb", t.message.LoadBalancerID, "error", err)
	}
}
