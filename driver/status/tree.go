package status

import (
	"maps"
	"slices"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// refSet is a set of objects.
type refSet map[model.Ref]bool

func (s refSet) add(refs ...model.Ref) {
	for _, ref := range refs {
		s[ref] = true
	}
}

// refs lists all objects of a tree, each parent before its children.
func refs(lb *model.LoadBalancer) []model.Ref {
	all := []model.Ref{{Kind: model.KindLoadBalancer, ID: lb.ID}}
	for i := range lb.Listeners {
		all = append(all, listenerRefs(&lb.Listeners[i])...)
	}
	for i := range lb.Pools {
		all = append(all, poolRefs(&lb.Pools[i])...)
	}
	return all
}

func listenerRefs(listener *model.Listener) []model.Ref {
	all := []model.Ref{{Kind: model.KindListener, ID: listener.ID}}
	for i := range listener.L7Policies {
		all = append(all, policyRefs(&listener.L7Policies[i])...)
	}
	return all
}

func policyRefs(policy *model.L7Policy) []model.Ref {
	all := []model.Ref{{Kind: model.KindL7Policy, ID: policy.ID}}
	for _, rule := range policy.Rules {
		all = append(all, model.Ref{Kind: model.KindL7Rule, ID: rule.ID})
	}
	return all
}

func poolRefs(pool *model.Pool) []model.Ref {
	all := append([]model.Ref{{Kind: model.KindPool, ID: pool.ID}}, membersOf(pool)...)
	if pool.HealthMonitor != nil {
		all = append(all, model.Ref{Kind: model.KindHealthMonitor, ID: pool.HealthMonitor.ID})
	}
	return all
}

func membersOf(pool *model.Pool) []model.Ref {
	var all []model.Ref
	for _, member := range pool.Members {
		all = append(all, model.Ref{Kind: model.KindMember, ID: member.ID})
	}
	return all
}

// memberRefs lists the members of a pool; nothing if the tree does not have it.
func memberRefs(lb *model.LoadBalancer, poolID string) []model.Ref {
	if pool := lb.Pool(poolID); pool != nil {
		return membersOf(pool)
	}
	return nil
}

// below lists an object and everything under it; nothing if the tree does not have it.
func below(lb *model.LoadBalancer, ref model.Ref) []model.Ref {
	switch ref.Kind {
	case model.KindLoadBalancer:
		if lb.ID == ref.ID {
			return refs(lb)
		}
		return nil
	case model.KindListener:
		if listener := lb.Listener(ref.ID); listener != nil {
			return listenerRefs(listener)
		}
		return nil
	case model.KindPool:
		if pool := lb.Pool(ref.ID); pool != nil {
			return poolRefs(pool)
		}
		return nil
	case model.KindL7Policy:
		if _, policy := findPolicy(lb, ref.ID); policy != nil {
			return policyRefs(policy)
		}
		return nil
	}
	if slices.Contains(refs(lb), ref) {
		return []model.Ref{ref}
	}
	return nil
}

// above lists what Octavia locks along with an object, besides the load balancer: a member's or monitor's pool and the
// listeners that use a pool, a policy's listener, a rule's policy and listener. parentID helps when the object is gone.
func above(lb *model.LoadBalancer, ref model.Ref, parentID string) []model.Ref {
	switch ref.Kind {
	case model.KindMember, model.KindHealthMonitor:
		for i := range lb.Pools {
			pool := &lb.Pools[i]
			if pool.ID == parentID || slices.Contains(poolRefs(pool), ref) {
				return append([]model.Ref{{Kind: model.KindPool, ID: pool.ID}}, users(lb, pool.ID)...)
			}
		}
	case model.KindPool:
		return users(lb, ref.ID)
	case model.KindL7Policy:
		listener, _ := findPolicy(lb, ref.ID)
		if listener == nil {
			listener = lb.Listener(parentID)
		}
		if listener != nil {
			return []model.Ref{{Kind: model.KindListener, ID: listener.ID}}
		}
	case model.KindL7Rule:
		for i := range lb.Listeners {
			for _, policy := range lb.Listeners[i].L7Policies {
				if policy.ID == parentID || slices.Contains(policyRefs(&policy), ref) {
					return []model.Ref{
						{Kind: model.KindListener, ID: lb.Listeners[i].ID}, {Kind: model.KindL7Policy, ID: policy.ID},
					}
				}
			}
		}
	}
	return nil
}

// users lists the listeners that use a pool. Octavia locks those with the pool as default and those with an enabled
// policy with rules that redirects to it (octavia.db.models.Pool.listeners); a disabled policy more does no harm.
func users(lb *model.LoadBalancer, poolID string) []model.Ref {
	var all []model.Ref
	for _, listener := range lb.Listeners {
		redirects := func(policy model.L7Policy) bool { return policy.RedirectPoolID == poolID }
		if listener.DefaultPoolID == poolID || slices.ContainsFunc(listener.L7Policies, redirects) {
			all = append(all, model.Ref{Kind: model.KindListener, ID: listener.ID})
		}
	}
	return all
}

func findPolicy(lb *model.LoadBalancer, id string) (*model.Listener, *model.L7Policy) {
	for i := range lb.Listeners {
		for j := range lb.Listeners[i].L7Policies {
			if lb.Listeners[i].L7Policies[j].ID == id {
				return &lb.Listeners[i], &lb.Listeners[i].L7Policies[j]
			}
		}
	}
	return nil, nil
}

// without copies the tree and leaves out the deleted objects and the references to them. What is copied by reference is
// never changed by anyone: certificates, flavors, lists of strings.
func without(lb *model.LoadBalancer, deleted refSet) *model.LoadBalancer {
	result := *lb
	gone := func(kind model.Kind, id string) bool { return deleted[model.Ref{Kind: kind, ID: id}] }
	kept := func(poolID string) string {
		if gone(model.KindPool, poolID) {
			return ""
		}
		return poolID
	}
	result.Flavor = maps.Clone(lb.Flavor)
	result.Listeners = nil
	for _, listener := range lb.Listeners {
		if gone(model.KindListener, listener.ID) {
			continue
		}
		listener.DefaultPoolID = kept(listener.DefaultPoolID)
		listener.InsertHeaders = maps.Clone(listener.InsertHeaders)
		listener.SNIContainers = slices.Clone(listener.SNIContainers)
		policies := listener.L7Policies
		listener.L7Policies = nil
		for _, policy := range policies {
			if gone(model.KindL7Policy, policy.ID) {
				continue
			}
			policy.RedirectPoolID = kept(policy.RedirectPoolID)
			policy.Rules = slices.DeleteFunc(slices.Clone(policy.Rules), func(rule model.L7Rule) bool {
				return gone(model.KindL7Rule, rule.ID)
			})
			listener.L7Policies = append(listener.L7Policies, policy)
		}
		result.Listeners = append(result.Listeners, listener)
	}
	result.Pools = nil
	for _, pool := range lb.Pools {
		if gone(model.KindPool, pool.ID) {
			continue
		}
		if gone(model.KindListener, pool.ListenerID) {
			pool.ListenerID = ""
		}
		pool.Members = slices.DeleteFunc(slices.Clone(pool.Members), func(member model.Member) bool {
			return gone(model.KindMember, member.ID)
		})
		if monitor := pool.HealthMonitor; monitor != nil {
			pool.HealthMonitor = nil
			if !gone(model.KindHealthMonitor, monitor.ID) {
				pool.HealthMonitor = new(*monitor)
			}
		}
		result.Pools = append(result.Pools, pool)
	}
	return &result
}
