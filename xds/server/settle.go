package server

import (
	"maps"
	"slices"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// settle handles Envoy's answer to one message: an ACK, or a NACK when it has an error detail. node.mu is held.
func (st *stream) settle(typeURL string, h *held, req *discoveryv3.DeltaDiscoveryRequest) {
	message, ok := h.inflight[req.GetResponseNonce()]
	if !ok {
		return
	}
	delete(h.inflight, req.GetResponseNonce())
	st.server.metrics.answered(typeURL, st.server.clock().Sub(message.at))

	if detail := req.GetErrorDetail(); detail != nil {
		st.refused(typeURL, h, message, detail.GetMessage())
	} else {
		st.accepted(typeURL, h, message)
	}
	st.dropTombstones(typeURL, h, message)
}

// accepted handles an ACK of what is in the message.
func (st *stream) accepted(typeURL string, h *held, message sent) {
	for name, version := range message.set {
		// It may have been unsubscribed while it was on its way.
		if h.wants(name) {
			st.acknowledged(typeURL, h, name, version)
		}
	}
	for _, name := range message.removed {
		delete(h.acked, name)
	}
}

// refused handles a NACK. Clusters and listeners are taken one by one, those that failed are named in the text, and the
// others count as acknowledged. But Envoy notes versions and removals only of messages that it accepts
// (DeltaSubscriptionState::handleGoodResponse, Envoy 1.40): after a reconnection it would say that it has what it had before. So
// the others are sent again, which changes nothing but that. For all other types Envoy stops at the first that is bad and
// says not which: unless there was only one, each is sent again alone.
func (st *stream) refused(typeURL string, h *held, message sent, text string) {
	names := slices.Concat(slices.Sorted(maps.Keys(message.set)), message.removed)
	reasons := parseNACK(text, names)
	if len(names) == 1 && len(reasons) == 0 {
		reasons = map[string]string{names[0]: text}
	}
	st.server.metrics.nacks.WithLabelValues(Kind(typeURL)).Inc()

	taken := sent{set: map[string]string{}, removed: message.removed}
	oneByOne := wildcardType(typeURL) && len(reasons) > 0
	for name, version := range message.set {
		reason, bad := reasons[name]
		switch {
		case bad:
			st.reject(typeURL, name, version, sentence(typeURL, reason))
		case oneByOne:
			taken.set[name] = version
			if d := st.node.desired[typeURL]; d != nil && d.resources[name] != nil {
				delete(h.told, name)
			} // otherwise its removal follows
		default:
			delete(h.told, name)
			h.alone[name] = struct{}{}
		}
	}
	if len(message.set) > 0 {
		// The removals may not have been reached, or not noted: they stay to be sent again. A message of removals only is not repeated,
		// or a NACK of it would repeat for ever.
		taken.removed = nil
		for _, name := range message.removed {
			if version, holds := h.acked[name]; holds {
				h.told[name] = version
			}
		}
	}
	st.accepted(typeURL, h, taken)
	if len(reasons) == 0 {
		st.server.logger.Warn("envoy refused a message, sending each resource alone",
			"amphora", st.node.id, "kind", Kind(typeURL), "resources", names, "error", sentence(typeURL, text))
	}
}

// reject notes that Envoy will not have a resource. node.mu is held.
func (st *stream) reject(typeURL, name, version, reason string) {
	st.server.logger.Warn("envoy refused a resource",
		"amphora", st.node.id, "kind", Kind(typeURL), "resource", name, "version", version, "error", reason)
	if st.node.newest == st {
		st.node.rejected[Key{typeURL, name}] = Rejection{Version: version, Text: reason, At: st.server.clock()}
	}
}

// acknowledged notes that Envoy holds a version of a resource. node.mu is held.
func (st *stream) acknowledged(typeURL string, h *held, name, version string) {
	h.acked[name] = version
	n := st.node
	if n.newest != st {
		return
	}
	if key := (Key{typeURL, name}); n.rejected[key].Version == version {
		delete(n.rejected, key)
	}
	d := n.desired[typeURL]
	if d == nil {
		return
	}
	if e := d.resources[name]; e != nil && e.Version == version {
		e.acked = st.server.clock()
		delete(d.good, name)
	}
}

// dropTombstones forgets removals that have come to pass, by their ACK or because what was on its way was refused.
func (st *stream) dropTombstones(typeURL string, h *held, message sent) {
	d := st.node.desired[typeURL]
	if d == nil || st.node.newest != st {
		return
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(message.set)), message.removed) {
		if _, holds := h.acked[name]; !holds {
			delete(d.tombstones, name)
		}
	}
}
