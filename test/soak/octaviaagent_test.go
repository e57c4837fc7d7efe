package soak

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/driveragent"
)

// serveAgent serves the driver-agent's three sockets. The result is to be forgiven the broken connections of a controller that is killed.
func (o *octavia) serveAgent(s settings) []*driveragent.Server {
	return []*driveragent.Server{
		driveragent.Serve(o.t, s.path(getSocket), o.get),
		driveragent.Serve(o.t, s.path(statusSocket), o.status),
		driveragent.Serve(o.t, s.path(statsSocket), o.statistics),
	}
}

// get reads what is committed: driver_get.py.
func (o *octavia) get(request []byte) []byte {
	var asked struct{ Object, ID string }
	if json.Unmarshal(request, &asked) != nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, r := range o.lbs {
		if r.tree == nil {
			continue
		}
		if asked.Object == "loadbalancers" && id == asked.ID {
			return encoded(loadBalancerDocument(r.tree))
		}
		if object := find(r.tree, asked.ID); object != nil {
			return encoded(object)
		}
	}
	return []byte("{}")
}

// find returns the document of a listener, pool, policy or other object below a load balancer.
func find(tree *model.LoadBalancer, id string) any {
	for i := range tree.Listeners {
		if l := &tree.Listeners[i]; l.ID == id {
			return listenerDocument(l)
		}
		for _, p := range tree.Listeners[i].L7Policies {
			if p.ID == id {
				return p
			}
			for _, r := range p.Rules {
				if r.ID == id {
					return r
				}
			}
		}
	}
	for _, p := range tree.Pools {
		if p.ID == id {
			return p
		}
		if m := p.Member(id); m != nil {
			return *m
		}
		if p.HealthMonitor != nil && p.HealthMonitor.ID == id {
			return *p.HealthMonitor
		}
	}
	return nil
}

func encoded(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// document is an object as octavia-lib writes it.
func document(v any) map[string]any {
	var d map[string]any
	if err := json.Unmarshal(encoded(v), &d); err != nil {
		panic(err)
	}
	return d
}

// loadBalancerDocument is document with the certificates, which the model keeps to itself.
func loadBalancerDocument(tree *model.LoadBalancer) map[string]any {
	d := document(tree)
	var listeners []any
	for i := range tree.Listeners {
		listeners = append(listeners, listenerDocument(&tree.Listeners[i]))
	}
	d["listeners"] = listeners
	return d
}

func listenerDocument(l *model.Listener) map[string]any {
	d := document(l)
	d["default_tls_container_data"] = container(l.DefaultTLSContainer)
	var sni []any
	for _, c := range l.SNIContainers {
		sni = append(sni, container(c))
	}
	d["sni_container_data"] = sni
	return d
}

func container(c *model.TLSContainer) any {
	if c == nil {
		return nil
	}
	return map[string]any{
		"id": c.ID, "primary_cn": c.PrimaryCN, "certificate": c.Certificate, "private_key": c.PrivateKey, "intermediates": c.Intermediates,
	}
}

// status writes statuses: driver_updater.py. Each record waits for the row, as its UPDATE does.
func (o *octavia) status(request []byte) []byte {
	var update model.StatusUpdate
	if json.Unmarshal(request, &update) != nil {
		return nil
	}
	for _, kind := range []model.Kind{
		model.KindMember, model.KindL7Rule, model.KindL7Policy, model.KindHealthMonitor, model.KindPool, model.KindListener, model.KindLoadBalancer,
	} {
		for _, record := range *update.Records(kind) {
			if !o.write(model.Ref{Kind: kind, ID: record.ID}, record) {
				return encoded(map[string]any{
					"status_code": 500, "fault_string": fmt.Sprintf("%s %s not found", kind, record.ID),
					"status_object": string(kind) + "s", "status_object_id": record.ID,
				})
			}
		}
	}
	return []byte(`{"status_code": 200}`)
}

// write writes one record. Of the kinds that are unknown only some are told of, see OCTAVIA's trap 5.
func (o *octavia) write(ref model.Ref, status model.ObjectStatus) bool {
	r := o.recordOf(ref)
	if r == nil {
		return ref.Kind != model.KindListener && ref.Kind != model.KindL7Policy && ref.Kind != model.KindL7Rule
	}
	r.row.Lock()
	defer r.row.Unlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	is, there := r.statuses[ref]
	if !there {
		return true
	}
	if status.ProvisioningStatus == model.ProvisioningDeleted {
		o.remove(r, ref)
		return true
	}
	if status.ProvisioningStatus != "" {
		is.provisioning, is.changed = status.ProvisioningStatus, time.Now()
		if status.ProvisioningStatus == model.ProvisioningError {
			o.failures = append(o.failures, fmt.Sprintf("%s %s", ref.Kind, ref.ID))
		}
	}
	if status.OperatingStatus != "" {
		is.operating = status.OperatingStatus
	}
	r.statuses[ref] = is
	return true
}

func (o *octavia) recordOf(ref model.Ref) *record {
	o.mu.Lock()
	defer o.mu.Unlock()
	if ref.Kind == model.KindLoadBalancer {
		return o.lbs[ref.ID] // one that is just inserted is waited for, too
	}
	for _, r := range o.lbs {
		if _, has := r.statuses[ref]; has {
			return r
		}
	}
	return nil
}

// remove takes an object out of the database with what is below it.
func (o *octavia) remove(r *record, ref model.Ref) {
	var gone []model.Ref
	tree := r.tree
	switch ref.Kind {
	case model.KindLoadBalancer:
		delete(o.lbs, ref.ID)
		return
	case model.KindListener:
		tree.Listeners = slices.DeleteFunc(tree.Listeners, func(l model.Listener) bool {
			if l.ID == ref.ID {
				gone = listenerRefs(l)
			}
			return l.ID == ref.ID
		})
	case model.KindPool:
		tree.Pools = slices.DeleteFunc(tree.Pools, func(p model.Pool) bool {
			if p.ID == ref.ID {
				gone = poolRefs(p)
			}
			return p.ID == ref.ID
		})
		for i := range tree.Listeners {
			if l := &tree.Listeners[i]; l.DefaultPoolID == ref.ID {
				l.DefaultPoolID = ""
			}
		}
	default:
		gone = removeBelow(tree, ref)
	}
	for _, ref := range append(gone, ref) {
		delete(r.statuses, ref)
	}
}

func removeBelow(tree *model.LoadBalancer, ref model.Ref) (gone []model.Ref) {
	for i := range tree.Listeners {
		l := &tree.Listeners[i]
		l.L7Policies = slices.DeleteFunc(l.L7Policies, func(p model.L7Policy) bool {
			if p.ID == ref.ID {
				gone = policyRefs(p)
			}
			return p.ID == ref.ID
		})
		for j := range l.L7Policies {
			p := &l.L7Policies[j]
			p.Position = j + 1 // Octavia closes the gap
			p.Rules = slices.DeleteFunc(p.Rules, func(r model.L7Rule) bool { return r.ID == ref.ID })
		}
	}
	for i := range tree.Pools {
		p := &tree.Pools[i]
		p.Members = slices.DeleteFunc(p.Members, func(m model.Member) bool { return m.ID == ref.ID })
		if p.HealthMonitor != nil && p.HealthMonitor.ID == ref.ID {
			p.HealthMonitor = nil
		}
	}
	return gone
}

func (o *octavia) statistics([]byte) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.statics++
	return []byte(`{"status_code": 200}`)
}
