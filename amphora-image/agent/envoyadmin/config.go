package envoyadmin

import (
	"context"
	"net/url"
	"regexp"
	"strings"
)

// CheckedClusters returns the names of the clusters that came from the controller, are in use and have health checks.
func (c *Client) CheckedClusters(ctx context.Context) (map[string]bool, error) {
	var answer struct {
		Configs []struct {
			Cluster struct {
				Name   string     `json:"name"`
				Checks []struct{} `json:"health_checks"`
			} `json:"cluster"`
		} `json:"configs"`
	}
	const path = "/config_dump?resource=dynamic_active_clusters&mask=cluster.name,cluster.health_checks"
	if err := c.get(ctx, path, &answer); err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for i := range answer.Configs {
		if cluster := &answer.Configs[i].Cluster; len(cluster.Checks) > 0 {
			names[cluster.Name] = true
		}
	}
	return names, nil
}

// maxNames is how many names fit into a path that Envoy reads; for more, all are asked for.
const maxNames = 500

// ConnectionLimits returns the limits of those of the listeners that have a filter with one
// (envoy.extensions.filters.network.connection_limit.v3). Envoy writes out the filters of these listeners for it: ask only when
// listeners have changed.
func (c *Client) ConnectionLimits(ctx context.Context, listeners []string) (map[string]uint64, error) {
	var answer struct {
		Configs []struct {
			Active struct {
				Listener struct {
					Name   string `json:"name"`
					Chains []struct {
						Filters []struct {
							Config struct {
								Limit uint64 `json:"max_connections,string"`
							} `json:"typed_config"`
						} `json:"filters"`
					} `json:"filter_chains"`
				} `json:"listener"`
			} `json:"active_state"`
		} `json:"configs"`
	}
	limits := map[string]uint64{}
	if len(listeners) == 0 {
		return limits, nil
	}
	path := "/config_dump?resource=dynamic_listeners"
	if len(listeners) <= maxNames {
		quoted := make([]string, len(listeners))
		for i, name := range listeners {
			quoted[i] = regexp.QuoteMeta(name)
		}
		path += "&name_regex=" + url.QueryEscape("^("+strings.Join(quoted, "|")+")$")
	}
	if err := c.get(ctx, path, &answer); err != nil {
		return nil, err
	}
	for i := range answer.Configs { // of several chains, each has that limit for itself
		listener := &answer.Configs[i].Active.Listener
		for _, chain := range listener.Chains {
			for _, filter := range chain.Filters {
				if filter.Config.Limit > 0 {
					limits[listener.Name] = max(limits[listener.Name], filter.Config.Limit)
				}
			}
		}
	}
	return limits, nil
}
