package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

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
	log = log.With("request_id", requestIDs(intents))
	if err := r.Octavia.Barrier(ctx, id, known.OperatingStatus); err != nil {
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
	plan := status.NewPlan(tree, known.Tree, held)
	if plan.Desired == nil {
		return r.remove(ctx, id, plan, intents, log)
	}
	rejected, err := r.bringAbout(ctx, plan.Desired, asksFailover(intents))
	if err != nil {
		return err
	}
	revision, err := r.Store.SaveTree(ctx, plan.Desired)
	if err != nil {
		return fmt.Errorf("save the tree: %w", err)
	}
	if known.ProvisioningStatus == model.ProvisioningError {
		// It failed as a whole before, and everything then in the tree may stand in ERROR.
		plan.TouchAll()
	}
	update := status.Report(plan, rejected)
	err = r.Store.Finish(ctx, store.Finish{
		LoadBalancerID: id, IntentIDs: ids(intents), Status: update,
		ProvisioningStatus: model.ProvisioningActive, OperatingStatus: operatingStatus(update, known.OperatingStatus),
		LastError: reasons(rejected),
	})
	if err != nil {
		return fmt.Errorf("note the end of the change: %w", err)
	}
	r.Report()
	if len(rejected) > 0 {
		log.Error("a part of the load balancer was refused", "revision", revision, "error", reasons(rejected))
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

// read reads the tree. Octavia cannot put one together without each of its certificates; for a deletion, or to report a
// failure, the one that was published last is as good.
func (r *Reconciler) read(
	ctx context.Context, known *store.LoadBalancer, intents []model.Intent,
) (*model.LoadBalancer, error) {
	tree, err := r.Octavia.LoadBalancer(ctx, known.ID)
	if errors.Is(err, status.ErrNoAnswer) && known.Tree != nil && deletesAll(intents) {
		return known.Tree, nil
	}
	return tree, err
}

// operatingStatus is what Octavia will have for the load balancer after the update.
func operatingStatus(update model.StatusUpdate, before model.OperatingStatus) model.OperatingStatus {
	for _, record := range update.LoadBalancers {
		if record.OperatingStatus != "" {
			return record.OperatingStatus
		}
	}
	return before
}
