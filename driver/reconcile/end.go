package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
	"github.com/octavia-envoy/octavia-envoy/store"
)

// remove ends a load balancer that Octavia deletes.
func (r *Reconciler) remove(
	ctx context.Context, id string, plan status.Plan, intents []model.Intent, log *slog.Logger,
) error {
	if err := r.deleteAmphorae(ctx, id); err != nil {
		return err
	}
	// Octavia frees the VIP port on DELETED; there is nothing left for us to look after.
	if err := r.Store.DeleteVIPPort(ctx, id); err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("let go of the VIP port: %w", err)
	}
	err := r.Store.Finish(ctx, store.Finish{
		LoadBalancerID: id, IntentIDs: ids(intents), Status: status.Report(plan, nil, status.Health{}), Deleted: true,
	})
	if err != nil {
		return fmt.Errorf("note the deletion: %w", err)
	}
	r.release(id)
	r.Report()
	log.Info("load balancer deleted")
	return nil
}

// forget ends a load balancer that Octavia does not know: its creation was rolled back, or it is deleted already.
func (r *Reconciler) forget(ctx context.Context, id string, intents []model.Intent, log *slog.Logger) error {
	if created(intents) {
		// On PostgreSQL the barrier cannot see a row that is not committed yet: give the API the time to commit it.
		if err := r.awaitCommit(ctx, id); !errors.Is(err, status.ErrGone) {
			return errors.Join(errors.New("the load balancer's creation was not committed yet"), err)
		}
	}
	if r.VIPs != nil {
		// Octavia frees the port of a load balancer that it deletes. Of one that it never had only we know.
		if err := r.VIPs.DeallocateVIP(ctx, id); err != nil {
			return fmt.Errorf("free the VIP port of a load balancer that Octavia does not have: %w", err)
		}
	}
	if err := r.deleteAmphorae(ctx, id); err != nil {
		return err
	}
	if err := r.Store.Finish(ctx, store.Finish{LoadBalancerID: id, IntentIDs: ids(intents), Deleted: true}); err != nil {
		return fmt.Errorf("note that the load balancer is gone: %w", err)
	}
	r.release(id)
	log.Info("load balancer is unknown to Octavia: forgotten")
	return nil
}

// commitWait is how long a created load balancer may stay invisible until its creation counts as rolled back.
const (
	commitWait = 5 * time.Second
	commitPoll = 500 * time.Millisecond
)

func (r *Reconciler) awaitCommit(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, commitWait)
	defer cancel()
	for {
		_, err := r.Octavia.LoadBalancer(ctx, id)
		if !errors.Is(err, status.ErrGone) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(commitPoll):
		}
	}
}

func (r *Reconciler) deleteAmphorae(ctx context.Context, id string) error {
	amphorae, err := r.Store.Amphorae(ctx, id)
	if err != nil {
		return fmt.Errorf("read the amphorae: %w", err)
	}
	if err := r.Amphorae.Delete(ctx, id); err != nil {
		return fmt.Errorf("delete the amphorae: %w", err)
	}
	for _, amphora := range amphorae {
		r.Publisher.Remove(amphora.ID)
		r.mu.Lock()
		delete(r.revisions, amphora.ID)
		r.mu.Unlock()
	}
	return nil
}

// release forgets what is kept for a load balancer that is gone.
func (r *Reconciler) release(id string) {
	r.translator.Forget(id)
	if r.Staples != nil {
		r.Staples.Forget(id)
	}
	if r.Gone != nil {
		r.Gone(id)
	}
}

// giveUp reports the failure of a whole load balancer; the loop tries it again after RetryInterval, and reports that too.
func (r *Reconciler) giveUp(ctx context.Context, id string, cause error, log *slog.Logger) error {
	known, intents, err := r.load(ctx, id)
	if err != nil || known == nil {
		return err
	}
	if len(asked(intents)) == 0 && known.ProvisioningStatus == model.ProvisioningActive {
		return r.putOff(ctx, id, intents, cause, log)
	}
	tree, err := r.read(ctx, known, intents)
	if errors.Is(err, status.ErrNoAnswer) && known.Tree != nil {
		// What nobody can put together can still be reported.
		tree, err = known.Tree, nil
	}
	if err != nil {
		return err
	}
	held, err := r.confirmed(ctx, known, intents)
	if err != nil {
		return err
	}
	plan := status.NewPlan(tree, held)
	retry := r.Now().Add(r.RetryInterval)
	finished := ids(intents)
	if plan.Desired == nil {
		// A deletion is never given up: its intents stay, and ERROR tells the user that it takes longer.
		finished = nil
	}
	update := model.StatusUpdate{}
	if len(finished) > 0 || known.ProvisioningStatus != model.ProvisioningError {
		update = status.Failed(plan)
	}
	err = r.Store.Finish(ctx, store.Finish{
		LoadBalancerID: id, IntentIDs: finished, Status: update,
		ProvisioningStatus: model.ProvisioningError, LastError: cause.Error(), RetryAt: &retry,
	})
	if err != nil {
		return fmt.Errorf("note the failure: %w", err)
	}
	r.Report()
	log.Error("load balancer is in ERROR", "error", cause, "retry_at", retry)
	return nil
}

// putOff ends a refresh that failed: what Octavia asked for is as it was, and so are its states.
func (r *Reconciler) putOff(ctx context.Context, id string, intents []model.Intent, cause error, log *slog.Logger) error {
	retry := r.Now().Add(r.RetryInterval)
	err := r.Store.Finish(ctx, store.Finish{
		LoadBalancerID: id, IntentIDs: ids(intents), LastError: "refresh: " + cause.Error(), RetryAt: &retry,
	})
	if err != nil {
		return fmt.Errorf("note the failure: %w", err)
	}
	log.Error("load balancer could not be refreshed", "error", cause, "retry_at", retry)
	return nil
}
