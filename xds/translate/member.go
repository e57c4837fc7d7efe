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
func (t *translation) members(pool *model.Pool, monitor *monitor) (groups []*endpointv3.LocalityLbEndpoints, backups bool) {
	primary, backup := group{divided: monitor.divides()}, group{divided: monitor.divides()}
	ids := make(map[string]bool, len(pool.Members))
	places := make(map[string]bool, len(pool.Members))
	for _, member := range sorted(pool.Members, func(m *model.Member) string { return m.ID }) {
		endpoint, elsewhere, problem := memberEndpoint(pool, monitor, member, ids, places)
		if problem == nil && byCookie(pool) {
			endpoint.Metadata = memberMetadata(member)
		}
		if problem == nil {
			t.logMember(endpoint, pool, member)
		}
		if problem == nil && (t.measured || monitor != nil) {
			endpoint.Metadata = measuredMember(pool, member)
		}
		switch {
		case problem != nil:
			t.problem(problem)
		case !member.AdminStateUp:
		case member.Backup:
			backup.add(endpoint, elsewhere)
		default:
			primary.add(endpoint, elsewhere)
		}
	}
	groups = primary.localities(0)
	if len(groups) == 0 {
		return backup.localities(0), false // Priorities start at 0 and may not skip.
	}
	more := backup.localities(1)
	return append(groups, more...), len(more) > 0
}

// group is the endpoints of one priority. Envoy spreads over all of them, whatever their locality, since no locality has a weight.
type group struct {
	// divided says that endpoints which are checked elsewhere have a locality of their own, see divides.
	divided        bool
	own, elsewhere []*endpointv3.LbEndpoint
}

func (g *group) add(endpoint *endpointv3.LbEndpoint, elsewhere bool) {
	if g.divided {
		endpoint.Metadata = markTransport(endpoint.GetMetadata(), transportTraffic)
	}
	if g.divided && elsewhere {
		g.elsewhere = append(g.elsewhere, endpoint)
		return
	}
	g.own = append(g.own, endpoint)
}

func (g *group) localities(priority uint32) []*endpointv3.LocalityLbEndpoints {
	var all []*endpointv3.LocalityLbEndpoints
	for _, part := range []struct {
		name      string
		endpoints []*endpointv3.LbEndpoint
	}{{transportOwn, g.own}, {transportElsewhere, g.elsewhere}} {
		if len(part.endpoints) == 0 {
			continue
		}
		locality := &endpointv3.LocalityLbEndpoints{LbEndpoints: part.endpoints, Priority: priority}
		if g.divided {
			locality.Locality, locality.Metadata = &corev3.Locality{SubZone: part.name}, markTransport(nil, part.name)
		}
		all = append(all, locality)
	}
	return all
}

func memberEndpoint(pool *model.Pool, monitor *monitor, member *model.Member, ids, places map[string]bool) (
	endpoint *endpointv3.LbEndpoint, elsewhere bool, problem *ValidationError,
) {
	refuse := func(field, reason string) (*endpointv3.LbEndpoint, bool, *ValidationError) {
		owner := model.Ref{Kind: model.KindMember, ID: member.ID}
		return nil, false, &ValidationError{Owner: owner, Field: field, Reason: reason}
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
	config, elsewhere, field, err := monitorPlace(monitor, member, address)
	if err != nil {
		return refuse(field, err.Error())
	}
	endpoint = &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
		Hostname:          endpointName(pool, member),
		Address:           socketAddress(address, member.ProtocolPort),
		HealthCheckConfig: config,
	}}}
	if member.Weight == 0 {
		// Envoy knows no weight of 0.
		endpoint.HealthStatus = corev3.HealthStatus_DRAINING
	} else {
		endpoint.LoadBalancingWeight = wrapperspb.UInt32(uint32(member.Weight)) // checked above
	}
	return endpoint, elsewhere, nil
}
