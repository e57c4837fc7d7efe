package envoyadmin

import (
	"context"
	"net/url"
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
