package model

import (
	"cmp"
	"slices"
)

// Sort brings the tree into the one order that it has everywhere: policies by their position, all else by id. Octavia's
// database promises an order for policies only and its API for nothing that was made within a second; a tree that is
// read twice must not look changed.
func (lb *LoadBalancer) Sort() {
	slices.SortFunc(lb.Listeners, func(a, b Listener) int { return cmp.Compare(a.ID, b.ID) })
	for i := range lb.Listeners {
		lb.Listeners[i].Sort()
	}
	slices.SortFunc(lb.Pools, func(a, b Pool) int { return cmp.Compare(a.ID, b.ID) })
	for i := range lb.Pools {
		lb.Pools[i].Sort()
	}
}

// Sort brings the policies into the order of their positions and each one's rules into that of their ids.
func (l *Listener) Sort() {
	slices.SortFunc(l.L7Policies, func(a, b L7Policy) int {
		return cmp.Or(cmp.Compare(a.Position, b.Position), cmp.Compare(a.ID, b.ID))
	})
	for i := range l.L7Policies {
		slices.SortFunc(l.L7Policies[i].Rules, func(a, b L7Rule) int { return cmp.Compare(a.ID, b.ID) })
	}
}

// Sort brings the members into the order of their ids.
func (p *Pool) Sort() {
	slices.SortFunc(p.Members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
}
