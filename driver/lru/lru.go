// Package lru keeps in memory what was used last, within a bound.
package lru

import (
	"container/list"
	"sync"
)

// Cache keeps something of each of many things, by their ids, up to a limit of bytes together: what was used longest ago goes
// first, and what is larger than that is not kept. It may be used concurrently; what it gives out is shared.
type Cache[V any] struct {
	limit int

	mu    sync.Mutex
	bytes int
	byID  map[string]*list.Element
	// order has the one that was used last first.
	order *list.List
}

type entry[V any] struct {
	id    string
	value V
	size  int
}

// New makes an empty one of so many bytes.
func New[V any](limit int) *Cache[V] {
	return &Cache[V]{limit: limit, byID: map[string]*list.Element{}, order: list.New()}
}

// Get returns the zero value for what is not kept.
func (c *Cache[V]) Get(id string) (value V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element := c.byID[id]
	if element == nil {
		return value
	}
	c.order.MoveToFront(element)
	return entryOf[V](element).value
}

// Put keeps a value of size bytes in the place of the one before, and returns how many bytes are kept in all.
func (c *Cache[V]) Put(id string, value V, size int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(id)
	if size > c.limit {
		return c.bytes
	}
	c.byID[id] = c.order.PushFront(&entry[V]{id, value, size})
	c.bytes += size
	for c.bytes > c.limit {
		c.remove(entryOf[V](c.order.Back()).id)
	}
	return c.bytes
}

// Drop removes what is kept of id, if anything, and returns how many bytes are kept in all.
func (c *Cache[V]) Drop(id string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(id)
	return c.bytes
}

func (c *Cache[V]) remove(id string) {
	if element := c.byID[id]; element != nil {
		c.order.Remove(element)
		delete(c.byID, id)
		c.bytes -= entryOf[V](element).size
	}
}

// IDs returns the ids of what is kept, in no order.
func (c *Cache[V]) IDs() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := make([]string, 0, len(c.byID))
	for id := range c.byID {
		ids = append(ids, id)
	}
	return ids
}

func entryOf[V any](element *list.Element) *entry[V] {
	kept, _ := element.Value.(*entry[V]) // nothing else is put there
	return kept
}
