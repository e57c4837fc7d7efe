package status

import "sync"

// endedLimit bounds the memory of deleted load balancers; ids are never used again, so only late messages matter.
const endedLimit = 10000

// ended remembers the load balancers that were reported DELETED last.
type ended struct {
	mu    sync.Mutex
	has   map[string]bool
	order []string
}

func (e *ended) contains(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.has[id]
}

func (e *ended) add(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.has[id] {
		return
	}
	e.has[id] = true
	e.order = append(e.order, id)
	if len(e.order) > endedLimit {
		delete(e.has, e.order[0])
		e.order = e.order[1:]
	}
}
