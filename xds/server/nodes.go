package server

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// nodes are the amphorae that have resources or a stream.
type nodes struct {
	mu    sync.RWMutex
	byID  map[string]*node
	clock func() time.Time
}

func (ns *nodes) get(id string) *node {
	ns.mu.RLock()
	defer ns.mu.RUnlock()
	return ns.byID[id]
}

// lock returns the node, made when it was not known, with its mutex held.
func (ns *nodes) lock(id string) *node {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	n := ns.byID[id]
	if n == nil {
		n = newNode(id, ns.clock())
		ns.byID[id] = n
	}
	// Taken under ns.mu, so that forget cannot drop the node in between.
	n.mu.Lock()
	return n
}

// forget drops a node that has neither resources nor a stream, nor is about to have one, so that strangers leave nothing behind.
func (ns *nodes) forget(id string) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	n := ns.byID[id]
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.desired) == 0 && len(n.streams) == 0 && n.arriving == 0 {
		delete(ns.byID, id)
	}
}

func (ns *nodes) all() []*node {
	ns.mu.RLock()
	defer ns.mu.RUnlock()
	all := make([]*node, 0, len(ns.byID))
	for _, n := range ns.byID {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b *node) int { return strings.Compare(a.id, b.id) })
	return all
}
