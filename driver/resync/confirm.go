package resync

import (
	"context"
	"fmt"
	"net/http"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// ProvisioningStatus reads the provisioning status of one object; "" when Octavia does not have it. parentID is the pool of
// a member and the policy of a rule.
func (a *API) ProvisioningStatus(ctx context.Context, ref model.Ref, parentID string) (model.ProvisioningStatus, error) {
	key, path, err := address(ref, parentID)
	if err != nil {
		return "", err
	}
	found, err := a.show(ctx, key, path...)
	if gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
		return "", nil
	}
	return found.ProvisioningStatus, err
}

// Members reads the provisioning status of every member of a pool, by id; none when Octavia does not have the pool.
func (a *API) Members(ctx context.Context, poolID string) (map[string]model.ProvisioningStatus, error) {
	members, err := a.list(ctx, "members", nil, "pools", poolID, "members")
	if err != nil {
		return nil, err
	}
	statuses := make(map[string]model.ProvisioningStatus, len(members))
	for _, member := range members {
		statuses[member.ID] = member.ProvisioningStatus
	}
	return statuses, nil
}

// address is where an object is in Octavia's API, and its key in the answer.
func address(ref model.Ref, parentID string) (key string, path []string, err error) {
	switch ref.Kind {
	case model.KindLoadBalancer:
		return "loadbalancer", []string{"loadbalancers", ref.ID}, nil
	case model.KindListener:
		return "listener", []string{"listeners", ref.ID}, nil
	case model.KindPool:
		return "pool", []string{"pools", ref.ID}, nil
	case model.KindMember:
		return "member", []string{"pools", parentID, "members", ref.ID}, nil
	case model.KindHealthMonitor:
		return "healthmonitor", []string{"healthmonitors", ref.ID}, nil
	case model.KindL7Policy:
		return "l7policy", []string{"l7policies", ref.ID}, nil
	case model.KindL7Rule:
		return "rule", []string{"l7policies", parentID, "rules", ref.ID}, nil
	}
	return "", nil, fmt.Errorf("octavia has no objects of kind %q", ref.Kind)
}
