package model

import "slices"

// Copy returns a load balancer that may be changed: it has lists, objects and places for secrets of its own. What it shares
// with the other one is what nobody changes, but only replaces: certificates, flavors, lists and maps of strings.
func (lb *LoadBalancer) Copy() *LoadBalancer {
	tree := *lb
	tree.Listeners = slices.Clone(lb.Listeners)
	for i := range tree.Listeners {
		listener := &tree.Listeners[i]
		listener.SNIContainers = slices.Clone(listener.SNIContainers)
		listener.L7Policies = slices.Clone(listener.L7Policies)
		for j := range listener.L7Policies {
			listener.L7Policies[j].Rules = slices.Clone(listener.L7Policies[j].Rules)
		}
	}
	tree.Pools = slices.Clone(lb.Pools)
	for i := range tree.Pools {
		pool := &tree.Pools[i]
		pool.Members = slices.Clone(pool.Members)
		if pool.HealthMonitor != nil {
			pool.HealthMonitor = new(*pool.HealthMonitor)
		}
	}
	return &tree
}
