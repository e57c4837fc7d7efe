package server

import (
	"maps"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

const wildcard = "*"

// greet handles the first request of a type on a stream: an Envoy that was here before says what it holds. Only the first
// request carries that. node.mu is held.
func (st *stream) greet(typeURL string, h *held, req *discoveryv3.DeltaDiscoveryRequest) {
	initial := req.GetInitialResourceVersions()
	h.told, h.acked = make(map[string]string, len(initial)), make(map[string]string, len(initial))
	maps.Copy(h.told, initial)
	for name, version := range initial {
		st.acknowledged(typeURL, h, name, version)
	}
	// An Envoy that holds something knows that we answer; a fresh one waits for its first answer, be it empty.
	h.greeted = len(initial) > 0
	// An empty list asks for everything where that can be meant, see "wildcard" in Envoy's xDS protocol.
	h.wildcard = wildcardType(typeURL) && len(req.GetResourceNamesSubscribe()) == 0

	d := st.node.desired[typeURL]
	if st.node.newest != st || d == nil {
		return
	}
	for name := range d.tombstones {
		if _, holds := initial[name]; !holds {
			delete(d.tombstones, name)
		}
	}
}

// subscribe notes what Envoy wants from now on, and no longer. node.mu is held.
func (st *stream) subscribe(typeURL string, h *held, req *discoveryv3.DeltaDiscoveryRequest) {
	initial := req.GetInitialResourceVersions()
	for _, name := range req.GetResourceNamesSubscribe() {
		if name == wildcard {
			h.wildcard = true
			continue
		}
		h.subscribed[name] = struct{}{}
		if _, holds := initial[name]; !holds {
			// "A resource_names_subscribe field may contain resource names that the server believes the client is already
			// subscribed to […] the server must still provide them" (xDS protocol). Envoy does so when it dropped and
			// wants a resource again before it could tell us of the first; without an answer it would wait 15 s.
			delete(h.told, name)
			delete(h.acked, name)
		}
	}
	for _, name := range req.GetResourceNamesUnsubscribe() {
		if name == wildcard {
			h.wildcard = false
			continue
		}
		delete(h.subscribed, name)
		// Under a wildcard the resource is wanted still, and the protocol wants it sent again.
		delete(h.told, name)
		delete(h.acked, name)
		delete(h.alone, name)
		if d := st.node.desired[typeURL]; d != nil && st.node.newest == st && !h.wildcard {
			delete(d.tombstones, name)
		}
	}
}
