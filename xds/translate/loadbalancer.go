package translate

import (
	"cmp"
	"errors"
	"slices"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"github.com/octavia-envoy/octavia-envoy/driver/flavor"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// translation is the work on one load balancer.
type translation struct {
	lb       *model.LoadBalancer
	flavor   *flavor.Flavor
	out      *Resources
	problems []error
	// vips are the canonical addresses that the listeners bind; empty when one of them is bad.
	vips []string
	// pools are those that can be served, by id.
	pools map[string]*servedPool
	// used are the names of the clusters that a listener sends traffic to.
	used map[string]bool
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
	t := &translation{lb: lb, out: NewResources(), pools: map[string]*servedPool{}, used: map[string]bool{}}
	if lb == nil {
		return t.out, &ValidationError{Owner: model.Ref{Kind: model.KindLoadBalancer}, Reason: "there is no load balancer"}
	}
	t.takeFlavor()
	t.addresses()
	for _, pool := range sorted(lb.Pools, func(p *model.Pool) string { return p.ID }) {
		t.pool(pool)
	}
	t.listeners()
	t.dropUnused()
	for _, problem := range check(t.out) {
		t.problem(problem)
	}
	t.notes()
	return t.out, errors.Join(t.problems...)
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
