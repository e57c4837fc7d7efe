package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
)

// Statuses is Octavia's REST API, the one place that tells an object that is being deleted from one that stays.
type Statuses interface {
	// ProvisioningStatus returns "" for an object that Octavia does not have.
	ProvisioningStatus(ctx context.Context, ref model.Ref, parentID string) (model.ProvisioningStatus, error)
	// Members returns the provisioning status of a pool's members by their ids.
	Members(ctx context.Context, poolID string) (map[string]model.ProvisioningStatus, error)
}

// errUnconfirmed says that Octavia could not be asked whether a deletion holds. It is waited for like the driver-agent.
var errUnconfirmed = errors.New("octavia's API does not tell whether the object is being deleted")

// confirmed returns the intents that Octavia waits for, without the deletions that it does not know of.
//
// A provider call that we accepted may still be rolled back: the shim gave up waiting, or octavia-api died before its
// commit. For everything else the tree that is read afterwards shows what holds. For a deletion it does not: what is
// PENDING_DELETE looks there like what is ACTIVE, and to delete what nobody asked to delete cannot be taken back.
func (r *Reconciler) confirmed(
	ctx context.Context, known *store.LoadBalancer, intents []model.Intent,
) ([]model.Intent, error) {
	intents = asked(intents)
	if r.Statuses == nil {
		return intents, nil
	}
	var held []model.Intent
	for _, intent := range intents {
		switch intent.Op {
		case model.OpDelete:
			status, err := r.Statuses.ProvisioningStatus(ctx, intent.Object, intent.ParentID)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", errUnconfirmed, err)
			}
			if !deleting(status, known) {
				r.Logger.Warn("deletion was rolled back by Octavia: dropped", "lb", known.ID, "kind", intent.Object.Kind,
					"object", intent.Object.ID, "status", status, "request_id", intent.RequestID)
				continue
			}
		case model.OpBatchUpdate:
			members, err := r.Statuses.Members(ctx, intent.Object.ID)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", errUnconfirmed, err)
			}
			intent.MemberIDs = slices.Clone(intent.MemberIDs)
			for id, status := range members {
				if !deleting(status, known) && !slices.Contains(intent.MemberIDs, id) {
					intent.MemberIDs = append(intent.MemberIDs, id)
				}
			}
		case model.OpCreate, model.OpUpdate, model.OpFailover, model.OpRefresh:
		}
		held = append(held, intent)
	}
	return held, nil
}

// deleting says whether an object of that status is to go. ERROR is what we report of a deletion that takes long.
func deleting(status model.ProvisioningStatus, known *store.LoadBalancer) bool {
	return status == "" || status == model.ProvisioningPendingDelete ||
		status == model.ProvisioningError && known.ProvisioningStatus == model.ProvisioningError
}
