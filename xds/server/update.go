package server

import (
	"maps"
	"slices"
)

// Update sets and removes resources of one type of a node; all others stay. What changed is sent at once, what did not
// is not. The first Update of a type, be it empty, ends the silence on it. A resource that Envoy refused is tried again.
func (s *Server) Update(nodeID, typeURL string, set map[string]*Resource, remove []string) {
	n := s.nodes.lock(nodeID)
	defer n.mu.Unlock()
	n.removed = false
	d := n.desired[typeURL]
	first := d == nil
	if first {
		d = &desired{resources: map[string]*entry{}, good: map[string]*entry{}, tombstones: map[string]struct{}{}}
		n.desired[typeURL] = d
	}
	hints := make([]string, 0, len(set)+len(remove))
	for name, res := range set {
		if s.set(n, d, Key{typeURL, name}, res) {
			hints = append(hints, name)
		}
	}
	for _, name := range remove {
		n.remove(d, Key{typeURL, name})
	}
	if first {
		hints = nil
	}
	n.push(typeURL, hints)
	n.broadcast()
}

// set puts one resource and says whether it has to be sent. n.mu is held.
func (s *Server) set(n *node, d *desired, key Key, res *Resource) bool {
	delete(d.tombstones, key.Name)
	refused := n.pardon(key)
	old := d.resources[key.Name]
	if old != nil && old.Version == res.Version {
		return refused
	}
	if old != nil && !old.acked.IsZero() {
		d.good[key.Name] = old
	}
	d.resources[key.Name] = &entry{Resource: res, setAt: s.clock()}
	return true
}

// remove drops one resource. n.mu is held.
func (n *node) remove(d *desired, key Key) {
	delete(d.resources, key.Name)
	delete(d.good, key.Name)
	n.pardon(key)
	if n.mayHold(key.TypeURL, key.Name) {
		d.tombstones[key.Name] = struct{}{}
	}
}

// pardon forgets a rejection, so that even the same version would be sent again, and says whether there was one.
// n.mu is held.
func (n *node) pardon(key Key) bool {
	rejection, refused := n.rejected[key]
	if !refused {
		return false
	}
	delete(n.rejected, key)
	for st := range n.streams {
		if h := st.types[key.TypeURL]; h != nil && h.told[key.Name] == rejection.Version {
			// Envoy has what it had before.
			delete(h.told, key.Name)
			if acked, holds := h.acked[key.Name]; holds {
				h.told[key.Name] = acked
			}
		}
	}
	return true
}

// push answers the open watches of a type. n.mu is held.
func (n *node) push(typeURL string, hints []string) {
	for st := range n.streams {
		w := st.watches[typeURL]
		switch {
		case w == nil:
			st.sendLate(typeURL)
		case st.answer(typeURL, w, hints):
			delete(st.watches, typeURL)
		}
	}
}

// Revert takes a refused resource back: to the last version that this node acknowledged; to none when its Envoy holds
// none. When it holds one from before this process, which we know only by its version, everything stays: Envoy serves
// that, and would lose it by a removal; then unknown is true. The node's state keeps showing the rejection.
func (s *Server) Revert(nodeID string, key Key) (unknown bool) {
	n := s.nodes.get(nodeID)
	if n == nil {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.desired[key.TypeURL]
	if d == nil || d.resources[key.Name] == nil {
		return false
	}
	if good := d.good[key.Name]; good != nil {
		d.resources[key.Name] = good
		delete(d.good, key.Name)
		n.push(key.TypeURL, []string{key.Name})
		return false
	}
	if h := n.held(key.TypeURL); h != nil {
		if _, holds := h.acked[key.Name]; holds {
			return true
		}
	}
	delete(d.resources, key.Name)
	return false
}

// Versions returns what a node shall hold of a type: name → version; nil when the type was never set.
func (s *Server) Versions(nodeID, typeURL string) map[string]string {
	n := s.nodes.get(nodeID)
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.desired[typeURL]
	if d == nil {
		return nil
	}
	versions := make(map[string]string, len(d.resources))
	for name, e := range d.resources {
		versions[name] = e.Version
	}
	return versions
}

// Held returns what a node's Envoy has acknowledged of a type and not given back: name → version.
func (s *Server) Held(nodeID, typeURL string) map[string]string {
	n := s.nodes.get(nodeID)
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.held(typeURL); h != nil {
		return maps.Clone(h.acked)
	}
	return nil
}

// Resource returns what a node shall hold under a key, or nil.
func (s *Server) Resource(nodeID string, key Key) *Resource {
	n := s.nodes.get(nodeID)
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if d := n.desired[key.TypeURL]; d != nil {
		if e := d.resources[key.Name]; e != nil {
			return e.Resource
		}
	}
	return nil
}

// Rejections returns what a node's Envoy refused and nothing better has been tried for.
func (s *Server) Rejections(nodeID string) map[Key]Rejection {
	n := s.nodes.get(nodeID)
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.rejected)
}

// RemoveNode forgets an amphora that is gone for good. Nothing is sent: its Envoy is dead, or serves until it is.
func (s *Server) RemoveNode(nodeID string) {
	n := s.nodes.get(nodeID)
	if n == nil {
		return
	}
	n.mu.Lock()
	n.removed = true
	n.desired, n.rejected = map[string]*desired{}, map[Key]Rejection{}
	n.broadcast()
	n.mu.Unlock()
	s.nodes.forget(nodeID)
}

// Nodes lists the amphorae that have resources or a stream, in order.
func (s *Server) Nodes() []string {
	all := s.nodes.all()
	ids := make([]string, 0, len(all))
	for _, n := range all {
		ids = append(ids, n.id)
	}
	return slices.Clip(ids)
}
