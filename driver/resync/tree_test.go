package resync_test

import (
	"errors"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/status"
)

// TestTree reads a load balancer with one of each kind. What the real API gives is compared with the driver-agent's tree in
// test/e2e.
func TestTree(t *testing.T) {
	fake := newFakeOctavia(t)
	of := func(more map[string]any) map[string]any {
		more["loadbalancer_id"] = "lb" // what the fake filters by; real objects have "loadbalancers"
		return more
	}
	fake.add("loadbalancers", "lb", "ACTIVE", 0, map[string]any{"name": "web", "vip_address": "192.0.2.1", "flavor_id": "f"})
	fake.add("flavors", "f", "", 0, map[string]any{"flavor_profile_id": "p"})
	fake.add("flavorprofiles", "p", "", 0, map[string]any{"flavor_data": `{"envoy": {"a": 1}}`})
	fake.add("listeners", "l", "ACTIVE", 0, of(map[string]any{
		"protocol": "TERMINATED_HTTPS", "protocol_port": 443, "default_pool_id": "pool", "default_tls_container_ref": "https://b/v1/secrets/1",
	}))
	fake.add("listeners", "l2", "ACTIVE", 0, of(map[string]any{"protocol": "HTTP"}))
	// The API lists what was made within a second by id.
	fake.add("l7policies", "later", "ACTIVE", 0, map[string]any{"listener_id": "l", "action": "REJECT", "position": 2})
	fake.add("l7policies", "policy", "ACTIVE", 0, map[string]any{"listener_id": "l", "action": "REJECT", "position": 1})
	fake.add("l7policies/policy/rules", "rule", "ACTIVE", 0, map[string]any{"type": "PATH", "value": "/a"})
	fake.add("pools", "pool", "ACTIVE", 0, of(map[string]any{
		"healthmonitor_id": "monitor", "listeners": []map[string]any{{"id": "l"}, {"id": "l2"}},
	}))
	fake.add("pools", "unused", "ACTIVE", 0, of(map[string]any{"listeners": []map[string]any{}}))
	fake.add("pools/pool/members", "m", "ACTIVE", 0, map[string]any{"address": "192.0.2.2", "weight": 3})
	fake.add("pools/unused/members", "m2", "ACTIVE", 0, map[string]any{"address": "192.0.2.3"})
	fake.add("healthmonitors", "monitor", "ACTIVE", 0, map[string]any{"type": "HTTP"})

	tree, err := fake.api().Tree(t.Context(), "lb")
	if err != nil {
		t.Fatal(err)
	}
	if tree.ID != "lb" || tree.Name != "web" || tree.VIPAddress != "192.0.2.1" || len(tree.Flavor) != 1 {
		t.Errorf("the load balancer is %+v", tree)
	}
	if len(tree.Listeners) != 2 || len(tree.Pools) != 2 {
		t.Fatalf("%d listeners, %d pools", len(tree.Listeners), len(tree.Pools))
	}
	listener, pool := tree.Listeners[0], tree.Pools[0]
	if listener.ID != "l" || listener.LoadBalancerID != "lb" || listener.ProtocolPort != 443 || listener.DefaultTLSContainer != nil ||
		listener.DefaultTLSContainerRef != "https://b/v1/secrets/1" {
		t.Errorf("the listener is %+v", listener)
	}
	if policies := listener.L7Policies; len(policies) != 2 || policies[0].ID != "policy" || policies[1].ID != "later" || len(policies[0].Rules) != 1 ||
		policies[0].Rules[0].ID != "rule" || policies[0].Rules[0].Value != "/a" {
		t.Errorf("the policies are %+v", policies)
	}
	if pool.ID != "pool" || pool.ListenerID != "l" || tree.Pools[1].ListenerID != "" {
		t.Errorf("the pools are of listeners %q and %q", pool.ListenerID, tree.Pools[1].ListenerID)
	}
	if len(pool.Members) != 1 || pool.Members[0].ID != "m" || pool.Members[0].PoolID != "pool" || pool.Members[0].Address != "192.0.2.2" {
		t.Errorf("the members are %+v", pool.Members)
	}
	if pool.HealthMonitor == nil || pool.HealthMonitor.ID != "monitor" || pool.HealthMonitor.PoolID != "pool" {
		t.Errorf("the monitor is %+v", pool.HealthMonitor)
	}
	if _, err := fake.api().Tree(t.Context(), "other"); !errors.Is(err, status.ErrGone) {
		t.Errorf("a load balancer that is not there: %v", err)
	}
	fake.set(func(f *fakeOctavia) { f.broken = true })
	if _, err := fake.api().Tree(t.Context(), "lb"); err == nil || errors.Is(err, status.ErrGone) {
		t.Errorf("an API that does not answer: %v", err)
	}
}
