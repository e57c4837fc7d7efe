package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
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

// bringAbout makes the amphorae serve the tree. It returns the objects that could not be served, each with its reason.
func (r *Reconciler) bringAbout(ctx context.Context, tree *model.LoadBalancer, rebuild bool) (map[model.Ref]string, error) {
	if rebuild {
		if err := r.deleteAmphorae(ctx, tree.ID); err != nil {
			return nil, err
		}
	}
	amphorae, err := r.Amphorae.Ensure(ctx, tree)
	if err != nil {
		return nil, fmt.Errorf("make the amphora ready: %w", err)
	}
	if len(amphorae) == 0 {
		return nil, errors.New("the load balancer has no amphora")
	}
	resources, rejected := r.translate(tree)
	for _, amphora := range amphorae {
		result, err := r.Publisher.Publish(ctx, amphora.ID, resources)
		if err != nil {
			return nil, fmt.Errorf("publish to amphora %s: %w", amphora.ID, err)
		}
		for key, reason := range result.Rejected {
			owner, ok := resources.Owners[key]
			if !ok {
				owner = model.Ref{Kind: model.KindLoadBalancer, ID: tree.ID}
			}
			rejected[owner] = "Envoy refused it: " + reason
		}
	}
	return rejected, nil
}

// translate returns what can be served and the reasons for what cannot.
func (r *Reconciler) translate(tree *model.LoadBalancer) (*translate.Resources, map[model.Ref]string) {
	rejected := map[model.Ref]string{}
	resources, err := translate.LoadBalancer(tree)
	for _, problem := range translate.Problems(err) {
		rejected[problem.Owner] = problem.Error()
	}
	if r.Mutate != nil {
		r.Mutate(tree, resources)
	}
	return resources, rejected
}

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
		LoadBalancerID: id, IntentIDs: ids(intents), Status: status.Report(plan, nil), Deleted: true,
	})
	if err != nil {
		return fmt.Errorf("note the deletion: %w", err)
	}
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
	}
	return nil
}

// giveUp reports the failure of a whole load balancer; the loop tries it again after RetryInterval, and reports that too.
func (r *Reconciler) giveUp(ctx context.Context, id string, cause error, log *slog.Logger) error {
	known, intents, err := r.load(ctx, id)
	if err != nil || known == nil {
		return err
	}
	tree, err := r.Octavia.LoadBalancer(ctx, id)
	if errors.Is(err, status.ErrNoAnswer) && known.Tree != nil {
		// What Octavia cannot put together, for instance without a certificate, can still be reported.
		tree, err = known.Tree, nil
	}
	if err != nil {
		return err
	}
	held, err := r.confirmed(ctx, known, intents)
	if err != nil {
		return err
	}
	plan := status.NewPlan(tree, known.Tree, held)
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
		ProvisioningStatus: model.ProvisioningError, OperatingStatus: operatingStatus(update, known.OperatingStatus),
		LastError: cause.Error(), RetryAt: &retry,
	})
	if err != nil {
		return fmt.Errorf("note the failure: %w", err)
	}
	r.Report()
	log.Error("load balancer is in ERROR", "error", cause, "retry_at", retry)
	return nil
}

// Restore gives the xDS caches what the amphorae were last sent. It must end before their port opens: an Envoy that finds
// the caches empty would lose all it has.
func (r *Reconciler) Restore(ctx context.Context) error {
	all, err := r.Store.LoadBalancers(ctx)
	if err != nil {
		return fmt.Errorf("read the load balancers: %w", err)
	}
	for _, known := range all {
		if known.Tree == nil {
			continue
		}
		amphorae, err := r.Store.Amphorae(ctx, known.ID)
		if err != nil {
			return fmt.Errorf("read the amphorae: %w", err)
		}
		resources, _ := r.translate(known.Tree)
		for _, amphora := range amphorae {
			if err := r.Publisher.Restore(amphora.ID, resources); err != nil {
				return fmt.Errorf("restore amphora %s: %w", amphora.ID, err)
			}
		}
	}
	return nil
}

func ids(intents []model.Intent) []int64 {
	var all []int64
	for _, intent := range intents {
		all = append(all, intent.ID)
	}
	return all
}

func requestIDs(intents []model.Intent) string {
	var all []string
	for _, intent := range intents {
		if intent.RequestID != "" {
			all = append(all, intent.RequestID)
		}
	}
	return strings.Join(all, " ")
}

func created(intents []model.Intent) bool {
	return slices.ContainsFunc(intents, func(intent model.Intent) bool {
		return intent.Op == model.OpCreate && intent.Object.Kind == model.KindLoadBalancer
	})
}

func deletesAll(intents []model.Intent) bool {
	return slices.ContainsFunc(intents, func(intent model.Intent) bool {
		return intent.Op == model.OpDelete && intent.Object.Kind == model.KindLoadBalancer
	})
}

func asksFailover(intents []model.Intent) bool {
	return slices.ContainsFunc(intents, func(intent model.Intent) bool { return intent.Op == model.OpFailover })
}

// reasons joins the reasons of refused objects, in a stable order.
func reasons(rejected map[model.Ref]string) string {
	var all []string
	for ref, reason := range rejected {
		all = append(all, fmt.Sprintf("%s %s: %s", ref.Kind, ref.ID, reason))
	}
	sort.Strings(all)
	return strings.Join(all, "; ")
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
