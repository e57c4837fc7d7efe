package server

import (
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// node is one amphora: what it shall hold, what it refused, and the streams that it has open.
type node struct {
	id string

	mu sync.Mutex
	// desired is what it shall hold, by type; a type that was never set is absent, and the stream stays silent on it.
	desired map[string]*desired
	// rejected is what Envoy refused last, until something else is tried under that name.
	rejected map[Key]Rejection
	// streams are those open; two when Envoy has reconnected and the old connection is not known to be dead.
	streams map[*stream]struct{}
	// arriving counts the streams that wait for Options.Arrives.
	arriving int
	// newest is the last one opened, also after it was closed: what was held then is the best that we know.
	newest *stream
	// connected is whether newest is open, and since is when that came to be.
	connected bool
	since     time.Time
	// info is what Envoy says of itself, without its long list of extensions.
	info *corev3.Node
	// changed is closed and replaced whenever something happens that a Wait could be waiting for.
	changed chan struct{}
	removed bool
}

// Rejection is a NACK of one resource.
type Rejection struct {
	// Version is the one that was refused.
	Version string
	// Text is Envoy's sentence.
	Text string
	// At is when it was received.
	At time.Time
}

// desired is what a node shall hold of one type.
type desired struct {
	resources map[string]*entry
	// good are the last versions that Envoy acknowledged of resources whose present version it has not.
	good map[string]*entry
	// tombstones are removed resources that Envoy may still hold. What is neither here nor in resources is left alone:
	// it is from a former controller, and its removal is for the publisher to time.
	tombstones map[string]struct{}
}

// entry is a resource and what this node did with it.
type entry struct {
	*Resource
	setAt time.Time
	// acked is when this version was acknowledged; zero if it never was.
	acked time.Time
}

func newNode(id string, now time.Time) *node {
	return &node{
		id:       id,
		desired:  map[string]*desired{},
		rejected: map[Key]Rejection{},
		streams:  map[*stream]struct{}{},
		since:    now,
		changed:  make(chan struct{}),
	}
}

// broadcast wakes every Wait. n.mu is held.
func (n *node) broadcast() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// held returns what Envoy holds of a type as far as the newest stream tells; nil when it has not told yet.
func (n *node) held(typeURL string) *held {
	if n.newest == nil {
		return nil
	}
	return n.newest.types[typeURL]
}

// mayHold says whether Envoy could have the resource, now or when what is on its way arrives. n.mu is held.
func (n *node) mayHold(typeURL, name string) bool {
	h := n.held(typeURL)
	if h == nil {
		return true
	}
	if _, ok := h.acked[name]; ok {
		return true
	}
	for _, sent := range h.inflight {
		if _, ok := sent.set[name]; ok {
			return true
		}
	}
	return false
}
