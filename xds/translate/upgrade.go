package translate

import (
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

// upgrades are the protocols that a member may switch a connection to: WebSocket, those of `kubectl exec` and of
// `docker exec`.
func upgrades() []*hcmv3.HttpConnectionManager_UpgradeConfig {
	var all []*hcmv3.HttpConnectionManager_UpgradeConfig
	for _, protocol := range []string{"websocket", "spdy/3.1", "tcp"} {
		all = append(all, &hcmv3.HttpConnectionManager_UpgradeConfig{UpgradeType: protocol})
	}
	return all
}

// ignoredUpgrades are all others, as well as RE2 can say it. A member never sees that its client offered one, and answers
// as it does to clients that offer none. Envoy would answer 403 itself, and Apache's HttpClient 5.4 offers TLS/1.2 with
// every request.
func ignoredUpgrades() []*matcherv3.StringMatcher {
	return []*matcherv3.StringMatcher{{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{
		Regex: `(?i)[^wst].*|t([^c].*)?|s([^p].*)?|w([^e].*)?`,
	}}}}
}
