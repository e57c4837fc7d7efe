// Package warming asks an Envoy of a test whether it is ready for what it has acknowledged, where there is no agent to do it.
package warming

import (
	"context"
	"fmt"
	"time"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/envoyadmin"
)

// Envoy is one that is asked at its admin socket; it implements publish.Warming.
type Envoy struct{ Admin *envoyadmin.Client }

const (
	clusters  = "cluster_manager.warming_clusters"
	listeners = "listener_manager.total_listeners_warming"
)

// Warm returns nil when neither a cluster nor a listener is warming.
func (e Envoy) Warm(ctx context.Context, _ string) error {
	for {
		stats, err := e.Admin.Stats(ctx, `^(cluster_manager\.warming_clusters|listener_manager\.total_listeners_warming)$`)
		// One that is missing is not 0: Envoy has just begun.
		if count, known := stats[clusters]; err == nil && known && count == 0 {
			if count, known := stats[listeners]; known && count == 0 {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("still warming: %v: %w", stats, context.Cause(ctx))
		case <-time.After(5 * time.Millisecond):
		}
	}
}
