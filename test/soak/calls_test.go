package soak

import (
	"maps"
	"net/http"
	"reflect"
	"slices"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// lock makes objects PENDING, and the load balancer with them.
func (c *call) lock(status model.ProvisioningStatus, locked ...model.Ref) {
	root := model.Ref{Kind: model.KindLoadBalancer, ID: c.tree.ID}
	if c.pending[root] == "" {
		c.pending[root] = model.ProvisioningPendingUpdate
	}
	for _, ref := range locked {
		c.pending[ref] = status
	}
}

// lockPool locks a pool and the listeners that use it: octavia.db.models.Pool.listeners.
func (c *call) lockPool(id string) {
	c.lock(model.ProvisioningPendingUpdate, model.Ref{Kind: model.KindPool, ID: id})
	c.lockUsers(id)
}

func (c *call) lockUsers(poolID string) {
	for _, l := range c.tree.Listeners {
		redirects := func(p model.L7Policy) bool { return p.AdminStateUp && len(p.Rules) > 0 && p.RedirectPoolID == poolID }
		if l.DefaultPoolID == poolID || slices.ContainsFunc(l.L7Policies, redirects) {
			c.lock(model.ProvisioningPendingUpdate, model.Ref{Kind: model.KindListener, ID: l.ID})
		}
	}
}

func (c *call) post(path string, body any) bool {
	c.method, c.path, c.body = http.MethodPost, path, body
	return true
}

func (c *call) remove(path string) bool {
	c.method, c.path = http.MethodDelete, path
	return true
}

// put asks for the change from before to after, as the shim words it: what differs, and the ids. It is false when nothing does.
func (c *call) put(path string, before, after map[string]any, ids ...string) bool {
	c.method, c.path = http.MethodPut, path
	body := map[string]any{}
	for key, value := range after {
		if !reflect.DeepEqual(value, before[key]) {
			body[key] = value
		}
	}
	if len(body) == 0 {
		return false
	}
	for _, id := range ids {
		body[id] = after[id]
	}
	c.body = maps.Clone(body)
	return true
}

// changeListener, changePool and so on change an object of the tree and ask for the difference.
func (c *call) changeListener(l *model.Listener, change func()) bool {
	before := listenerDocument(l)
	change()
	c.lock(model.ProvisioningPendingUpdate, model.Ref{Kind: model.KindListener, ID: l.ID})
	return c.put("/v1/listeners/"+l.ID, before, listenerDocument(l), "listener_id", "loadbalancer_id")
}

func (c *call) changePool(p *model.Pool, change func()) bool {
	before := document(p)
	change()
	c.lockPool(p.ID)
	return c.put("/v1/pools/"+p.ID, before, document(p), "pool_id", "loadbalancer_id")
}

func (c *call) changeMember(p *model.Pool, m *model.Member, change func()) bool {
	before := document(m)
	change()
	c.lockPool(p.ID)
	c.lock(model.ProvisioningPendingUpdate, model.Ref{Kind: model.KindMember, ID: m.ID})
	return c.put("/v1/pools/"+p.ID+"/members/"+m.ID, before, document(m), "member_id", "pool_id")
}

func (c *call) changeMonitor(p *model.Pool, change func(*model.HealthMonitor)) bool {
	before := document(p.HealthMonitor)
	change(p.HealthMonitor)
	c.lockPool(p.ID)
	c.lock(model.ProvisioningPendingUpdate, model.Ref{Kind: model.KindHealthMonitor, ID: p.HealthMonitor.ID})
	return c.put("/v1/healthmonitors/"+p.HealthMonitor.ID, before, document(p.HealthMonitor), "healthmonitor_id", "pool_id")
}

func (c *call) changePolicy(l *model.Listener, p *model.L7Policy, change func()) bool {
	before := document(p)
	change()
	c.lock(model.ProvisioningPendingUpdate, model.Ref{Kind: model.KindListener, ID: l.ID}, model.Ref{Kind: model.KindL7Policy, ID: p.ID})
	return c.put("/v1/l7policies/"+p.ID, before, document(p), "l7policy_id", "listener_id")
}

func (c *call) changeRule(l *model.Listener, p *model.L7Policy, r *model.L7Rule, change func()) bool {
	before := document(r)
	change()
	c.lock(model.ProvisioningPendingUpdate, model.Ref{Kind: model.KindListener, ID: l.ID}, model.Ref{Kind: model.KindL7Policy, ID: p.ID},
		model.Ref{Kind: model.KindL7Rule, ID: r.ID})
	return c.put("/v1/l7policies/"+p.ID+"/rules/"+r.ID, before, document(r), "l7rule_id", "l7policy_id")
}
