package bootstrap

import (
	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

// clusterStats leaves out the breakdown by zone, internal and canary, and the circuit breakers.
const clusterStats = `cluster\.[^.]+\.(membership_|health_check\.|upstream_(cx|rq)_|update_|ssl\.|assignment_|warming_state|version).*`

// statsConfig keeps the statistics that somebody reads: Octavia's counters of a listener, traffic and health of pools,
// and what tells whether Envoy is in step with its controller. Each one that is left out saves memory and start-up time
// for every listener and cluster: with 500 listeners that was 22 MB of 117.
func statsConfig() *metricsv3.StatsConfig {
	patterns := make([]*matcherv3.StringMatcher, 0, 11)
	for _, prefix := range []string{
		"cluster_manager.", "listener_manager.", "control_plane.", "server.",
		// Whether the access log gets to the disk.
		"filesystem.write_",
		// Octavia's connections, bytes and errors, requests by class and their times, RDS, TLS handshakes.
		"listener.", "http.", "tcp.", "udp.",
		// Closed connections above a listener's connection_limit.
		"connection_limit.",
	} {
		patterns = append(patterns, &matcherv3.StringMatcher{
			MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: prefix},
		})
	}
	patterns = append(patterns, &matcherv3.StringMatcher{
		MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: clusterStats}},
	})
	return &metricsv3.StatsConfig{StatsMatcher: &metricsv3.StatsMatcher{
		StatsMatcher: &metricsv3.StatsMatcher_InclusionList{
			InclusionList: &matcherv3.ListStringMatcher{Patterns: patterns},
		},
	}}
}
