package bootstrap

import (
	"strings"

	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

// keptStats returns the names that somebody reads.
func keptStats() string {
	return strings.Join([]string{
		`(cluster_manager|listener_manager|control_plane|server)\..*`,
		// Whether the access log gets to the disk.
		`filesystem\.write_.*`,
		// Octavia's connections, bytes and errors, requests by class and their times, RDS, TLS handshakes.
		`(listener|http|tcp|udp)\..*`,
		// Closed connections above a listener's connection_limit.
		`connection_limit\..*`,
		// Without the breakdown by zone, internal and canary, and the circuit breakers.
		`cluster\.[^.]+\.(membership_|health_check\.|upstream_(cx|rq)_|update_|ssl\.|assignment_|warming_state|version).*`,
	}, "|")
}

// statsConfig keeps the statistics that somebody reads: Octavia's counters of a listener, traffic and health of pools,
// and what tells whether Envoy is in step with its controller. Each one that is left out saves memory and start-up time
// for every listener and cluster: with 500 listeners that was 22 MB of 117.
//
// It is one expression, whose outcome Envoy keeps for each name. A list of prefixes that end with a dot it walks through again for
// each statistic of each request that it looks up by its name, which was 3.6 % of the instructions of a request.
func statsConfig() *metricsv3.StatsConfig {
	return &metricsv3.StatsConfig{StatsMatcher: &metricsv3.StatsMatcher{
		StatsMatcher: &metricsv3.StatsMatcher_InclusionList{
			InclusionList: &matcherv3.ListStringMatcher{Patterns: []*matcherv3.StringMatcher{{
				MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: keptStats()}},
			}}},
		},
	}}
}
