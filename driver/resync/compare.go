package resync

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
	"github.com/octavia-envoy/octavia-envoy/store"
)

// compare returns the intents that a load balancer of Octavia's lacks, and why.
func (r *Resync) compare(ctx context.Context, lb Object, known bool) ([]model.Intent, string, error) {
	if r.Now().Sub(lb.ChangedAt) < r.PendingAge {
		// A call may be under way.
		return nil, "", nil
	}
	switch {
	case lb.pending():
		intents, err := r.stuck(ctx, lb)
		return intents, reasonPending, err
	case lb.ProvisioningStatus != model.ProvisioningActive:
		// In ERROR: its user's turn.
		return nil, "", nil
	case !known:
		intents, err := r.adopt(ctx, lb)
		return intents, reasonUnknown, err
	default:
		intents, err := r.strayChildren(ctx, lb)
		return intents, reasonChild, err
	}
}

// stuck returns the intents of a load balancer that is PENDING.
func (r *Resync) stuck(ctx context.Context, lb Object) ([]model.Intent, error) {
	if busy, err := r.busy(ctx, lb.ID); busy || err != nil {
		return nil, err
	}
	var intents []model.Intent
	switch lb.ProvisioningStatus {
	case model.ProvisioningPendingDelete, model.ProvisioningPendingCreate:
		// These are about everything below, too.
	default:
		children, err := r.Octavia.Children(ctx, lb.ID)
		if err != nil {
			return nil, err
		}
		for _, child := range children {
			if child.pending() {
				intents = append(intents, r.intent(lb.ID, child))
			}
		}
	}
	// Reading took time. If Octavia wrote the load balancer since, somebody is at it after all.
	again, found, err := r.Octavia.LoadBalancer(ctx, lb.ID)
	if err != nil || !found || again != lb {
		return nil, err
	}
	if len(intents) == 0 {
		intents = []model.Intent{r.intent(lb.ID, lb)}
	}
	return intents, nil
}

// adopt returns the intent for a load balancer that serves, by Octavia's word, and that the store has never heard of.
func (r *Resync) adopt(ctx context.Context, lb Object) ([]model.Intent, error) {
	// Not known when the round began: now?
	if _, err := r.Store.LoadBalancer(ctx, lb.ID); !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	return []model.Intent{r.intent(lb.ID, lb)}, nil
}

// strayChildren returns the intents for children that are PENDING although their load balancer is ACTIVE. Octavia cannot
// be asked for them, so all are read; but a call always writes the load balancer's row, so only once after it changed.
func (r *Resync) strayChildren(ctx context.Context, lb Object) ([]model.Intent, error) {
	if r.scanned[lb.ID].Equal(lb.ChangedAt) {
		return nil, nil
	}
	if busy, err := r.busy(ctx, lb.ID); busy || err != nil {
		return nil, err
	}
	children, err := r.Octavia.Children(ctx, lb.ID)
	if err != nil {
		return nil, err
	}
	var intents []model.Intent
	settled := true
	for _, child := range children {
		if !child.pending() {
			continue
		}
		if r.Now().Sub(child.ChangedAt) < r.PendingAge {
			settled = false
			continue
		}
		intents = append(intents, r.intent(lb.ID, child))
	}
	again, found, err := r.Octavia.LoadBalancer(ctx, lb.ID)
	if err != nil || !found || again != lb {
		return nil, err
	}
	// With stray children it is read again in the next round: were they helped?
	if settled && len(intents) == 0 {
		r.scanned[lb.ID] = lb.ChangedAt
	}
	return intents, nil
}

// orphan returns the intent to end a load balancer of the store that Octavia has not listed twice.
func (r *Resync) orphan(ctx context.Context, id string) ([]model.Intent, error) {
	// The list may lack it for a poor reason, a wrong provider name for instance. The driver-agent knows for sure.
	_, err := r.Agent.LoadBalancer(ctx, id)
	if err == nil || !errors.Is(err, status.ErrGone) {
		return nil, err
	}
	return []model.Intent{r.intent(id, Object{
		Ref: model.Ref{Kind: model.KindLoadBalancer, ID: id}, ProvisioningStatus: model.ProvisioningPendingDelete,
	})}, nil
}

func (r *Resync) busy(ctx context.Context, id string) (bool, error) {
	intents, err := r.Store.Intents(ctx, id)
	return len(intents) > 0, err
}

// intent is the call that sets an object to the status that it has.
func (r *Resync) intent(loadBalancerID string, object Object) model.Intent {
	intent := model.Intent{
		LoadBalancerID: loadBalancerID, Object: object.Ref, ParentID: object.ParentID, Op: model.OpUpdate, CreatedAt: r.Now(),
	}
	switch object.ProvisioningStatus {
	case model.ProvisioningPendingCreate:
		intent.Op = model.OpCreate
	case model.ProvisioningPendingDelete:
		intent.Op = model.OpDelete
		intent.Cascade = object.Kind == model.KindLoadBalancer
	}
	return intent
}

// add commits the intents of one load balancer, unless others came first.
func (r *Resync) add(ctx context.Context, intents []model.Intent, reason string) (int, error) {
	if len(intents) == 0 {
		return 0, nil
	}
	id := intents[0].LoadBalancerID
	if busy, err := r.busy(ctx, id); busy || err != nil {
		return 0, err
	}
	request := "resync-" + uuid.NewString()
	for i, intent := range intents {
		intent.RequestID = request
		audit := store.Audit{Outcome: "accepted", Message: "resync: " + reason}
		if _, err := r.Store.AddIntent(ctx, intent, audit); err != nil {
			return i, fmt.Errorf("add an intent: %w", err)
		}
		r.metrics.intents.WithLabelValues(reason).Inc()
	}
	r.Logger.Warn("Octavia waits for what nobody worked on: taken up",
		"lb", id, "reason", reason, "intents", len(intents), "request_id", request)
	return len(intents), nil
}
