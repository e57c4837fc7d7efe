package soak

import (
	"slices"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

func (s *site) poolChanges() map[string]change {
	any := func(*model.Pool) bool { return true }
	extras := func(p *model.Pool) bool { return isExtra(p.Name) }
	return map[string]change{
		"pool: create": func(c *call) bool {
			if len(c.tree.Pools) > 18 {
				return false
			}
			protocol := one(s, model.ProtocolHTTP, model.ProtocolTCP, model.ProtocolUDP, model.ProtocolHTTPS)
			p := s.pool(c.tree.ID, s.unique(extra), protocol, 0)
			c.tree.Pools = append(c.tree.Pools, p)
			c.lock(model.ProvisioningPendingCreate, model.Ref{Kind: model.KindPool, ID: p.ID})
			return c.post("/v1/pools", document(p))
		},
		"pool: delete": func(c *call) bool {
			p := s.poolOf(c, func(p *model.Pool) bool { return isExtra(p.Name) && !redirectedTo(c.tree, p.ID) })
			if p == nil {
				return false
			}
			c.lockUsers(p.ID)
			c.lock(model.ProvisioningPendingDelete, model.Ref{Kind: model.KindPool, ID: p.ID})
			return c.remove("/v1/pools/" + p.ID + "?loadbalancer_id=" + c.tree.ID)
		},
		"pool: name":        s.onPool(any, func(p *model.Pool) { p.Description = s.unique("description ") }),
		"pool: admin state": s.onPool(extras, func(p *model.Pool) { p.AdminStateUp = !p.AdminStateUp }),
		"pool: algorithm": s.onPool(any, func(p *model.Pool) {
			p.LBAlgorithm = one(s, model.AlgorithmRoundRobin, model.AlgorithmSourceIP, model.AlgorithmSourceIPPort)
			if p.Protocol != model.ProtocolUDP && s.pick(3) == 0 {
				p.LBAlgorithm = model.AlgorithmLeastConnections
			}
		}),
		"pool: persistence": s.onPool(any, func(p *model.Pool) {
			kinds := []*model.SessionPersistence{nil, {Type: "SOURCE_IP"}}
			if p.Protocol == model.ProtocolHTTP && !isExtra(p.Name) {
				kinds = append(kinds, &model.SessionPersistence{Type: "HTTP_COOKIE"}, &model.SessionPersistence{Type: "APP_COOKIE", CookieName: "c"})
			}
			p.SessionPersistence = one(s, kinds...)
		}),
	}
}

func redirectedTo(tree *model.LoadBalancer, poolID string) bool {
	return slices.ContainsFunc(tree.Listeners, func(l model.Listener) bool {
		return slices.ContainsFunc(l.L7Policies, func(p model.L7Policy) bool { return p.RedirectPoolID == poolID })
	})
}

func (s *site) memberChanges() map[string]change {
	// onMember is a change of one that the pool can do without.
	onMember := func(change func(*model.Member)) change {
		return func(c *call) bool {
			p := s.poolOf(c, func(p *model.Pool) bool { return len(p.Members) > 1 })
			if p == nil {
				return false
			}
			m := &p.Members[s.pick(len(p.Members))]
			return m.ID != keeper(p) && c.changeMember(p, m, func() { change(m) })
		}
	}
	return map[string]change{
		"member: create": func(c *call) bool {
			p := s.poolOf(c, func(p *model.Pool) bool { return len(s.free(p)) > 0 })
			if p == nil {
				return false
			}
			m := s.member(p, one(s, s.free(p)...))
			m.Backup = isExtra(p.Name) && s.pick(3) == 0
			p.Members = append(p.Members, m)
			c.lockPool(p.ID)
			c.lock(model.ProvisioningPendingCreate, model.Ref{Kind: model.KindMember, ID: m.ID})
			return c.post("/v1/pools/"+p.ID+"/members", document(m))
		},
		"member: delete": func(c *call) bool {
			p := s.poolOf(c, func(p *model.Pool) bool { return len(p.Members) > 1 })
			if p == nil {
				return false
			}
			m := p.Members[s.pick(len(p.Members))]
			if m.ID == keeper(p) {
				return false
			}
			c.lockPool(p.ID)
			c.lock(model.ProvisioningPendingDelete, model.Ref{Kind: model.KindMember, ID: m.ID})
			return c.remove("/v1/pools/" + p.ID + "/members/" + m.ID)
		},
		"member: weight":      onMember(func(m *model.Member) { m.Weight = s.pick(257) }),
		"member: admin state": onMember(func(m *model.Member) { m.AdminStateUp = !m.AdminStateUp }),
		"member: name":        onMember(func(m *model.Member) { m.Name = s.unique("member ") }),
		"members: batch":      s.batch,
	}
}

// keeper is the member of a pool with clients that no change concerns; extras have none.
func keeper(p *model.Pool) string {
	for _, m := range p.Members {
		if m.Name == lasting {
			return m.ID
		}
	}
	return ""
}

// free are the ports at which a pool has no member yet.
func (s *site) free(p *model.Pool) []int {
	return slices.DeleteFunc(slices.Clone(s.ports(p.Protocol)), func(port int) bool {
		return slices.ContainsFunc(p.Members, func(m model.Member) bool { return m.ProtocolPort == port })
	})
}

// batch replaces the members of a pool but the one that stays.
func (s *site) batch(c *call) bool {
	p := s.poolOf(c, func(p *model.Pool) bool { return len(p.Members) > 0 })
	if p == nil {
		return false
	}
	stays := keeper(p)
	list := []any{}
	c.lockPool(p.ID)
	for _, m := range p.Members {
		if m.ID == stays || s.pick(2) == 0 {
			c.lock(model.ProvisioningPendingUpdate, model.Ref{Kind: model.KindMember, ID: m.ID})
			list = append(list, document(m))
		} else {
			c.lock(model.ProvisioningPendingDelete, model.Ref{Kind: model.KindMember, ID: m.ID})
		}
	}
	for _, port := range s.free(p) {
		if s.pick(2) == 0 {
			m := s.member(p, port)
			p.Members = append(p.Members, m)
			c.lock(model.ProvisioningPendingCreate, model.Ref{Kind: model.KindMember, ID: m.ID})
			list = append(list, document(m))
		}
	}
	c.method, c.path, c.body = "PUT", "/v1/pools/"+p.ID+"/members", map[string]any{"members": list}
	return true
}

func (s *site) monitorChanges() map[string]change {
	monitored := func(p *model.Pool) bool { return p.HealthMonitor != nil }
	types := map[string][]string{
		model.ProtocolHTTP:  {model.HealthMonitorHTTP, model.HealthMonitorTCP, model.HealthMonitorPing},
		model.ProtocolTCP:   {model.HealthMonitorTCP, model.HealthMonitorPing},
		model.ProtocolHTTPS: {model.HealthMonitorHTTPS, model.HealthMonitorTLSHello, model.HealthMonitorTCP},
		model.ProtocolUDP:   {model.HealthMonitorUDPConnect},
	}
	return map[string]change{
		"monitor: create": func(c *call) bool {
			p := s.poolOf(c, func(p *model.Pool) bool { return p.HealthMonitor == nil })
			if p == nil {
				return false
			}
			p.HealthMonitor = s.monitor(p, one(s, types[p.Protocol]...))
			c.lockPool(p.ID)
			c.lock(model.ProvisioningPendingCreate, model.Ref{Kind: model.KindHealthMonitor, ID: p.HealthMonitor.ID})
			return c.post("/v1/healthmonitors", document(p.HealthMonitor))
		},
		"monitor: change": func(c *call) bool {
			p := s.poolOf(c, monitored)
			return p != nil && c.changeMonitor(p, func(m *model.HealthMonitor) { m.Delay, m.MaxRetriesDown = 2+s.pick(3), 3+s.pick(3) })
		},
		"monitor: admin state": func(c *call) bool {
			p := s.poolOf(c, monitored)
			return p != nil && c.changeMonitor(p, func(m *model.HealthMonitor) { m.AdminStateUp = !m.AdminStateUp })
		},
		"monitor: delete": func(c *call) bool {
			p := s.poolOf(c, monitored)
			if p == nil {
				return false
			}
			c.lockPool(p.ID)
			c.lock(model.ProvisioningPendingDelete, model.Ref{Kind: model.KindHealthMonitor, ID: p.HealthMonitor.ID})
			return c.remove("/v1/healthmonitors/" + p.HealthMonitor.ID + "?pool_id=" + p.ID)
		},
	}
}
