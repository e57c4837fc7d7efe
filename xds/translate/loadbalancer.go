package translate

import (
	"cmp"
	"errors"
	"slices"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"github.com/octavia-envoy/octavia-envoy/driver/flavor"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// translation is the work on one load balancer, and on one listener or pool of it, see part.
type translation struct {
	facts
	out      *Resources
	problems []error
	// known are the pools that there are, by id, and pools those of them that can be served.
	known map[string]*model.Pool
	pools map[string]*servedPool
	// used are the names of the clusters that a listener sends traffic to.
	used map[string]bool
}

// facts are what any resource of a load balancer may depend on, beside its listener or pool.
type facts struct {
	// lb has neither listeners nor pools.
	lb     *model.LoadBalancer
	flavor *flavor.Flavor
	// vips are the canonical addresses that the listeners bind; empty when one of them is bad.
	vips []string
	// measured is whether there is a PROMETHEUS listener.
	measured bool
	// udpPorts are those of UDP listeners, where they matter: with HTTP/3.
	udpPorts map[int]bool
}

func newTranslation(facts facts) *translation {
	return &translation{
		facts: facts, out: NewResources(), known: map[string]*model.Pool{}, pools: map[string]*servedPool{}, used: map[string]bool{},
	}
}

// servedPool is a pool that passed its checks.
type servedPool struct {
	*model.Pool
	// endpoints is what every cluster of the pool balances over; none when the pool is down.
	endpoints []*endpointv3.LocalityLbEndpoints
	// backups says that a second priority exists.
	backups bool
	// monitor is how the members are checked; nil when they are not.
	monitor *monitor
}

// LoadBalancer returns the resources of the Envoys of a load balancer.
//
// It returns them together with an error when a part of the tree cannot be served: the resources are good, and complete
// but for that part; the error joins one *ValidationError for each (see Problems). It never panics, whatever the tree holds.
func LoadBalancer(lb *model.LoadBalancer) (*Resources, error) {
	res, _, err := translate(lb, nil)
	return res, err
}

// translate is LoadBalancer, which takes what it can from the parts of a translation before, and returns those of this one.
func translate(lb *model.LoadBalancer, before parts) (*Resources, parts, error) {
	if lb == nil {
		return NewResources(), nil, &ValidationError{Owner: model.Ref{Kind: model.KindLoadBalancer}, Reason: "there is no load balancer"}
	}
	head := *lb
	head.Listeners, head.Pools = nil, nil
	a := &assembly{translation: newTranslation(facts{lb: &head, measured: hasMetrics(lb)}), before: before, parts: parts{}}
	a.takeFlavor()
	a.addresses()
	if a.flavor.HTTP3 {
		a.udpPorts = udpPorts(lb)
	}
	a.inputs = fingerprintOf(a.lb, a.measured, a.udpPorts)
	a.addPools(lb.Pools)
	a.addListeners(lb.Listeners)
	a.dropUnused()
	for _, problem := range checkMade(a.out) {
		a.problem(problem)
	}
	return a.out, a.parts, errors.Join(a.problems...)
}

// addresses checks the load balancer itself and takes the addresses that its listeners bind.
func (t *translation) addresses() {
	owner := model.Ref{Kind: model.KindLoadBalancer, ID: t.lb.ID}
	if err := checkID(t.lb.ID); err != nil {
		t.problem(&ValidationError{Owner: owner, Field: "loadbalancer_id", Reason: err.Error()})
	}
	vips := make([]string, 0, 1+len(t.lb.AdditionalVIPs))
	seen := map[string]bool{}
	take := func(field, text string) bool {
		address, err := canonicalAddress(text)
		if err == nil && seen[address] {
			err = errors.New("the load balancer has this address already")
		}
		if err != nil {
			t.problem(&ValidationError{Owner: owner, Field: field, Reason: err.Error()})
			return false
		}
		seen[address] = true
		vips = append(vips, address)
		return true
	}
	good := take("vip_address", t.lb.VIPAddress)
	additional := sorted(t.lb.AdditionalVIPs, func(v *model.AdditionalVIP) string { return v.IPAddress })
	for _, vip := range additional {
		good = take("additional_vips", vip.IPAddress) && good
	}
	if good {
		t.vips = vips
	}
}

func (t *translation) problem(problem *ValidationError) { t.problems = append(t.problems, problem) }

// sorted returns pointers to the elements in the order of a key: Octavia's database has no order of its own.
func sorted[T any](all []T, key func(*T) string) []*T {
	pointers := make([]*T, len(all))
	for i := range all {
		pointers[i] = &all[i]
	}
	slices.SortStableFunc(pointers, func(a, b *T) int { return cmp.Compare(key(a), key(b)) })
	return pointers
}
