package translate

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/proto"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// TestCHANGESHoldsEveryChange keeps the table of what a change sends and drains what the code does.
func TestCHANGESHoldsEveryChange(t *testing.T) {
	const path, begin = "CHANGES.md", "| change | sent | drains |\n|---|---|---|\n"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	table, after, ended := strings.Cut(rest, "\n\n")
	if !found || !ended {
		t.Fatal("the page has no table")
	}
	base := func() *model.LoadBalancer {
		return decodeTree(t, []byte(`{"loadbalancer_id": "lb", "vip_address": "192.0.2.10",
			"listeners": [
				{"listener_id": "http", "protocol": "HTTP", "protocol_port": 80, "default_pool_id": "web"},
				{"listener_id": "tcp", "protocol": "TCP", "protocol_port": 3306, "default_pool_id": "db"},
				{"listener_id": "udp", "protocol": "UDP", "protocol_port": 53, "default_pool_id": "dns"}],
			"pools": [
				{"pool_id": "web", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN",
				 "members": [{"member_id": "m1", "address": "198.51.100.1", "protocol_port": 80}]},
				{"pool_id": "other", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN"},
				{"pool_id": "db", "protocol": "TCP", "lb_algorithm": "ROUND_ROBIN",
				 "members": [{"member_id": "db1", "address": "198.51.100.1", "protocol_port": 80}]},
				{"pool_id": "db2", "protocol": "TCP", "lb_algorithm": "ROUND_ROBIN"},
				{"pool_id": "dns", "protocol": "UDP", "lb_algorithm": "ROUND_ROBIN",
				 "members": [{"member_id": "dns1", "address": "198.51.100.1", "protocol_port": 80}]}]}`))
	}
	var rows strings.Builder
	for _, row := range []struct {
		what   string
		change func(lb *model.LoadBalancer, http, tcp, udp *model.Listener)
	}{
		{"a member: added, removed, weight, admin state", func(lb *model.LoadBalancer, _, _, _ *model.Listener) { lb.Pool("web").Members[0].Weight = 9 }},
		{"HTTP, TCP: a pool's algorithm or persistence", func(lb *model.LoadBalancer, _, _, _ *model.Listener) {
			lb.Pool("web").LBAlgorithm = model.AlgorithmLeastConnections
		}},
		{"HTTP, TCP: a health monitor: added, changed, removed", func(lb *model.LoadBalancer, _, _, _ *model.Listener) {
			lb.Pool("web").HealthMonitor = &model.HealthMonitor{
				ID: "hm", PoolID: "web", AdminStateUp: true, Type: "TCP", Delay: 5, Timeout: 3, MaxRetries: 3, MaxRetriesDown: 3,
			}
		}},
		{"UDP: a pool's algorithm or persistence", func(lb *model.LoadBalancer, _, _, _ *model.Listener) {
			lb.Pool("dns").LBAlgorithm = model.AlgorithmSourceIP
		}},
		{"UDP: a health monitor: added, changed, removed", func(lb *model.LoadBalancer, _, _, _ *model.Listener) {
			lb.Pool("dns").HealthMonitor = &model.HealthMonitor{
				ID: "hm", PoolID: "dns", AdminStateUp: true, Type: "UDP-CONNECT", Delay: 5, Timeout: 3, MaxRetries: 3, MaxRetriesDown: 3,
			}
		}},
		{"UDP: a member that is removed", func(lb *model.LoadBalancer, _, _, _ *model.Listener) { lb.Pool("dns").Members = nil }},
		{"a pool that nothing uses: added or removed", func(lb *model.LoadBalancer, _, _, _ *model.Listener) { lb.Pools = slices.Delete(lb.Pools, 1, 2) }},
		{"SOURCE_IP_PORT for a TCP pool", func(lb *model.LoadBalancer, _, _, _ *model.Listener) {
			lb.Pool("db").LBAlgorithm = model.AlgorithmSourceIPPort
		}},
		{"HTTP: another default pool", func(_ *model.LoadBalancer, http, _, _ *model.Listener) { http.DefaultPoolID = "other" }},
		{"HTTP: an L7 policy or rule", func(_ *model.LoadBalancer, http, _, _ *model.Listener) {
			http.L7Policies = []model.L7Policy{rejects("a")}
		}},
		{"HTTP: insert_headers", func(_ *model.LoadBalancer, http, _, _ *model.Listener) {
			http.InsertHeaders = map[string]string{"X-Forwarded-For": "true"}
		}},
		{"TCP: another default pool", func(_ *model.LoadBalancer, _, tcp, _ *model.Listener) { tcp.DefaultPoolID = "db2" }},
		{"UDP: no default pool", func(_ *model.LoadBalancer, _, _, udp *model.Listener) { udp.DefaultPoolID = "" }},
		{"HTTP, TCP: allowed_cidrs", func(_ *model.LoadBalancer, http, _, _ *model.Listener) { http.AllowedCIDRs = []string{"192.0.2.0/24"} }},
		{"UDP: allowed_cidrs", func(_ *model.LoadBalancer, _, _, udp *model.Listener) { udp.AllowedCIDRs = []string{"192.0.2.0/24"} }},
		{"HTTP: timeout_client_data", func(_ *model.LoadBalancer, http, _, _ *model.Listener) { http.TimeoutClientData = 1000 }},
		{"HTTP: timeout_member_data", func(_ *model.LoadBalancer, http, _, _ *model.Listener) { http.TimeoutMemberData = 1000 }},
		{"HTTP: timeout_member_connect", func(_ *model.LoadBalancer, http, _, _ *model.Listener) { http.TimeoutMemberConnect = 1000 }},
		{"TCP: timeout_client_data", func(_ *model.LoadBalancer, _, tcp, _ *model.Listener) { tcp.TimeoutClientData = 100000 }},
		{"TCP: timeout_member_data", func(_ *model.LoadBalancer, _, tcp, _ *model.Listener) { tcp.TimeoutMemberData = 100000 }},
		{"TCP: timeout_member_connect", func(_ *model.LoadBalancer, _, tcp, _ *model.Listener) { tcp.TimeoutMemberConnect = 1000 }},
		{"TCP: timeout_tcp_inspect", func(_ *model.LoadBalancer, _, tcp, _ *model.Listener) { tcp.TimeoutTCPInspect = 1000 }},
		{"connection_limit", func(_ *model.LoadBalancer, _, tcp, _ *model.Listener) { tcp.ConnectionLimit = 5 }},
		{"another VIP: added or removed", func(lb *model.LoadBalancer, _, _, _ *model.Listener) {
			lb.AdditionalVIPs = []model.AdditionalVIP{{IPAddress: "192.0.2.11"}}
		}},
		{"a listener: added, removed, admin state", func(lb *model.LoadBalancer, _, _, _ *model.Listener) { lb.Listener("http").AdminStateUp = false }},
		{"names, descriptions, tags", func(lb *model.LoadBalancer, http, _, _ *model.Listener) { lb.Name, http.Name = "new", "new" }},
	} {
		tree := base()
		row.change(tree, tree.Listener("http"), tree.Listener("tcp"), tree.Listener("udp"))
		old, changed := translated(t, base()), translated(t, tree)
		fmt.Fprintf(&rows, "| %s | %s | %s |\n", row.what, sentTypes(old, changed), drainedBy(old, changed))
	}
	if want := strings.TrimSuffix(rows.String(), "\n"); *update {
		if err := os.WriteFile(path, []byte(before+begin+want+"\n\n"+after), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if table != want {
		t.Errorf("%s is not what the code does, see -update:\n%s", path, want)
	}
}

// sentTypes are the kinds of resources that differ.
func sentTypes(old, changed *Resources) string {
	var kinds []string
	for i, typeURL := range TypeURLs() {
		kind := []string{"cluster", "endpoints", "secret", "listener", "routes"}[i]
		same := maps.EqualFunc(old.All(typeURL), changed.All(typeURL), func(a, b proto.Message) bool { return proto.Equal(a, b) })
		if !same {
			kinds = append(kinds, kind)
		}
	}
	if len(kinds) == 0 {
		return "nothing"
	}
	return strings.Join(kinds, ", ")
}

// drainedBy says whose connections end, by the rules of Envoy's in-place updates of filter chains.
func drainedBy(old, changed *Resources) string {
	all := map[string]bool{}
	for name, before := range old.Listeners {
		after := changed.Listeners[name]
		switch {
		case after == nil:
			all["the listener that goes"] = true
		case len(before.GetFilterChains()) == 0:
			if sessions := endedSessions(old, changed, before, after); sessions != "" {
				all[sessions] = true
			}
		case proto.Equal(before, after):
		case !proto.Equal(withoutChains(before), withoutChains(after)):
			all["the listener"] = true
		default:
			for _, chain := range before.GetFilterChains() {
				if !slices.ContainsFunc(after.GetFilterChains(), func(c *listenerv3.FilterChain) bool { return proto.Equal(c, chain) }) {
					all["the listener"] = true
				}
			}
		}
	}
	if len(all) == 0 {
		return "–"
	}
	return strings.Join(slices.Sorted(maps.Keys(all)), ", ")
}

// endedSessions says which sessions of a UDP listener end; TestPoolChangesEndSessions in test/integration sees that Envoy does so.
func endedSessions(old, changed *Resources, before, after *listenerv3.Listener) string {
	name := "udp:" + before.GetName()
	was, is := old.Clusters[name], changed.Clusters[name]
	members := func(r *Resources, cluster *clusterv3.Cluster) int {
		count := 0
		for _, group := range r.Endpoints[cluster.GetEdsClusterConfig().GetServiceName()].GetEndpoints() {
			count += len(group.GetLbEndpoints())
		}
		return count
	}
	switch {
	case !proto.Equal(before, after), !proto.Equal(was, is):
		return "its sessions"
	case members(changed, is) < members(old, was):
		return "its sessions with the member"
	}
	return ""
}

// withoutChains is what of a listener may not change in place.
func withoutChains(listener *listenerv3.Listener) *listenerv3.Listener {
	listener = proto.CloneOf(listener)
	listener.FilterChains, listener.DefaultFilterChain, listener.FilterChainMatcher = nil, nil, nil
	return listener
}
