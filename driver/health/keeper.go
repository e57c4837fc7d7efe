package health

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
)

// Store is what the Keeper needs of package store.
type Store interface {
	Amphorae(ctx context.Context, loadBalancerID string) ([]model.Amphora, error)
	AmphoraHealth(ctx context.Context, loadBalancerID string) ([]store.AmphoraHealth, error)
	PutAmphoraHealth(ctx context.Context, loadBalancerID string, views []store.AmphoraHealth) (unsettled bool, err error)
	Unsettled(ctx context.Context) ([]string, error)
	Unsettle(ctx context.Context, loadBalancerID string) error
	Settle(ctx context.Context, loadBalancerID string, decide func(store.Health) store.Settlement) (model.StatusUpdate, error)
	OldestChange(ctx context.Context) (time.Time, error)
}

// Options is what a Keeper needs.
type Options struct {
	Store Store
	// Report is called when a message is in the outbox.
	Report func()
	Logger *slog.Logger
	// Registry takes the metrics; nil keeps none.
	Registry prometheus.Registerer
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

const (
	// poll is how often unsettled load balancers are looked for.
	poll = time.Second
	// writeEvery is how often what amphorae of one load balancer say is written, at most.
	writeEvery = time.Second
	// awayEvery is how often it is looked for amphorae that went away or came back.
	awayEvery = 15 * time.Second
	// parallel is how many load balancers are worked on at once.
	parallel = 8
)

// Keeper keeps what amphorae say and tells Octavia what comes of it.
type Keeper struct {
	Options
	metrics metrics
	// heard says that something is to be written, look that something may be to be settled.
	heard, look chan struct{}
	slots       chan struct{}

	mu sync.Mutex
	// pending holds, by load balancer, what is to be written.
	pending map[string]*pending
	// written holds when that was last done.
	written map[string]time.Time
	// working holds the load balancers that a goroutine works on.
	working map[string]bool
	// away holds, by load balancer with several amphorae, which were away at the last look.
	away map[string]string
}

// New makes a Keeper; nothing is written before Run.
func New(options Options) *Keeper {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Report == nil {
		options.Report = func() {}
	}
	return &Keeper{
		Options: options, metrics: newMetrics(options.Registry),
		heard: make(chan struct{}, 1), look: make(chan struct{}, 1), slots: make(chan struct{}, parallel),
		pending: map[string]*pending{}, written: map[string]time.Time{}, working: map[string]bool{}, away: map[string]string{},
	}
}

// Hear takes what an amphora says. It does not wait for anything; it fits amphora.FleetOptions.Health.
func (k *Keeper) Hear(_ context.Context, amphora model.Amphora, report *agentapiv1.HealthReport) {
	k.mu.Lock()
	of := k.pending[amphora.LoadBalancerID]
	if of == nil {
		of = &pending{}
		k.pending[amphora.LoadBalancerID] = of
	}
	superseded := of.add(amphora.ID, newNews(report))
	k.mu.Unlock()
	k.metrics.report(report.GetWhole())
	k.metrics.coalesced.Add(float64(superseded))
	signal(k.heard)
}

// Wake makes the Keeper look for what is to be said: a message is out of the outbox.
func (k *Keeper) Wake() { signal(k.look) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run writes and settles until ctx ends, then waits for what is under way.
func (k *Keeper) Run(ctx context.Context) error {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	var workers sync.WaitGroup
	defer workers.Wait()
	// The rules may have changed with the program.
	anew := k.Store.Unsettle(ctx, "")
	looked := k.Now()
	k.lookAround(ctx)
	for {
		if anew != nil && ctx.Err() == nil {
			k.Logger.Error("settle all load balancers anew", "error", anew)
			anew = k.Store.Unsettle(ctx, "")
		}
		for _, id := range k.unsettled(ctx) {
			k.work(ctx, &workers, id, false)
		}
		for waiting := true; waiting; {
			for _, id := range k.due() {
				k.work(ctx, &workers, id, true)
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-k.heard:
			case <-k.look:
				waiting = false
			case <-ticker.C:
				waiting = false
			}
		}
		if k.Now().Sub(looked) >= awayEvery {
			looked = k.Now()
			k.lookAround(ctx)
		}
	}
}

func (k *Keeper) unsettled(ctx context.Context) []string {
	ids, err := k.Store.Unsettled(ctx)
	oldest, ageErr := k.Store.OldestChange(ctx)
	if err = errors.Join(err, ageErr); err != nil {
		if ctx.Err() == nil {
			k.Logger.Error("look for unsettled load balancers", "error", err)
		}
		return ids
	}
	k.metrics.age(oldest, k.Now())
	return ids
}

// due are the load balancers of which something is to be written now.
func (k *Keeper) due() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.Now()
	for id, at := range k.written {
		if now.Sub(at) >= writeEvery {
			delete(k.written, id)
		}
	}
	var ids []string
	for id := range k.pending {
		if _, lately := k.written[id]; !lately {
			ids = append(ids, id)
		}
	}
	return ids
}

// work writes, if that is to be done, and settles, in a goroutine of its own, unless there is one already.
func (k *Keeper) work(ctx context.Context, workers *sync.WaitGroup, id string, write bool) {
	k.mu.Lock()
	busy := k.working[id]
	k.working[id] = true
	k.mu.Unlock()
	if busy {
		return
	}
	workers.Go(func() {
		defer func() {
			k.mu.Lock()
			defer k.mu.Unlock()
			delete(k.working, id)
			if k.pending[id] != nil {
				signal(k.heard)
			}
		}()
		select {
		case k.slots <- struct{}{}:
			defer func() { <-k.slots }()
		case <-ctx.Done():
			return
		}
		if write {
			k.write(ctx, id)
		}
		k.settle(ctx, id)
	})
}
