package translate

import (
	"fmt"
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// maxWeight is Octavia's (octavia_lib.common.constants.MAX_WEIGHT).
const maxWeight = 256

// members returns the endpoints of a pool, and whether there are backups among them. A bad member is left out.
//
// Backups are a second priority, used together and only when no other member can take traffic, as with HAProxy's
// `option allbackups`. Monitor address and port say nothing without a health monitor.
func (t *translation) members(pool *model.Pool) (groups []*endpointv3.LocalityLbEndpoints, backups bool) {
	var primary, backup []*endpointv3.LbEndpoint
	ids := make(map[string]bool, len(pool.Members))
	places := make(map[string]bool, len(pool.Members))
	for _, member := range sorted(pool.Members, func(m *model.Member) string { return m.ID }) {
		endpoint, problem := memberEndpoint(member, ids, places)
		if problem == nil && byCookie(pool) {
			endpoint.Metadata = memberMetadata(member)
		}
		if problem == nil {
			t.logMember(endpoint, pool, member)
		}
		if problem == nil && t.measured() {
			endpoint.Metadata = measuredMember(pool, member)
		}
		switch {
		case problem != nil:
			t.problem(problem)
		case !member.AdminStateUp:
		case member.Backup:
			backup = append(backup, endpoint)
		default:
			primary = append(primary, endpoint)
		}
	}
	if len(primary) > 0 {
		groups = append(groups, &endpointv3.LocalityLbEndpoints{LbEndpoints: primary})
	}
	if len(backup) > 0 {
		// Priorities start at 0 and may not skip.
		priority := uint32(len(groups)) //nolint:gosec // 0 or 1
		groups = append(groups, &endpointv3.LocalityLbEndpoints{LbEndpoints: backup, Priority: priority})
	}
	return groups, len(groups) > 1
}

func memberEndpoint(member *model.Member, ids, places map[string]bool) (*endpointv3.LbEndpoint, *ValidationError) {
	refuse := func(field, reason string) (*endpointv3.LbEndpoint, *ValidationError) {
		owner := model.Ref{Kind: model.KindMember, ID: member.ID}
		return nil, &ValidationError{Owner: owner, Field: field, Reason: reason}
	}
	if err := checkID(member.ID); err != nil {
		return refuse("member_id", err.Error())
	}
	if ids[member.ID] {
		return refuse("member_id", "the pool has another member with this id")
	}
	ids[member.ID] = true
	address, err := canonicalAddress(member.Address)
	if err != nil {
		return refuse("address", err.Error())
	}
	if err := checkPort(member.ProtocolPort); err != nil {
		return refuse("protocol_port", err.Error())
	}
	if member.Weight < 0 || member.Weight > maxWeight {
		return refuse("weight", fmt.Sprintf("%d is not a weight: 0 to %d", member.Weight, maxWeight))
	}
	place := address + " " + strconv.Itoa(member.ProtocolPort)
	if places[place] {
		return refuse("address", "the pool has another member with this address and port")
	}
	places[place] = true
	monitor, field, err := monitorPlace(member, address)
	if err != nil {
		return refuse(field, err.Error())
	}
	endpoint := &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
		Address:           socketAddress(address, member.ProtocolPort),
		HealthCheckConfig: monitor,
	}}}
	if member.Weight == 0 {
		// Envoy knows no weight of 0.
		endpoint.HealthStatus = corev3.HealthStatus_DRAINING
	} else {
		endpoint.LoadBalancingWeight = wrapperspb.UInt32(uint32(member.Weight)) // checked above
	}
	return endpoint, nil
}
