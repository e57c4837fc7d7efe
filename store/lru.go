package store

import (
	"container/list"
	"sync"
)

// lru keeps something of load balancers, up to limit bytes of it together: what was used longest ago goes first, and what is
// larger than that is not kept. It may be used concurrently; what it gives out is shared.
type lru[V any] struct {
	limit int

	mu    sync.Mutex
	bytes int
	byID  map[string]*list.Element
	// order has the one that was used last first.
	order *list.List
}

type lruItem[V any] struct {
	id    string
	value V
	size  int
}

func newLRU[V any](limit int) *lru[V] {
	return &lru[V]{limit: limit, byID: map[string]*list.Element{}, order: list.New()}
}

// get returns the zero value for what is not kept.
func (l *lru[V]) get(id string) (value V) {
	l.mu.Lock()
	defer l.mu.Unlock()
	element := l.byID[id]
	if element == nil {
		return value
	}
	l.order.MoveToFront(element)
	return item[V](element).value
}

// put takes the place of what was there before, and returns how many bytes are kept.
func (l *lru[V]) put(id string, value V, size int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(id)
	if size > l.limit {
		return l.bytes
	}
	l.byID[id] = l.order.PushFront(&lruItem[V]{id, value, size})
	l.bytes += size
	for l.bytes > l.limit {
		l.remove(item[V](l.order.Back()).id)
	}
	return l.bytes
}

// drop returns how many bytes are kept.
func (l *lru[V]) drop(id string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(id)
	return l.bytes
}

func (l *lru[V]) remove(id string) {
	if element := l.byID[id]; element != nil {
		l.order.Remove(element)
		delete(l.byID, id)
		l.bytes -= item[V](element).size
	}
}

func (l *lru[V]) ids() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := make([]string, 0, len(l.byID))
	for id := range l.byID {
		ids = append(ids, id)
	}
	return ids
}

func item[V any](element *list.Element) *lruItem[V] {
	kept, _ := element.Value.(*lruItem[V]) // nothing else is put there
	return kept
}
