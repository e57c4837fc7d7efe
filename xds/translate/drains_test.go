package translate

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// TestWhatDrains holds which changes of options change a listener, which drains it, and which leave all alone.
func TestWhatDrains(t *testing.T) {
	base := func() *model.LoadBalancer {
		return decodeTree(t, []byte(`{"loadbalancer_id": "lb", "vip_address": "192.0.2.10",
			"listeners": [
				{"listener_id": "web", "protocol": "HTTP", "protocol_port": 80, "default_pool_id": "http"},
				{"listener_id": "db", "protocol": "TCP", "protocol_port": 3306, "default_pool_id": "tcp"},
				{"listener_id": "dns", "protocol": "UDP", "protocol_port": 53, "default_pool_id": "udp"}],
			"pools": [
				{"pool_id": "http", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "session_persistence": {"type": "HTTP_COOKIE"},
				 "members": [{"member_id": "m1", "address": "198.51.100.1", "protocol_port": 80}]},
				{"pool_id": "tcp", "protocol": "TCP", "lb_algorithm": "ROUND_ROBIN"},
				{"pool_id": "proxy", "protocol": "PROXYV2", "lb_algorithm": "ROUND_ROBIN"},
				{"pool_id": "udp", "protocol": "UDP", "lb_algorithm": "ROUND_ROBIN"}]}`))
	}
	kept := &model.SessionPersistence{Type: persistSourceIP}
	for name, test := range map[string]struct {
		change func(web, db, dns *model.Listener, http, tcp, udp *model.Pool)
		// drains are the listeners that change, all are what is pushed.
		drains, all []string
	}{
		"a member of a pool with cookies": {func(_, _, _ *model.Listener, http, _, _ *model.Pool) {
			http.Members = append(http.Members, model.Member{ID: "m2", Address: "198.51.100.2", ProtocolPort: 80, Weight: 1, AdminStateUp: true})
		}, nil, []string{"changed http@", "changed web"}},
		"its weight": {func(_, _, _ *model.Listener, http, _, _ *model.Pool) { http.Members[0].Weight = 0 }, nil, []string{"changed http@"}},
		"HTTP: no cookies": {
			func(_, _, _ *model.Listener, http, _, _ *model.Pool) { http.SessionPersistence = nil },
			nil,
			[]string{"changed http", "changed web", "gone http@", "new http@"},
		},
		"HTTP: an application's cookie": {func(_, _, _ *model.Listener, http, _, _ *model.Pool) {
			http.SessionPersistence = &model.SessionPersistence{Type: persistAppCookie, CookieName: "c"}
		}, nil, []string{"changed web"}},
		"HTTP: by source": {
			func(_, _, _ *model.Listener, http, _, _ *model.Pool) { http.SessionPersistence = kept },
			nil,
			[]string{"changed http", "changed web", "gone http@", "new http@"},
		},
		"HTTP: by source and port": {
			func(_, _, _ *model.Listener, http, _, _ *model.Pool) { http.LBAlgorithm = model.AlgorithmSourceIPPort },
			nil,
			[]string{"changed http", "changed web", "gone http@", "new http@"},
		},
		"TCP: by source": {
			func(_, _, _ *model.Listener, _, tcp, _ *model.Pool) { tcp.LBAlgorithm = model.AlgorithmSourceIP },
			nil,
			[]string{"changed tcp", "changed tcp:db", "gone tcp:db@", "gone tcp@", "new tcp:db@", "new tcp@"},
		},
		"TCP: by source and port": {
			func(_, _, _ *model.Listener, _, tcp, _ *model.Pool) { tcp.LBAlgorithm = model.AlgorithmSourceIPPort },
			[]string{"db"},
			[]string{"changed db", "changed tcp", "changed tcp:db", "gone tcp:db@", "gone tcp@", "new tcp:db@", "new tcp@"},
		},
		"TCP: to PROXY protocol": {
			func(_, db, _ *model.Listener, _, _, _ *model.Pool) { db.DefaultPoolID = "proxy" },
			nil,
			[]string{"changed tcp:db", "gone tcp:db@", "new tcp:db@"},
		},
		"UDP: by source": {
			func(_, _, _ *model.Listener, _, _, udp *model.Pool) { udp.SessionPersistence = kept },
			nil,
			[]string{"changed udp", "changed udp:dns", "gone udp:dns@", "gone udp@", "new udp:dns@", "new udp@"},
		},
		"UDP: by source and port": {
			func(_, _, _ *model.Listener, _, _, udp *model.Pool) { udp.LBAlgorithm = model.AlgorithmSourceIPPort },
			nil,
			[]string{"changed udp", "changed udp:dns", "gone udp:dns@", "gone udp@", "new udp:dns@", "new udp@"},
		},
		"UDP: no pool": {func(_, _, dns *model.Listener, _, _, _ *model.Pool) { dns.DefaultPoolID = "" }, nil, nil},
		// In place, and the filter chain is the same: TestAllowedCIDRsKeepConnections.
		"allowed CIDRs": {func(web, _, _ *model.Listener, _, _, _ *model.Pool) {
			web.AllowedCIDRs = []string{"192.0.2.0/24"}
		}, []string{"web"}, []string{"changed web"}},
		"a limit": {
			func(_, db, _ *model.Listener, _, _, _ *model.Pool) { db.ConnectionLimit = 5 },
			[]string{"db"},
			[]string{"changed db"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tree := base()
			test.change(&tree.Listeners[0], &tree.Listeners[1], &tree.Listeners[2], &tree.Pools[0], &tree.Pools[1], &tree.Pools[3])
			before, after := translated(t, base()), translated(t, tree)
			var drains []string
			for _, id := range []string{"web", "db", "dns"} {
				if !proto.Equal(before.Listeners[id], after.Listeners[id]) {
					drains = append(drains, id)
				}
			}
			if diff := cmp.Diff(test.drains, drains); diff != "" {
				t.Errorf("listeners (-want +got):\n%s", diff)
			}
			var all []string
			for line := range changes(before, after) {
				all = append(all, line)
			}
			slices.Sort(all)
			if diff := cmp.Diff(test.all, all); diff != "" {
				t.Errorf("all (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("the chain of a listener with CIDRs", func(t *testing.T) {
		tree := base()
		tree.Listeners[0].AllowedCIDRs = []string{"192.0.2.0/24"}
		before, after := translated(t, base()).Listeners["web"], translated(t, tree).Listeners["web"]
		if !proto.Equal(before.GetFilterChains()[0], after.GetFilterChains()[0]) {
			t.Error("it changes: its connections would be drained")
		}
	})
}
