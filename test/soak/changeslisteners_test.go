package soak

import (
	"slices"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

func (s *site) listenerChanges() map[string]change {
	any := func(*model.Listener) bool { return true }
	extras := func(l *model.Listener) bool { return isExtra(l.Name) }
	overTCP := func(l *model.Listener) bool { return l.Protocol != model.ProtocolUDP }
	return map[string]change{
		"listener: create": s.createListener,
		"listener: delete": func(c *call) bool {
			l := s.listenerOf(c, extras)
			if l == nil {
				return false
			}
			c.lock(model.ProvisioningPendingDelete, model.Ref{Kind: model.KindListener, ID: l.ID})
			return c.remove("/v1/listeners/" + l.ID + "?loadbalancer_id=" + c.tree.ID)
		},
		"listener: admin state": s.onListener(extras, func(l *model.Listener) { l.AdminStateUp = !l.AdminStateUp }),
		"listener: name":        s.onListener(any, func(l *model.Listener) { l.Description = s.unique("description ") }),
		"listener: default pool": func(c *call) bool {
			l := s.listenerOf(c, func(l *model.Listener) bool { return l.Protocol != model.ProtocolPrometheus })
			pool := s.fitting(c.tree, l.Protocol)
			if pool == "" {
				return false
			}
			return c.changeListener(l, func() { l.DefaultPoolID = pool })
		},
		"listener: client timeout": s.onListener(any, func(l *model.Listener) { l.TimeoutClientData = 40_000 + 1000*s.pick(60) }),
		"listener: member timeout": s.onListener(any, func(l *model.Listener) { l.TimeoutMemberData = 40_000 + 1000*s.pick(60) }),
		"listener: connect timeout": s.onListener(any, func(l *model.Listener) {
			l.TimeoutMemberConnect = one(s, 5000, 10_000, 20_000)
		}),
		"listener: inspect timeout": s.onListener(speaks(model.ProtocolTCP), func(l *model.Listener) {
			l.TimeoutTCPInspect = one(s, 0, 100, 200)
		}),
		"listener: connection limit": s.onListener(overTCP, func(l *model.Listener) { l.ConnectionLimit = one(s, -1, 5000, 10_000) }),
		"listener: allowed CIDRs": s.onListener(any, func(l *model.Listener) {
			l.AllowedCIDRs = one(s, nil, []string{"127.0.0.0/8"}, []string{"127.0.0.1/32", "192.0.2.0/24"}, []string{"0.0.0.0/0"})
		}),
		"listener: inserted headers": s.onListener(readsRequests, func(l *model.Listener) {
			l.InsertHeaders = one(s, nil, map[string]string{"X-Forwarded-For": "true"},
				map[string]string{"X-Forwarded-Port": "true", "X-Forwarded-Proto": "true"})
		}),
	}
}

func (s *site) createListener(c *call) bool {
	taken := map[int]bool{}
	for _, l := range c.tree.Listeners {
		taken[l.ProtocolPort] = true
	}
	port := firstExtra
	for taken[port] {
		port++
	}
	if port > lastExtra {
		return false
	}
	protocol := one(s, model.ProtocolHTTP, model.ProtocolTerminatedHTTPS, model.ProtocolTCP, model.ProtocolUDP, model.ProtocolHTTPS, model.ProtocolPrometheus)
	l := s.listener(c.tree.ID, s.unique(extra), protocol, port, "")
	if s.pick(3) > 0 {
		l.DefaultPoolID = s.fitting(c.tree, protocol)
	}
	c.tree.Listeners = append(c.tree.Listeners, l)
	c.lock(model.ProvisioningPendingCreate, model.Ref{Kind: model.KindListener, ID: l.ID})
	return c.post("/v1/listeners", listenerDocument(&l))
}

// fitting picks a pool for a listener of a protocol that is sure to serve: one that is played with.
func (s *site) fitting(tree *model.LoadBalancer, protocol string) string {
	serves := map[string]string{
		model.ProtocolHTTP: model.ProtocolHTTP, model.ProtocolTerminatedHTTPS: model.ProtocolHTTP, model.ProtocolTCP: model.ProtocolTCP,
		model.ProtocolUDP: model.ProtocolUDP, model.ProtocolHTTPS: model.ProtocolHTTPS,
	}
	var all []string
	for _, p := range tree.Pools {
		if mayChange(p.Name) && !isExtra(p.Name) && p.Protocol == serves[protocol] {
			all = append(all, p.ID)
		}
	}
	if len(all) == 0 {
		return ""
	}
	return one(s, all...)
}

func (s *site) tlsChanges() map[string]change {
	terminates := speaks(model.ProtocolTerminatedHTTPS)
	return map[string]change{
		"listener: certificate": s.onListener(terminates, s.certify),
		"listener: SNI certificates": s.onListener(terminates, func(l *model.Listener) {
			if len(l.SNIContainerRefs) > 1 {
				l.SNIContainerRefs, l.SNIContainers = nil, nil
				return
			}
			certificate := s.pki.Issue(pki.Options{Names: []string{s.unique("sni") + ".example"}})
			l.SNIContainerRefs = append(slices.Clone(l.SNIContainerRefs), "https://barbican/v1/containers/"+s.id())
			l.SNIContainers = append(slices.Clone(l.SNIContainers), certificate.Container())
		}),
		"listener: TLS versions": s.onListener(terminates, func(l *model.Listener) {
			l.TLSVersions = one(s, []string{"TLSv1.2", "TLSv1.3"}, []string{"TLSv1.3"}, []string{"TLSv1.1", "TLSv1.2", "TLSv1.3"})
		}),
		"listener: HSTS": s.onListener(terminates, func(l *model.Listener) {
			l.HSTSMaxAge, l.HSTSIncludeSubdomains = new(3600+s.pick(1000)), s.pick(2) == 0
		}),
	}
}
