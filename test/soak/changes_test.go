package soak

import (
	"maps"
	"slices"
	"strings"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// change makes one call of a kind on the load balancer; false when there is nothing that it could be made on.
type change func(c *call) bool

// changes are all kinds, by name.
func (s *site) changes() map[string]change {
	all := map[string]change{}
	for _, kinds := range []map[string]change{
		s.listenerChanges(), s.tlsChanges(), s.poolChanges(), s.memberChanges(), s.monitorChanges(), s.policyChanges(), s.ruleChanges(),
	} {
		maps.Copy(all, kinds)
	}
	all["load balancer: name"] = func(c *call) bool {
		before := document(c.tree)
		c.tree.Name, c.tree.Description = s.unique("name "), s.unique("description ")
		c.lock("")
		return c.put("/v1/loadbalancers/"+c.tree.ID, before, document(c.tree), "loadbalancer_id")
	}
	return all
}

// names are the names of some kinds in their order, so that a seed always picks the same.
func names[T any](kinds map[string]T) []string { return slices.Sorted(maps.Keys(kinds)) }

func isExtra(name string) bool   { return strings.HasPrefix(name, extra) }
func mayChange(name string) bool { return !strings.HasPrefix(name, bystander) }

// listenerOf picks a listener that may be changed.
func (s *site) listenerOf(c *call, fits func(*model.Listener) bool) *model.Listener {
	var all []*model.Listener
	for i := range c.tree.Listeners {
		if l := &c.tree.Listeners[i]; mayChange(l.Name) && fits(l) {
			all = append(all, l)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return one(s, all...)
}

// poolOf picks a pool that may be changed.
func (s *site) poolOf(c *call, fits func(*model.Pool) bool) *model.Pool {
	var all []*model.Pool
	for i := range c.tree.Pools {
		if p := &c.tree.Pools[i]; mayChange(p.Name) && fits(p) {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return one(s, all...)
}

// onListener is a change of a listener's own attributes.
func (s *site) onListener(fits func(*model.Listener) bool, change func(*model.Listener)) change {
	return func(c *call) bool {
		l := s.listenerOf(c, fits)
		return l != nil && c.changeListener(l, func() { change(l) })
	}
}

func (s *site) onPool(fits func(*model.Pool) bool, change func(*model.Pool)) change {
	return func(c *call) bool {
		p := s.poolOf(c, fits)
		return p != nil && c.changePool(p, func() { change(p) })
	}
}

func speaks(protocols ...string) func(*model.Listener) bool {
	return func(l *model.Listener) bool { return slices.Contains(protocols, l.Protocol) }
}

func readsRequests(l *model.Listener) bool {
	return speaks(model.ProtocolHTTP, model.ProtocolTerminatedHTTPS)(l)
}
