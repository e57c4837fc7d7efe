package metrics

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

const (
	// countFor is how long a count of members is good: whoever scrapes more often gets the same one again.
	countFor = 10 * time.Second
	// countTimeout bounds it.
	countTimeout = 5 * time.Second
)

// MemberStore knows what Octavia was told of members; *store.Store does.
type MemberStore interface {
	MemberStatuses(ctx context.Context) (map[string]map[model.OperatingStatus]int, error)
}

// Members counts members for LoadBalancers, now and then.
type Members struct {
	Store  MemberStore
	Logger *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time

	mu     sync.Mutex
	counts map[string]map[model.OperatingStatus]int
	at     time.Time
}

// Counts fits LoadBalancers.Members. While the store does not answer, it returns the last counts.
func (m *Members) Counts() map[string]map[model.OperatingStatus]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now
	if m.Now != nil {
		now = m.Now
	}
	if !m.at.IsZero() && now().Sub(m.at) < countFor {
		return m.counts
	}
	m.at = now()
	ctx, cancel := context.WithTimeout(context.Background(), countTimeout)
	defer cancel()
	counts, err := m.Store.MemberStatuses(ctx)
	if err != nil {
		m.Logger.Warn("cannot count members for the metrics", "error", err)
		return m.counts
	}
	m.counts = counts
	return counts
}
