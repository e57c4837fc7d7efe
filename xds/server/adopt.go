package server

// Adopt sets all that a node shall hold of a type, as somebody else has left it: what is not among it was removed by them,
// or is from before them and for the publisher to remove, so nothing is removed here.
func (s *Server) Adopt(nodeID, typeURL string, all map[string]*Resource) {
	n := s.nodes.lock(nodeID)
	if d := n.desired[typeURL]; d != nil {
		for name := range d.resources {
			if all[name] == nil {
				delete(d.resources, name)
				delete(d.good, name)
				n.pardon(Key{typeURL, name})
			}
		}
		clear(d.tombstones)
	}
	n.mu.Unlock()
	s.Update(nodeID, typeURL, all, nil)
}
