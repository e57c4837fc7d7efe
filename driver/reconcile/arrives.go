package reconcile

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// errElsewhere is a load balancer whose amphora has its connections to another replica, which will do the work.
var errElsewhere = errors.New("the amphora is connected to another controller")

// Arrives is called when an amphora's Envoy connects, before it is told anything. It may have been connected to another
// replica before, and be ahead of what this one knows: to tell it that would take back what it has, and remove nothing of
// what is not wanted any more. So what was published last is read from the store, unless it is known here.
func (r *Reconciler) Arrives(ctx context.Context, amphoraID string) error {
	amphora, err := r.Store.Amphora(ctx, amphoraID)
	if errors.Is(err, store.ErrNotFound) {
		return nil // nothing is told to strangers
	}
	if err != nil {
		return fmt.Errorf("read the amphora: %w", err)
	}
	revision, err := r.Store.Revision(ctx, amphora.LoadBalancerID)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the load balancer: %w", err)
	}
	if r.revision(amphoraID) == revision {
		return nil
	}
	return r.Publisher.Refresh(ctx, amphoraID, func(ctx context.Context) (*translate.Resources, error) {
		known, err := r.Store.LoadBalancer(ctx, amphora.LoadBalancerID)
		if err != nil {
			return nil, fmt.Errorf("read the load balancer: %w", err)
		}
		if known.Tree == nil {
			return nil, nil
		}
		r.noteRevision(amphoraID, known.Revision)
		return r.asPublished(ctx, known.Tree), nil
	})
}

// asPublished translates a stored tree to what its amphorae were last sent.
func (r *Reconciler) asPublished(ctx context.Context, tree *model.LoadBalancer) *translate.Resources {
	tree = tree.Copy()
	if r.Staples != nil {
		r.Staples.Fill(ctx, tree)
	}
	resources, _ := r.translate(tree, translate.LoadBalancer)
	return resources
}

// revision is the one that this process gave an amphora last; 0 for none.
func (r *Reconciler) revision(amphoraID string) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.revisions[amphoraID]
}

func (r *Reconciler) noteRevision(amphoraID string, revision int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.revisions[amphoraID] = revision
}

// here returns errElsewhere when another replica has to do the work.
func (r *Reconciler) here(ctx context.Context, id string) error {
	if r.Elsewhere == nil {
		return nil
	}
	amphorae, err := r.Store.Amphorae(ctx, id)
	if err != nil {
		return fmt.Errorf("read the amphorae: %w", err)
	}
	for _, amphora := range amphorae {
		if amphora.Status == model.AmphoraAllocated && r.Elsewhere(amphora) {
			return fmt.Errorf("%w: %s", errElsewhere, amphora.ID)
		}
	}
	return nil
}

// whileHere returns a context that ends, with errElsewhere, when the amphora connects to another replica: what is waited for
// will not come here.
func (r *Reconciler) whileHere(ctx context.Context, id string) (context.Context, context.CancelFunc) {
	if r.Elsewhere == nil {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var looking sync.WaitGroup
	looking.Go(func() {
		ticker := time.NewTicker(pollInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if err := r.here(ctx, id); errors.Is(err, errElsewhere) {
					cancel(err)
				}
			}
		}
	})
	return ctx, func() { cancel(nil); looking.Wait() }
}
