package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
	"github.com/octavia-envoy/octavia-envoy/store"
)

// guarded keeps a panic over one tenant's tree from ending the controller for all of them.
func (r *Reconciler) guarded(ctx context.Context, id string, log *slog.Logger) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			r.metrics.panics.Inc()
			log.Error("panic while reconciling", "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
			err = fmt.Errorf("internal error: %v", cause)
		}
	}()
	return r.attempt(ctx, id, log)
}

// attempt brings one load balancer to what Octavia wants and notes what to report. It may be repeated at any point.
func (r *Reconciler) attempt(ctx context.Context, id string, log *slog.Logger) error {
	known, intents, err := r.load(ctx, id)
	if err != nil || known == nil {
		return err
	}
	if err := r.here(ctx, id); err != nil {
		return err
	}
	log = log.With("request_id", requestIDs(intents))
	if err := r.barrier(ctx, known); err != nil {
		return fmt.Errorf("wait for Octavia's commit: %w", err)
	}
	tree, err := r.read(ctx, known, intents)
	if errors.Is(err, status.ErrGone) {
		return r.forget(ctx, id, intents, log)
	}
	if err != nil {
		return fmt.Errorf("read the load balancer from Octavia: %w", err)
	}
	held, err := r.confirmed(ctx, known, intents)
	if err != nil {
		return err
	}
	plan := status.NewPlan(tree, held)
	if plan.Desired == nil {
		return r.remove(ctx, id, plan, intents, log)
	}
	unread := r.secrets(ctx, plan.Desired, known.Tree)
	served, err := r.bringAbout(ctx, plan.Desired, asksFailover(intents))
	if err != nil {
		return err
	}
	// Why a secret cannot be read says more than that it is missing.
	rejected := served.rejected
	maps.Copy(rejected, unread)
	revision, err := r.Store.SaveTree(ctx, plan.Desired)
	if err != nil {
		return fmt.Errorf("save the tree: %w", err)
	}
	for _, amphora := range served.amphorae {
		r.noteRevision(amphora.ID, revision)
	}
	if revision != known.Revision {
		// Once for each change, and not with each attempt.
		for _, note := range served.notes {
			log.Info("a part of what was asked for has no effect", string(note.Owner.Kind), note.Owner.ID, "note", note.Text, "revision", revision)
		}
	}
	why := reasons(rejected)
	if known.ProvisioningStatus == model.ProvisioningError {
		// It failed as a whole before, and everything then in the tree may stand in ERROR.
		plan.TouchAll()
	}
	plan.Touch(refusedIn(known.LastError))
	var retry *time.Time
	if len(unread) > 0 {
		// Nobody tells when a secret can be read again.
		again := r.Now().Add(r.RetryInterval)
		retry = &again
	}
	health, err := r.Store.Health(ctx, id)
	if err != nil {
		return fmt.Errorf("read how the load balancer operates: %w", err)
	}
	update := status.Report(plan, rejected, status.NewHealth(*health, r.Now()))
	if len(asked(intents)) == 0 && why == known.LastError && known.ProvisioningStatus == model.ProvisioningActive {
		update = model.StatusUpdate{} // Octavia has been told
	}
	err = r.Store.Finish(ctx, store.Finish{
		LoadBalancerID: id, IntentIDs: ids(intents), Status: update,
		ProvisioningStatus: model.ProvisioningActive, LastError: why, RetryAt: retry,
		Published: revision != known.Revision || !update.Empty(), Refused: slices.Collect(maps.Keys(rejected)),
	})
	if err != nil {
		return fmt.Errorf("note the end of the change: %w", err)
	}
	r.Report()
	if errors.Is(r.here(ctx, id), errElsewhere) {
		// It has left since, and was given there what was published before.
		if err := r.Store.Refresh(ctx, id); err != nil {
			return fmt.Errorf("hand over to another controller: %w", err)
		}
	}
	if len(rejected) > 0 {
		log.Error("a part of the load balancer was refused", "revision", revision, "error", why)
	}
	log.Info("load balancer is as Octavia wants it", "revision", revision, "intents", len(intents))
	return nil
}

// load reads what is to be done; a nil load balancer means that there is nothing.
func (r *Reconciler) load(ctx context.Context, id string) (*store.LoadBalancer, []model.Intent, error) {
	intents, err := r.Store.Intents(ctx, id)
	if err != nil {
		return nil, nil, fmt.Errorf("read the intents: %w", err)
	}
	known, err := r.Store.LoadBalancer(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the load balancer: %w", err)
	}
	if len(intents) == 0 && (known.RetryAt == nil || known.RetryAt.After(r.Now())) {
		return nil, nil, nil
	}
	return known, intents, nil
}

// read reads the tree. The driver-agent cannot put one together without each of its certificates: then it is read from
// Octavia's API, without any. For a deletion the one that was published last is as good.
func (r *Reconciler) read(
	ctx context.Context, known *store.LoadBalancer, intents []model.Intent,
) (*model.LoadBalancer, error) {
	tree, err := r.Octavia.LoadBalancer(ctx, known.ID)
	switch {
	case !errors.Is(err, status.ErrNoAnswer):
		return tree, err
	case known.Tree != nil && deletesAll(intents):
		return known.Tree, nil
	case r.Trees != nil:
		r.Logger.WarnContext(ctx, "the driver-agent cannot read the load balancer: reading it from Octavia's API", "lb", known.ID, "error", err)
		return r.Trees.Tree(ctx, known.ID)
	}
	return nil, err
}

// secrets completes the certificates of the tree, and returns why some are not what the user asked for.
func (r *Reconciler) secrets(ctx context.Context, tree, known *model.LoadBalancer) map[model.Ref]string {
	var unread map[model.Ref]string
	if r.Secrets != nil {
		unread = r.Secrets.Resolve(ctx, tree, known)
	}
	if r.Staples != nil {
		r.Staples.Fill(ctx, tree)
	}
	return unread
}

// barrier waits until the provider call's transaction has ended. It does so by telling Octavia what Octavia has: if that is
// no longer so by then, it is put right.
func (r *Reconciler) barrier(ctx context.Context, known *store.LoadBalancer) error {
	err := r.Octavia.Barrier(ctx, known.ID, known.OperatingStatus)
	if err != nil && ctx.Err() != nil {
		return err
	}
	// Even a barrier that failed may have come through.
	return errors.Join(err, r.Store.Told(ctx, known.ID, known.OperatingStatus))
}
