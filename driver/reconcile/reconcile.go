package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/octavia-envoy/octavia-envoy/driver/fair"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/xds/publish"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// Store is what the loop needs of package store.
type Store interface {
	LoadBalancersWithWork(ctx context.Context) ([]store.Work, error)
	LoadBalancers(ctx context.Context) ([]store.LoadBalancer, error)
	LoadBalancer(ctx context.Context, id string) (*store.LoadBalancer, error)
	Intents(ctx context.Context, loadBalancerID string) ([]model.Intent, error)
	SaveTree(ctx context.Context, tree *model.LoadBalancer) (int64, error)
	Finish(ctx context.Context, finish store.Finish) error
	// Health is what the amphorae say of the load balancer, and what Octavia was told.
	Health(ctx context.Context, loadBalancerID string) (*store.Health, error)
	// Told says what the commit barrier wrote.
	Told(ctx context.Context, loadBalancerID string, status model.OperatingStatus) error
	Amphorae(ctx context.Context, loadBalancerID string) ([]model.Amphora, error)
	Amphora(ctx context.Context, id string) (*model.Amphora, error)
	// Revision counts the changes of the tree; 0 before the first was saved.
	Revision(ctx context.Context, loadBalancerID string) (int64, error)
	DeleteVIPPort(ctx context.Context, loadBalancerID string) error
	// Refresh makes a load balancer due.
	Refresh(ctx context.Context, loadBalancerID string) error
	AcquireLease(ctx context.Context, loadBalancerID, owner string, ttl time.Duration) (bool, error)
	ReleaseLease(ctx context.Context, loadBalancerID, owner string) error
}

// Octavia is the driver-agent: the commit barrier and the truth.
type Octavia interface {
	// Barrier returns when the provider call's transaction in Octavia's database has ended.
	Barrier(ctx context.Context, loadBalancerID string, current model.OperatingStatus) error
	// LoadBalancer reads a load balancer's tree; status.ErrGone when it does not exist or is deleted.
	LoadBalancer(ctx context.Context, id string) (*model.LoadBalancer, error)
}

// Amphorae gives load balancers something to run on.
type Amphorae interface {
	// Ensure returns the load balancer's amphorae, ready; it builds those that are missing.
	Ensure(ctx context.Context, tree *model.LoadBalancer) ([]model.Amphora, error)
	// Delete leaves nothing of the load balancer's amphorae; it may be repeated.
	Delete(ctx context.Context, loadBalancerID string) error
}

// Publisher brings resources to an amphora.
type Publisher interface {
	Publish(ctx context.Context, node string, want *translate.Resources) (publish.Result, error)
	// Restore says what an amphora already has, before it connects.
	Restore(node string, resources *translate.Resources) error
	// Refresh says what an amphora has by now, maybe from another controller, unless it is being published to.
	Refresh(ctx context.Context, node string, load func(context.Context) (*translate.Resources, error)) error
	// Remove drops all that is known of an amphora.
	Remove(node string)
}

// VIPs frees the VIP port of a load balancer whose creation Octavia rolled back.
type VIPs interface {
	DeallocateVIP(ctx context.Context, loadBalancerID string) error
}

// Trees is a second way to a load balancer's tree, without certificates, for when the driver-agent cannot read one of them.
type Trees interface {
	// Tree returns status.ErrGone for a load balancer that Octavia does not have.
	Tree(ctx context.Context, id string) (*model.LoadBalancer, error)
}

// Secrets fills in the certificates that a tree lacks.
type Secrets interface {
	// Resolve takes what cannot be read from the tree that was published before, and returns why, by object.
	Resolve(ctx context.Context, tree, known *model.LoadBalancer) map[model.Ref]string
}

// Staples knows what is stapled to certificates.
type Staples interface {
	Fill(ctx context.Context, tree *model.LoadBalancer)
	Forget(loadBalancerID string)
}

// Options are the parts and bounds of a Reconciler.
type Options struct {
	Store     Store
	Octavia   Octavia
	Amphorae  Amphorae
	Publisher Publisher
	// Statuses may be nil: then every accepted deletion counts as committed.
	Statuses Statuses
	// VIPs may be nil: then Octavia makes and frees VIP ports itself.
	VIPs VIPs
	// Trees may be nil: then a load balancer with a certificate that Octavia cannot read stays as it is.
	Trees Trees
	// Secrets may be nil: then what Octavia does not hand over is missing.
	Secrets Secrets
	// Staples may be nil: then nothing is stapled.
	Staples Staples
	// Elsewhere says whether an amphora is connected to another replica; nil is never.
	Elsewhere func(model.Amphora) bool
	// Gone is called with the id of a load balancer that was deleted; it may be nil.
	Gone func(loadBalancerID string)
	// Report is called when a status waits in the outbox.
	Report func()
	// Owner names this replica in leases.
	Owner string
	// Deadline is how long the first failure of a change may lie back until it is reported as ERROR.
	Deadline time.Duration
	// RetryInterval is how long a load balancer in ERROR waits for its next attempt.
	RetryInterval time.Duration
	// Parallel is how many load balancers are worked on at once; those of one project are at most half of them.
	Parallel int
	// Mutate may spoil resources before they are published; for tests of failures, nil otherwise.
	Mutate   func(*model.LoadBalancer, *translate.Resources)
	Registry prometheus.Registerer
	Logger   *slog.Logger
	Now      func() time.Time
}

