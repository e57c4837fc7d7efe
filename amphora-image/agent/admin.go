package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/envoyadmin"
)

// Gauges that tell whether what the controller sent is in use.
const (
	statWarmingClusters  = "cluster_manager.warming_clusters"
	statWarmingListeners = "listener_manager.total_listeners_warming"
	statActiveListeners  = "listener_manager.total_listeners_active"
	statConnected        = "control_plane.connected_state"
	// statListenersHeard counts the answers to Envoy's question for listeners.
	statListenersHeard = "listener_manager.lds.update_success"

	statFilter = `^(cluster_manager\.warming_clusters|listener_manager\.(total_listeners_(warming|active)|lds\.update_success)|` +
		`control_plane\.connected_state)$`
)

// admin asks Envoy's admin interface about Envoy itself.
type admin struct {
	*envoyadmin.Client
}

func newAdmin(socket string) *admin { return &admin{envoyadmin.New(socket)} }

// gauges returns the gauges and counters that statFilter names. One that Envoy has not made yet is missing.
func (a *admin) gauges(ctx context.Context) (map[string]uint64, error) {
	gauges, err := a.Stats(ctx, statFilter)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{statWarmingClusters, statWarmingListeners} {
		if _, ok := gauges[name]; !ok {
			return nil, fmt.Errorf("no %s in Envoy's /stats", name) // never take a missing number for "nothing warms"
		}
	}
	return gauges, nil
}

// drain makes Envoy refuse health checks and new connections, and tell HTTP clients to go elsewhere.
func (a *admin) drain(ctx context.Context) error {
	_, errHealth := a.Do(ctx, http.MethodPost, "/healthcheck/fail")
	_, errListeners := a.Do(ctx, http.MethodPost, "/drain_listeners?graceful")
	return errors.Join(errHealth, errListeners)
}
