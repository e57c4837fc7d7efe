package statistics

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/status"
)

const (
	// perMessage is what the driver-agent takes in well under a second; each listener is a query of its own there.
	perMessage = 200
	// tellTimeout bounds the wait for one message.
	tellTimeout = 30 * time.Second
)

// LoadBalancer is what a load balancer's listeners have counted, on all of its amphorae.
type LoadBalancer struct {
	ID        string
	Listeners []Listener
}

// Total adds up the listeners.
func (lb LoadBalancer) Total() Listener {
	var all Listener
	for _, listener := range lb.Listeners {
		all.ActiveConnections += listener.ActiveConnections
		all.Counters = add(all.Counters, listener.Counters)
	}
	return all
}

// Snapshot returns the totals of all load balancers, by id.
func (c *Collector) Snapshot() []LoadBalancer {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]LoadBalancer, 0, len(c.totals))
	for id, totals := range c.totals {
		lb := LoadBalancer{ID: id, Listeners: make([]Listener, 0, len(totals))}
		for _, listener := range totals {
			lb.Listeners = append(lb.Listeners, listener)
		}
		slices.SortFunc(lb.Listeners, func(a, b Listener) int { return cmp.Compare(a.ID, b.ID) })
		all = append(all, lb)
	}
	slices.SortFunc(all, func(a, b LoadBalancer) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// tell sends Octavia what it does not have yet. What it does not take is sent next time, with what was counted meanwhile.
func (c *Collector) tell(ctx context.Context) {
	for chunk := range slices.Chunk(c.news(), perMessage) {
		bounded, cancel := context.WithTimeout(ctx, tellTimeout)
		err := c.options.Octavia.Statistics(bounded, chunk)
		cancel()
		if ctx.Err() != nil {
			return
		}
		c.metrics.told(len(chunk), err)
		if err != nil {
			c.options.Logger.Warn("Octavia did not take statistics", "listeners", len(chunk), "error", err)
			return
		}
		c.mu.Lock()
		for _, listener := range chunk {
			c.told[listener.ID] = listener
		}
		c.mu.Unlock()
	}
}

// news are the listeners whose totals differ from what Octavia was told, in a stable order.
func (c *Collector) news() []status.ListenerStatistics {
	c.mu.Lock()
	defer c.mu.Unlock()
	var news []status.ListenerStatistics
	for _, listeners := range c.totals {
		for id, listener := range listeners {
			now := status.ListenerStatistics{
				ID: id, ActiveConnections: signed(listener.ActiveConnections), BytesIn: signed(listener.BytesIn),
				BytesOut: signed(listener.BytesOut), RequestErrors: signed(listener.RequestErrors),
				TotalConnections: signed(listener.TotalConnections),
			}
			if told, known := c.told[id]; !known || told != now {
				news = append(news, now)
			}
		}
	}
	slices.SortFunc(news, func(a, b status.ListenerStatistics) int { return cmp.Compare(a.ID, b.ID) })
	return news
}

// signed fits Octavia's columns, which are signed.
func signed(count uint64) int64 { return int64(min(count, math.MaxInt64)) }
