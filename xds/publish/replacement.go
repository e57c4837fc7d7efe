package publish

import (
	"net"
	"slices"
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/proto"
)

// replacement is what changes between two versions of a cluster's endpoints, as far as it may leave the cluster without one
// that serves.
type replacement struct {
	// both are the wanted endpoints and with them the former that serve, as they were.
	both *endpointv3.ClusterLoadAssignment
	// former are the places of those that go: removed, draining from now on, or checked elsewhere, as which Envoy begins anew.
	former []string
	// lost is how many of the endpoints that were there do not serve by the change alone; former are those of them that may stay.
	lost uint64
	// added says that some of the wanted were not there before.
	added bool
}

// newReplacement returns nil where nobody goes or nobody is there to wait for. May is asked whether a former endpoint may stay.
func newReplacement(former, want *endpointv3.ClusterLoadAssignment, may func(place string) bool) *replacement {
	wanted, had := byPlace(want), byPlace(former)
	r := &replacement{}
	goes := map[string]bool{}
	waits, again := 0, ""
	for place, endpoint := range had {
		if !serves(endpoint) || sameChecks(endpoint, wanted[place]) {
			continue
		}
		r.lost++
		if !may(place) {
			continue
		}
		goes[place] = true
		if serves(wanted[place]) && (again == "" || place < again) {
			again = place
		}
	}
	for place, endpoint := range wanted {
		if serves(endpoint) && !goes[place] {
			waits++
			r.added = r.added || had[place] == nil
		}
	}
	if waits == 0 && again != "" && len(goes) > 1 {
		// All are to be checked elsewhere. One begins, as long as the others serve.
		delete(goes, again)
		waits, r.added = 1, true
	}
	if waits == 0 || len(goes) == 0 {
		return nil
	}
	for place := range goes {
		r.former = append(r.former, place)
	}
	slices.Sort(r.former)
	r.both = together(former, want, goes)
	return r
}

// needed says whether the former endpoints have to stay, by what the checks say before the change.
func (r *replacement) needed(is Checked) bool {
	switch {
	case is.Healthy == 0:
		return false // they do not serve either
	case is.Healthy > r.lost:
		return false // one that stays serves
	}
	return r.added || is.Unchecked > 0 // else nobody is left to be waited for
}

// over says whether the former endpoints may go, by what the checks say of all.
func (r *replacement) over(is Checked) bool {
	return is.Healthy > uint64(len(r.former)) || is.Unchecked == 0
}

// together adds the former endpoints that go to those that are wanted, at the priority and in the locality in which they were.
func together(former, want *endpointv3.ClusterLoadAssignment, goes map[string]bool) *endpointv3.ClusterLoadAssignment {
	both := proto.CloneOf(want)
	for _, group := range both.GetEndpoints() {
		group.LbEndpoints = slices.DeleteFunc(group.GetLbEndpoints(), func(e *endpointv3.LbEndpoint) bool { return goes[place(e)] })
	}
	for _, group := range former.GetEndpoints() {
		staying := slices.DeleteFunc(slices.Clone(group.GetLbEndpoints()), func(e *endpointv3.LbEndpoint) bool { return !goes[place(e)] })
		if len(staying) == 0 {
			continue
		}
		at := slices.IndexFunc(both.GetEndpoints(), func(other *endpointv3.LocalityLbEndpoints) bool {
			return other.GetPriority() == group.GetPriority() && proto.Equal(other.GetLocality(), group.GetLocality())
		})
		if at < 0 {
			group = proto.CloneOf(group)
			group.LbEndpoints = staying
			both.Endpoints = append(both.Endpoints, group)
			continue
		}
		both.Endpoints[at].LbEndpoints = append(both.Endpoints[at].LbEndpoints, staying...)
	}
	both.Endpoints = slices.DeleteFunc(both.GetEndpoints(), func(group *endpointv3.LocalityLbEndpoints) bool {
		return len(group.GetLbEndpoints()) == 0 && group.GetPriority() > 0
	})
	if both.GetPolicy() == nil {
		both.Policy = former.GetPolicy()
	}
	return both
}

func byPlace(assignment *endpointv3.ClusterLoadAssignment) map[string]*endpointv3.LbEndpoint {
	all := map[string]*endpointv3.LbEndpoint{}
	for _, group := range assignment.GetEndpoints() {
		for _, endpoint := range group.GetLbEndpoints() {
			all[place(endpoint)] = endpoint
		}
	}
	return all
}

// place is the address and port of an endpoint, by which Envoy tells it from others.
func place(endpoint *endpointv3.LbEndpoint) string {
	address := endpoint.GetEndpoint().GetAddress().GetSocketAddress()
	return net.JoinHostPort(address.GetAddress(), strconv.FormatUint(uint64(address.GetPortValue()), 10))
}

// serves says whether an endpoint gets traffic as long as its checks are good; nil does not.
func serves(endpoint *endpointv3.LbEndpoint) bool {
	return endpoint != nil && endpoint.GetHealthStatus() != corev3.HealthStatus_DRAINING
}

// sameChecks says whether an endpoint stays and Envoy goes on with its checks: another place to check makes it a new one.
func sameChecks(former, wanted *endpointv3.LbEndpoint) bool {
	was, is := former.GetEndpoint().GetHealthCheckConfig(), wanted.GetEndpoint().GetHealthCheckConfig()
	return serves(wanted) && was.GetPortValue() == is.GetPortValue() && proto.Equal(was.GetAddress(), is.GetAddress())
}
