package server

import (
	"maps"
	"slices"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// NodeState is what the server knows of an amphora, for people.
type NodeState struct {
	Node string
	// Connected is whether it has an ADS stream, and Since is when that came to be.
	Connected bool
	Since     time.Time
	// Info is what its Envoy says of itself: build and cluster; nil before the first request.
	Info *corev3.Node
	// Resources are in order of type and name: what it shall hold, then what it holds beside that.
	Resources []ResourceState
}

// ResourceState is one resource of a node.
type ResourceState struct {
	Key Key
	// Version is the one that it shall hold; "" when it shall hold none.
	Version string
	// Sent is the version that was sent last, Acked the one that its Envoy acknowledged; "" for none.
	Sent, Acked string
	// SetAt is when Version was given to us, AckedAt when its Envoy took it; zero for not.
	SetAt, AckedAt time.Time
	// Rejected is what its Envoy refused last; nil if nothing.
	Rejected *Rejection

	body *anypb.Any
}

// NodeState returns what is known of a node, and whether it is known.
func (s *Server) NodeState(nodeID string) (NodeState, bool) {
	n := s.nodes.get(nodeID)
	if n == nil {
		return NodeState{}, false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	state := NodeState{Node: n.id, Connected: n.connected, Since: n.since, Info: n.info}
	for _, key := range slices.SortedFunc(maps.Keys(n.keys()), compare) {
		state.Resources = append(state.Resources, n.resourceState(key))
	}
	return state, true
}

// Here says whether a node has an ADS stream, or is about to have one.
func (s *Server) Here(nodeID string) bool {
	n := s.nodes.get(nodeID)
	if n == nil {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.connected || n.arriving > 0
}

// keys are all that the node shall hold, holds or refused. n.mu is held.
func (n *node) keys() map[Key]struct{} {
	keys := map[Key]struct{}{}
	for typeURL, d := range n.desired {
		for name := range d.resources {
			keys[Key{typeURL, name}] = struct{}{}
		}
	}
	for key := range n.rejected {
		keys[key] = struct{}{}
	}
	if n.newest != nil {
		for typeURL, h := range n.newest.types {
			for name := range h.acked {
				keys[Key{typeURL, name}] = struct{}{}
			}
		}
	}
	return keys
}

func (n *node) resourceState(key Key) ResourceState {
	state := ResourceState{Key: key}
	if d := n.desired[key.TypeURL]; d != nil {
		if e := d.resources[key.Name]; e != nil {
			state.Version, state.SetAt, state.AckedAt, state.body = e.Version, e.setAt, e.acked, e.body
		}
	}
	if h := n.held(key.TypeURL); h != nil {
		state.Sent, state.Acked = h.told[key.Name], h.acked[key.Name]
	}
	if rejection, refused := n.rejected[key]; refused {
		state.Rejected = &rejection
	}
	return state
}
