package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// adminTimeout bounds one request to Envoy's admin interface; its main thread may be busy with a large update.
const adminTimeout = 5 * time.Second

// maxAdminAnswer is far above what is asked for, in bytes.
const maxAdminAnswer = 1 << 20

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

// States of Envoy's server (envoy.admin.v3.ServerInfo.State).
const (
	serverLive     = "LIVE"
	serverDraining = "DRAINING"
	// Envoy asks for listeners once its clusters are ready; PRE_INITIALIZING is before, LIVE after they are.
	serverInitializing = "INITIALIZING"
)

// admin asks Envoy's admin interface, which is on a unix socket so that nobody else can.
type admin struct {
	client *http.Client
}

func newAdmin(socket string) *admin {
	return &admin{client: &http.Client{
		Timeout: adminTimeout,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", socket)
			},
			DisableKeepAlives: true, // the next Envoy has another socket under the same name
		},
	}}
}

func (a *admin) do(ctx context.Context, method, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://envoy"+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := a.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask Envoy's admin interface: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAdminAnswer))
	if err != nil {
		return nil, fmt.Errorf("ask Envoy's admin interface: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the admin interface answers %s with %s", path, response.Status)
	}
	return body, nil
}

// state returns Envoy's server state: LIVE, DRAINING, PRE_INITIALIZING or INITIALIZING.
func (a *admin) state(ctx context.Context) (string, error) {
	body, err := a.do(ctx, http.MethodGet, "/server_info")
	if err != nil {
		return "", err
	}
	var info struct {
		State string `json:"state"`
	}
	if err := json.Unmarshal(body, &info); err != nil {
		return "", fmt.Errorf("read Envoy's /server_info: %w", err)
	}
	if info.State == "" {
		return serverLive, nil // proto3 JSON may leave out the first value of an enumeration, which is LIVE
	}
	return info.State, nil
}

// gauges returns the gauges and counters that statFilter names. One that Envoy has not made yet is missing.
func (a *admin) gauges(ctx context.Context) (map[string]uint64, error) {
	body, err := a.do(ctx, http.MethodGet, "/stats?format=json&filter="+url.QueryEscape(statFilter))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Stats []struct {
			Name  string  `json:"name"`
			Value *uint64 `json:"value"`
		} `json:"stats"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("read Envoy's /stats: %w", err)
	}
	gauges := make(map[string]uint64, len(answer.Stats))
	for _, stat := range answer.Stats {
		if stat.Value != nil {
			gauges[stat.Name] = *stat.Value
		}
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
	_, errHealth := a.do(ctx, http.MethodPost, "/healthcheck/fail")
	_, errListeners := a.do(ctx, http.MethodPost, "/drain_listeners?graceful")
	return errors.Join(errHealth, errListeners)
}
