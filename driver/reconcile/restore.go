package reconcile

import (
	"context"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// Restore gives the xDS caches what the amphorae were last sent. It must end before their port opens: an Envoy that finds
// the caches empty would lose all it has.
func (r *Reconciler) Restore(ctx context.Context) error {
	all, err := r.Store.LoadBalancers(ctx)
	if err != nil {
		return fmt.Errorf("read the load balancers: %w", err)
	}
	amphorae, err := r.Store.Amphorae(ctx, "")
	if err != nil {
		return fmt.Errorf("read the amphorae: %w", err)
	}
	of := map[string][]model.Amphora{}
	for _, amphora := range amphorae {
		of[amphora.LoadBalancerID] = append(of[amphora.LoadBalancerID], amphora)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0)) // it is work of the processor
	for i := range all {
		known := all[i]
		all[i].Tree = nil // all trees and all resources at once would be more memory than ever after
		if known.Tree == nil {
			continue
		}
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return r.restore(ctx, known.Tree, known.Revision, of[known.ID])
		})
	}
	return group.Wait()
}

func (r *Reconciler) restore(ctx context.Context, tree *model.LoadBalancer, revision int64, amphorae []model.Amphora) error {
	resources := r.asPublished(ctx, tree)
	for _, amphora := range amphorae {
		if err := r.Publisher.Restore(amphora.ID, resources); err != nil {
			return fmt.Errorf("restore amphora %s: %w", amphora.ID, err)
		}
		r.noteRevision(amphora.ID, revision)
	}
	return nil
}
