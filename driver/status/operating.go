package status

import "github.com/octavia-envoy/octavia-envoy/driver/model"

// operating says how each object of a tree operates, as far as configuration decides it. "" is a status that health
// checks decide: Octavia keeps what it has.
//
// A pool's status changes by calls that do not name the pool, for instance when a listener starts to use it.
func operating(lb *model.LoadBalancer) map[model.Ref]model.OperatingStatus {
	all := map[model.Ref]model.OperatingStatus{
		{Kind: model.KindLoadBalancer, ID: lb.ID}: online(lb.AdminStateUp),
	}
	for _, listener := range lb.Listeners {
		all[model.Ref{Kind: model.KindListener, ID: listener.ID}] = online(listener.AdminStateUp)
		for _, policy := range listener.L7Policies {
			all[model.Ref{Kind: model.KindL7Policy, ID: policy.ID}] = online(policy.AdminStateUp)
			for _, rule := range policy.Rules {
				all[model.Ref{Kind: model.KindL7Rule, ID: rule.ID}] = online(rule.AdminStateUp)
			}
		}
	}
	for i := range lb.Pools {
		pool := &lb.Pools[i]
		attached := len(users(lb, pool.ID)) > 0
		all[model.Ref{Kind: model.KindPool, ID: pool.ID}] = online(pool.AdminStateUp && attached)
		if pool.HealthMonitor != nil {
			ref := model.Ref{Kind: model.KindHealthMonitor, ID: pool.HealthMonitor.ID}
			all[ref] = online(pool.HealthMonitor.AdminStateUp)
		}
		for j := range pool.Members {
			ref := model.Ref{Kind: model.KindMember, ID: pool.Members[j].ID}
			all[ref] = memberOperating(pool, &pool.Members[j])
		}
	}
	return all
}

func online(yes bool) model.OperatingStatus {
	if yes {
		return model.OperatingOnline
	}
	return model.OperatingOffline
}

func memberOperating(pool *model.Pool, member *model.Member) model.OperatingStatus {
	switch {
	case !member.AdminStateUp:
		return model.OperatingOffline
	case member.Weight == 0:
		return model.OperatingDraining
	case pool.HealthMonitor == nil || !pool.HealthMonitor.AdminStateUp:
		return model.OperatingNoMonitor
	default:
		return ""
	}
}
