package translate

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// TestWhatAChangeTouchesWithAFlavor is TestWhatAChangeTouches where a flavor asks for everything.
func TestWhatAChangeTouchesWithAFlavor(t *testing.T) {
	base := func() *model.LoadBalancer {
		return decodeTree(t, []byte(`{"loadbalancer_id": "lb", "vip_address": "192.0.2.10",
			"flavor": {
				"member_http": {"version": "2", "idle_timeout_ms": 5000, "max_requests_per_connection": 9, "max_concurrent_streams": 9},
				"client_http": {"request_headers_timeout_ms": 5000, "request_timeout_ms": 5000, "max_connection_duration_ms": 5000,
					"max_requests_per_connection": 9, "max_concurrent_streams": 9, "drain_timeout_ms": 50},
				"compression": {"algorithms": ["gzip", "brotli", "zstd"]},
				"retries": {"retry_on": ["5xx"], "attempts": 2, "try_timeout_ms": 50, "backoff_ms": 50, "budget_percent": 20},
				"outlier_detection": {"consecutive_5xx": 3, "consecutive_gateway_errors": 3},
				"circuit_breaking": {"max_connections": 9, "max_pending_requests": 9, "max_requests": 9},
				"slow_start": {"window_ms": 5000}, "buffer_bytes": 70000,
				"tcp_keepalive": {"idle_ms": 5000, "interval_ms": 5000, "probes": 3}, "request_id": "keep"},
			"listeners": [
				{"listener_id": "web", "protocol": "HTTP", "protocol_port": 80, "default_pool_id": "two"},
				{"listener_id": "db", "protocol": "TCP", "protocol_port": 3306, "default_pool_id": "two"},
				{"listener_id": "dns", "protocol": "UDP", "protocol_port": 53, "default_pool_id": "udp"}],
			"pools": [
				{"pool_id": "none", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN"},
				{"pool_id": "one", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": [
					{"member_id": "m1", "address": "198.51.100.1", "protocol_port": 80}]},
				{"pool_id": "two", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": [
					{"member_id": "m1", "address": "198.51.100.1", "protocol_port": 80},
					{"member_id": "m2", "address": "198.51.100.2", "protocol_port": 80}]},
				{"pool_id": "udp", "protocol": "UDP", "lb_algorithm": "ROUND_ROBIN", "members": [
					{"member_id": "m1", "address": "198.51.100.1", "protocol_port": 53}]}]}`))
	}
	more := func(pool *model.Pool) {
		pool.Members = append(pool.Members, model.Member{ID: "m3", Address: "198.51.100.3", ProtocolPort: 80, Weight: 1, AdminStateUp: true})
	}
	for name, test := range map[string]struct {
		change func(*model.LoadBalancer)
		want   []string
	}{
		"nothing":         {func(*model.LoadBalancer) {}, nil},
		"a first member":  {func(lb *model.LoadBalancer) { more(lb.Pool("none")) }, []string{"changed none@"}},
		"a third member":  {func(lb *model.LoadBalancer) { more(lb.Pool("two")) }, []string{"changed tcp:db@", "changed two@"}},
		"a weight":        {func(lb *model.LoadBalancer) { lb.Pool("two").Members[0].Weight = 0 }, []string{"changed tcp:db@", "changed two@"}},
		"a pool down":     {func(lb *model.LoadBalancer) { lb.Pool("two").AdminStateUp = false }, []string{"changed tcp:db@", "changed two@"}},
		"UDP: one more":   {func(lb *model.LoadBalancer) { more(lb.Pool("udp")) }, []string{"changed udp:dns@", "changed udp@"}},
		"HTTP: a pool":    {func(lb *model.LoadBalancer) { lb.Listener("web").DefaultPoolID = "one" }, []string{"changed web"}},
		"HTTP: a policy":  {func(lb *model.LoadBalancer) { lb.Listener("web").L7Policies = []model.L7Policy{rejects("a")} }, []string{"changed web"}},
		"HTTP: no pool":   {func(lb *model.LoadBalancer) { lb.Listener("web").DefaultPoolID = "" }, []string{"changed web"}},
		"UDP: no pool":    {func(lb *model.LoadBalancer) { lb.Listener("dns").DefaultPoolID = "" }, []string{"changed udp:dns@"}},
		"a listener down": {func(lb *model.LoadBalancer) { lb.Listener("db").AdminStateUp = false }, []string{"gone db"}},
		// Outlier detection spares the only member, so these change the cluster: see outlierDetection.
		"a second member": {func(lb *model.LoadBalancer) { more(lb.Pool("one")) }, []string{"changed one", "gone one@", "new one@"}},
		"one is left": {func(lb *model.LoadBalancer) { lb.Pool("two").Members[1].AdminStateUp = false }, []string{
			"changed tcp:db", "changed two", "gone tcp:db@", "gone two@", "new tcp:db@", "new two@",
		}},
		"TCP: a pool of one": {
			func(lb *model.LoadBalancer) { lb.Listener("db").DefaultPoolID = "one" },
			[]string{"changed tcp:db", "gone tcp:db@", "new tcp:db@"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tree := base()
			test.change(tree)
			var got []string
			for line := range changes(translated(t, base()), translated(t, tree)) {
				got = append(got, line)
			}
			slices.Sort(got)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestBadFlavor shows that a flavor that cannot be read takes nothing away.
func TestBadFlavor(t *testing.T) {
	tree := readTree(t, "testdata/http-listener")
	before := translated(t, tree)
	tree.Flavor = map[string]any{"retries": "many", "request_id": "keep"}
	after, err := LoadBalancer(tree)
	if got := changes(before, after); len(got) > 0 {
		t.Errorf("it changes %v", got)
	}
	problems := Problems(err)
	if len(problems) != 1 || problems[0].Field != "flavor.retries" || problems[0].Owner != (model.Ref{Kind: model.KindLoadBalancer, ID: tree.ID}) {
		t.Errorf("got %v", err)
	}
}