// attemptTimeout bounds one attempt. leaseTTL is longer, so that no second replica starts while the first still works.
const (
	attemptTimeout = 60 * time.Second
	leaseTTL       = 90 * time.Second
	pollInterval   = time.Second
)

// Reconciler is the loop.
type Reconciler struct {
	Options
	wake    chan struct{}
	turns   *fair.Turns
	metrics metrics
	// translator remembers the load balancers that change.
	translator *translate.Translator

	mu sync.Mutex
	// working holds the load balancers that a goroutine works on.
	working map[string]bool
	// revisions are those of the load balancer's tree that amphorae were given by this process.
	revisions map[string]int64
}

// New makes a loop; nothing runs before Run.
func New(options Options) *Reconciler {
	if options.Now == nil {
		options.Now = time.Now
	}
	turns := fair.NewTurns(options.Parallel)
	return &Reconciler{
		Options: options,
		wake:    make(chan struct{}, 1),
		turns:   turns,
		metrics: newMetrics(options.Registry, turns.Waiting), translator: translate.NewTranslator(),
		working: map[string]bool{}, revisions: map[string]int64{},
	}
}

// Wake makes the loop look for work now.
func (r *Reconciler) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run works until ctx ends, then waits for what is under way to notice.
func (r *Reconciler) Run(ctx context.Context) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	var workers sync.WaitGroup
	defer workers.Wait()
	for {
		due, err := r.Store.LoadBalancersWithWork(ctx)
		if err != nil && ctx.Err() == nil {
			r.Logger.Error("look for work", "error", err)
		}
		for _, work := range due {
			if !r.start(work.LoadBalancerID) {
				continue
			}
			workers.Go(func() {
				defer r.done(work.LoadBalancerID)
				r.work(ctx, work)
			})
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.wake:
		case <-ticker.C:
		}
	}
}

// start claims a load balancer for a goroutine of this process.
func (r *Reconciler) start(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.working[id] {
		return false
	}
	r.working[id] = true
	r.metrics.working.Set(float64(len(r.working)))
	return true
}

// done gives it back and looks again at once: an intent may have come in after the last look.
func (r *Reconciler) done(id string) {
	r.mu.Lock()
	delete(r.working, id)
	r.metrics.working.Set(float64(len(r.working)))
	r.mu.Unlock()
	r.Wake()
}

// errBusy is another replica at work on the same load balancer.
var errBusy = errors.New("another controller works on this load balancer")

// work attempts until an attempt ends well or the deadline has passed and the failure is reported.
func (r *Reconciler) work(ctx context.Context, work store.Work) {
	id := work.LoadBalancerID
	log := r.Logger.With("lb", id)
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 200*time.Millisecond, 5*time.Second
	started := r.Now()
	for ctx.Err() == nil {
		err := r.inTurn(ctx, work, log, func(ctx context.Context) (err error) {
			begin := r.Now()
			defer func() { r.metrics.observe(r.Now().Sub(begin), err) }()
			return r.guarded(ctx, id, log)
		})
		switch {
		case err == nil, ctx.Err() != nil:
			return
		case errors.Is(err, errBusy), errors.Is(err, errElsewhere), errors.Is(err, store.ErrLeaseLost):
			// It may be done with what is to do, or die: look again until one or the other.
			started = r.Now()
		case errors.Is(err, status.ErrUnreachable), errors.Is(err, errUnconfirmed):
			// Without the driver-agent nothing could be reported either: the intents wait for Octavia, however long.
			log.Warn("octavia is unreachable: waiting", "error", err)
		case r.Now().Sub(started) > r.Deadline:
			failed := r.inTurn(ctx, work, log, func(ctx context.Context) error { return r.giveUp(ctx, id, err, log) })
			if failed == nil {
				return
			}
		default:
			log.Warn("attempt failed: trying again", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause.NextBackOff()):
		}
	}
}

// inTurn does something with a load balancer when its project's turn has come and no other replica is at it.
func (r *Reconciler) inTurn(ctx context.Context, work store.Work, log *slog.Logger, do func(context.Context) error) error {
	if err := r.turns.Take(ctx, work.ProjectID); err != nil {
		return err
	}
	defer r.turns.Leave(work.ProjectID)
	return r.leased(ctx, work.LoadBalancerID, log, do)
}

// leased does what only one replica may do at a time, and ends it well before the lease does. One that could not end it,
// because the machine stood still, can write nothing any more.
func (r *Reconciler) leased(ctx context.Context, id string, log *slog.Logger, do func(context.Context) error) error {
	// From before the lease was asked for: it may have been given at any time since.
	bounded, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	acquired, err := r.Store.AcquireLease(bounded, id, r.Owner, leaseTTL)
	if err != nil {
		return err
	}
	if !acquired {
		return errBusy
	}
	defer func() {
		// The lease also expires: a release that fails costs time, nothing else.
		if released := r.Store.ReleaseLease(context.WithoutCancel(ctx), id, r.Owner); released != nil {
			log.Warn("release the lease", "error", released)
		}
	}()
	return do(store.Holding(bounded, r.Owner))
}
