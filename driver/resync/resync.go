package resync

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
)

// Store is what the resync needs of package store.
type Store interface {
	LoadBalancers(ctx context.Context) ([]store.LoadBalancer, error)
	LoadBalancer(ctx context.Context, id string) (*store.LoadBalancer, error)
	Intents(ctx context.Context, loadBalancerID string) ([]model.Intent, error)
	Outbox(ctx context.Context, now time.Time) ([]store.OutboxMessage, error)
	AddIntent(ctx context.Context, intent model.Intent, audit store.Audit) (int64, error)
}

// Octavia is Octavia's REST API; API is.
type Octavia interface {
	LoadBalancers(ctx context.Context) ([]Object, error)
	LoadBalancer(ctx context.Context, id string) (Object, bool, error)
	Children(ctx context.Context, loadBalancerID string) ([]Object, error)
}

// Agent is the driver-agent; status.Agent is.
type Agent interface {
	// LoadBalancer fails with status.ErrGone when Octavia does not have it.
	LoadBalancer(ctx context.Context, id string) (*model.LoadBalancer, error)
}

// Options is what a Resync needs.
type Options struct {
	Store   Store
	Octavia Octavia
	Agent   Agent
	Logger  *slog.Logger
	// Registry takes the metrics; nil keeps none.
	Registry prometheus.Registerer
	// Interval is the time between two rounds.
	Interval time.Duration
	// PendingAge is how long an object must have been PENDING until it is taken up: longer than a provider call may take
	// to commit, for the intent of a call that is under way may not be there yet.
	PendingAge time.Duration
	// Wake is called when intents were added.
	Wake func()
	// Now is the clock; nil is time.Now. Octavia's should not differ from it by much of PendingAge.
	Now func() time.Time
}

// roundTimeout bounds a round. A round that was cut short has added what it found.
const roundTimeout = 5 * time.Minute

// Resync compares Octavia with the store from time to time. Only one round runs at a time.
type Resync struct {
	Options
	metrics metrics
	// scanned holds when the load balancers whose children were looked at last had changed.
	scanned map[string]time.Time
	// missing holds the load balancers that the last round did not find in Octavia.
	missing map[string]bool
}

// New makes a Resync; nothing runs before Run.
func New(options Options) *Resync {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Wake == nil {
		options.Wake = func() {}
	}
	return &Resync{
		Options: options, metrics: newMetrics(options.Registry),
		scanned: map[string]time.Time{}, missing: map[string]bool{},
	}
}

// Run makes a round at once and then one every Interval, until ctx ends. A round that fails is repeated, for instance
// until Keystone is up.
func (r *Resync) Run(ctx context.Context) error {
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval, retry.MaxInterval = time.Second, r.Interval
	for {
		wait := r.Interval
		err := r.bounded(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			wait = retry.NextBackOff()
			r.metrics.rounds.WithLabelValues("error").Inc()
			r.Logger.Warn("compare the store with Octavia: trying again", "error", err, "in", wait)
		default:
			retry.Reset()
			r.metrics.rounds.WithLabelValues("ok").Inc()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

func (r *Resync) bounded(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, roundTimeout)
	defer cancel()
	added, err := r.Round(ctx)
	if added > 0 {
		r.Wake()
	}
	return err
}

// Round compares once and returns how many intents it added, even with an error. A load balancer that cannot be looked
// at does not keep it from the others.
func (r *Resync) Round(ctx context.Context) (added int, err error) {
	// The store first: a load balancer that is created in between is then in Octavia's list only, where it is PENDING and
	// young, and not in the store only, where it would seem deleted.
	known, err := r.Store.LoadBalancers(ctx)
	if err != nil {
		return 0, err
	}
	listed, err := r.Octavia.LoadBalancers(ctx)
	if err != nil {
		return 0, err
	}
	unsent, err := r.unsent(ctx)
	if err != nil {
		return 0, err
	}
	inStore, inOctavia := map[string]bool{}, map[string]bool{}
	for _, lb := range known {
		inStore[lb.ID] = true
	}
	var problems []error
	note := func(lb string, intents []model.Intent, reason string, err error) {
		if err == nil {
			var count int
			count, err = r.add(ctx, intents, reason)
			added += count
		}
		if err != nil {
			r.Logger.Warn("look at a load balancer", "lb", lb, "error", err)
			problems = append(problems, err)
		}
	}
	for _, lb := range listed {
		inOctavia[lb.ID] = true
		if !unsent[lb.ID] {
			intents, reason, err := r.compare(ctx, lb, inStore[lb.ID])
			note(lb.ID, intents, reason, err)
		}
	}
	missing := map[string]bool{}
	for _, lb := range known {
		if inOctavia[lb.ID] || unsent[lb.ID] {
			continue
		}
		missing[lb.ID] = true
		if r.missing[lb.ID] {
			intents, err := r.orphan(ctx, lb.ID)
			note(lb.ID, intents, reasonOrphan, err)
		}
	}
	r.missing = missing
	for id := range r.scanned {
		if !inOctavia[id] {
			delete(r.scanned, id)
		}
	}
	return added, errors.Join(problems...)
}

// farFuture makes the outbox return messages that wait for their next attempt, too.
const farFuture = 365 * 24 * time.Hour

// unsent are the load balancers with a status that Octavia is still to be told: their PENDING ends without our help.
func (r *Resync) unsent(ctx context.Context) (map[string]bool, error) {
	messages, err := r.Store.Outbox(ctx, r.Now().Add(farFuture))
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	for _, message := range messages {
		all[message.LoadBalancerID] = true
	}
	return all, nil
}
