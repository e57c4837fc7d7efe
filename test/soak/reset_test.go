package soak

import (
	"errors"
	"slices"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// reset brings the load balancer back to what it was at first, call by call. Members, certificates and monitors of those that are played with stay
// as they are but for their number: what is compared is how much is in use.
func (k *soak) reset() {
	k.t.Helper()
	for k.resetOne() {
		k.w.settled(k.lb)
	}
}

// resetOne makes one call; false when nothing is left to do.
func (k *soak) resetOne() bool {
	k.t.Helper()
	err := k.w.call(k.lb, func(c *call) bool {
		for i := range c.tree.Listeners {
			if k.resetListener(c, &c.tree.Listeners[i]) {
				return true
			}
		}
		for i := range c.tree.Pools {
			if k.resetPool(c, &c.tree.Pools[i]) {
				return true
			}
		}
		return false
	})
	if errors.Is(err, errNothing) {
		return false
	}
	must(k.t, err)
	return true
}

func (k *soak) resetListener(c *call, l *model.Listener) bool {
	ref := model.Ref{Kind: model.KindListener, ID: l.ID}
	for _, p := range l.L7Policies {
		c.lock(model.ProvisioningPendingUpdate, ref)
		c.lock(model.ProvisioningPendingDelete, model.Ref{Kind: model.KindL7Policy, ID: p.ID})
		return c.remove("/v1/l7policies/" + p.ID + "?listener_id=" + l.ID)
	}
	was := k.base.Listener(l.ID)
	if was == nil {
		c.lock(model.ProvisioningPendingDelete, ref)
		return c.remove("/v1/listeners/" + l.ID + "?loadbalancer_id=" + c.tree.ID)
	}
	changed := c.changeListener(l, func() {
		policies, ref, container := l.L7Policies, l.DefaultTLSContainerRef, l.DefaultTLSContainer
		*l = *was
		l.L7Policies, l.DefaultTLSContainerRef, l.DefaultTLSContainer = policies, ref, container
	})
	if !changed {
		clear(c.pending)
	}
	return changed
}

func (k *soak) resetPool(c *call, p *model.Pool) bool {
	was := k.base.Pool(p.ID)
	if was == nil {
		c.lockUsers(p.ID)
		c.lock(model.ProvisioningPendingDelete, model.Ref{Kind: model.KindPool, ID: p.ID})
		return c.remove("/v1/pools/" + p.ID + "?loadbalancer_id=" + c.tree.ID)
	}
	if p.HealthMonitor != nil && was.HealthMonitor == nil {
		c.lockPool(p.ID)
		c.lock(model.ProvisioningPendingDelete, model.Ref{Kind: model.KindHealthMonitor, ID: p.HealthMonitor.ID})
		return c.remove("/v1/healthmonitors/" + p.HealthMonitor.ID + "?pool_id=" + p.ID)
	}
	stays := func(m model.Member) bool {
		return slices.ContainsFunc(was.Members, func(w model.Member) bool { return w.ID == m.ID })
	}
	if len(p.Members) != 1 && mayChange(p.Name) && slices.ContainsFunc(p.Members, func(m model.Member) bool { return m.Name != lasting }) {
		list := []any{}
		c.lockPool(p.ID)
		for _, m := range p.Members {
			status := model.ProvisioningPendingDelete
			if m.Name == lasting && stays(m) {
				status = model.ProvisioningPendingUpdate
				list = append(list, document(m))
			}
			c.lock(status, model.Ref{Kind: model.KindMember, ID: m.ID})
		}
		c.method, c.path, c.body = "PUT", "/v1/pools/"+p.ID+"/members", map[string]any{"members": list}
		return true
	}
	changed := c.changePool(p, func() {
		members, monitor := p.Members, p.HealthMonitor
		*p = *was
		p.Members, p.HealthMonitor = members, monitor
	})
	if !changed {
		clear(c.pending)
	}
	return changed
}
