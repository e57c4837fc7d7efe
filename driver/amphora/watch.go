package amphora

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
)

const (
	// DefaultWatchEvery is how often Watch looks after the amphorae.
	DefaultWatchEvery = 2 * time.Second
	// longestRevive is the longest wait before an agent that keeps ending is started again.
	longestRevive = time.Minute
)

// revival is how often an amphora was started again without success.
type revival struct {
	tries int
	next  time.Time
}

// due says whether it is time for another try, and counts it.
func (r *revival) due(now time.Time, every time.Duration) bool {
	if now.Before(r.next) {
		return false
	}
	r.next = now.Add(min(every<<min(r.tries, 10), longestRevive))
	r.tries++
	return true
}

// Watch looks after the amphorae until ctx is done: an agent that ended is started again. It looks at once and then every
// WatchEvery. Amphorae that are being built or deleted are left to Ensure and Delete.
func (m *Manager) Watch(ctx context.Context) error {
	ticker := time.NewTicker(m.options.WatchEvery)
	defer ticker.Stop()
	revivals := map[string]*revival{}
	for {
		if err := m.look(ctx, revivals); err != nil && ctx.Err() == nil {
			m.options.Logger.Warn("cannot look after the amphorae", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (m *Manager) look(ctx context.Context, revivals map[string]*revival) error {
	amphorae, err := m.options.Store.Amphorae(ctx, "")
	if err != nil {
		return err
	}
	now := m.options.Now()
	known := make(map[string]bool, len(amphorae))
	var errs []error
	for _, amphora := range amphorae {
		if amphora.Compute != m.options.Compute.Name() || amphora.Status != model.AmphoraAllocated {
			continue
		}
		known[amphora.ID] = true
		state, err := m.options.Compute.Status(ctx, amphora)
		if err != nil {
			errs = append(errs, fmt.Errorf("amphora %s: %w", amphora.ID, err))
			continue
		}
		if state == StateRunning {
			delete(revivals, amphora.ID)
			continue
		}
		if state == StateAbsent {
			continue // another controller's
		}
		tried := revivals[amphora.ID]
		if tried == nil {
			tried = &revival{}
			revivals[amphora.ID] = tried
		}
		if !tried.due(now, m.options.WatchEvery) {
			continue
		}
		if err := m.revive(ctx, amphora); err != nil {
			errs = append(errs, fmt.Errorf("amphora %s: %w", amphora.ID, err))
		}
	}
	for id := range revivals {
		if !known[id] {
			delete(revivals, id)
		}
	}
	return errors.Join(errs...)
}

// revive starts the agent of an amphora again, with the network below it if a reboot took that away.
func (m *Manager) revive(ctx context.Context, amphora model.Amphora) error {
	// Whoever holds the lock for longer works on this load balancer anyway, and the others must not wait for that.
	patience, cancel := context.WithTimeout(ctx, m.options.WatchEvery)
	unlock, err := m.locks.lock(patience, amphora.LoadBalancerID)
	cancel()
	if err != nil {
		return nil
	}
	defer unlock()
	fresh, err := m.options.Store.Amphora(ctx, amphora.ID) // again, now that nobody else works on it
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if fresh.Status != model.AmphoraAllocated {
		return nil
	}
	m.options.Logger.Warn("the amphora's agent has ended: starting it again", "amphora", fresh.ID, "lb", fresh.LoadBalancerID)
	if err := m.options.Network.Replug(ctx, *fresh); err != nil {
		return fmt.Errorf("plug the VIP again: %w", err)
	}
	if _, err := m.options.Compute.Build(ctx, Spec{Amphora: *fresh}); err != nil {
		return fmt.Errorf("start again: %w", err)
	}
	return nil
}
