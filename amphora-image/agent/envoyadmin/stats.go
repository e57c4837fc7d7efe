package envoyadmin

import (
	"context"
	"net/url"
	"strings"
)

// Stats returns the counters and gauges whose whole name a regular expression (RE2) finds something in, by name. One that
// Envoy has not made yet is missing: some appear with their first event.
func (c *Client) Stats(ctx context.Context, filter string) (map[string]uint64, error) {
	var answer struct {
		Stats []struct {
			Name  string  `json:"name"`
			Value *uint64 `json:"value"`
		} `json:"stats"`
	}
	if err := c.get(ctx, "/stats?format=json&filter="+url.QueryEscape(filter), &answer); err != nil {
		return nil, err
	}
	stats := make(map[string]uint64, len(answer.Stats))
	for _, stat := range answer.Stats {
		if stat.Value != nil { // a histogram has none
			stats[stat.Name] = *stat.Value
		}
	}
	return stats, nil
}

// The states of Envoy's server (envoy.admin.v3.ServerInfo.State), in the order of an Envoy's life.
const (
	// StatePreInitializing is before its clusters are ready.
	StatePreInitializing = "PRE_INITIALIZING"
	// StateInitializing is before its listeners are, for which it asks now.
	StateInitializing = "INITIALIZING"
	StateLive         = "LIVE"
	StateDraining     = "DRAINING"
)

// State returns Envoy's server state, one of the constants.
func (c *Client) State(ctx context.Context) (string, error) {
	var info struct {
		State string `json:"state"`
	}
	if err := c.get(ctx, "/server_info", &info); err != nil {
		return "", err
	}
	if info.State == "" {
		return StateLive, nil // proto3 JSON may leave out the first value of an enumeration, which is LIVE
	}
	return info.State, nil
}

// Listeners returns the names of the listeners that Envoy has, without those that are only draining (envoy.admin.v3.Listeners).
func (c *Client) Listeners(ctx context.Context) ([]string, error) {
	var answer struct {
		Statuses []struct {
			Name string `json:"name"`
		} `json:"listener_statuses"`
	}
	if err := c.get(ctx, "/listeners?format=json", &answer); err != nil {
		return nil, err
	}
	names := make([]string, len(answer.Statuses))
	for i, status := range answer.Statuses {
		names[i] = status.Name
	}
	return names, nil
}

// Checks is how the health checks of a cluster's hosts stand.
type Checks struct {
	// Healthy is how many get traffic; Unchecked how many have had no result yet, and get none for that reason.
	Healthy, Unchecked uint64
}

const (
	statHealthy = ".membership_healthy"
	// statUnchecked counts the hosts with pending_active_hc, which only clusters with ignore_new_hosts_until_first_hc have.
	statUnchecked = ".membership_excluded"
)

// Checks returns that of all clusters, by the names that they have in statistics: with underscores for colons.
func (c *Client) Checks(ctx context.Context) (map[string]Checks, error) {
	stats, err := c.Stats(ctx, `^cluster\.[^.]+\.membership_(healthy|excluded)$`)
	if err != nil {
		return nil, err
	}
	all := map[string]Checks{}
	for name, value := range stats {
		name = strings.TrimPrefix(name, "cluster.")
		if cluster, is := strings.CutSuffix(name, statHealthy); is {
			all[cluster] = Checks{Healthy: value, Unchecked: stats["cluster."+cluster+statUnchecked]}
		}
	}
	return all, nil
}
