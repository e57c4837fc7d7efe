package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCascadeDeleteLeavesNothing makes 3 listeners, 3 pools and 20 members in one call, and deletes them in one.
func TestCascadeDeleteLeavesNothing(t *testing.T) {
	c := shared
	before := c.machine(t)
	lb, err := c.create(t, "loadbalancer", "loadbalancers", c.populated("e2e-cascade"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.cleanUp(t, lb.ID) })
	c.settle(t, lb.ID)
	c.noneStuck(t)
	members := 0
	for _, pool := range c.list(t, "pools?loadbalancer_id="+lb.ID) {
		members += len(c.list(t, "pools/"+pool.ID+"/members"))
	}
	if listeners := c.list(t, "listeners?loadbalancer_id="+lb.ID); len(listeners) != 3 || members != 20 {
		t.Fatalf("%d listeners and %d members were made", len(listeners), members)
	}
	c.serves(t, lb.VIPAddress+":8000")
	amphorae := c.amphorae(t, lb.ID)
	if len(amphorae) == 0 {
		t.Fatal("no amphora serves the load balancer")
	}

	if err := c.call(t, http.MethodDelete, "loadbalancers/"+lb.ID+"?cascade=true", nil, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, settleTime, func() error {
		if _, err := c.get(t, "loadbalancer", "loadbalancers/"+lb.ID); !gone(err) {
			return fmt.Errorf("Octavia still has the load balancer (error %w)", err)
		}
		return nil
	})
	for _, collection := range []string{"listeners", "pools"} {
		if left := c.list(t, collection+"?loadbalancer_id="+lb.ID); len(left) != 0 {
			t.Errorf("%s left in Octavia: %v", collection, left)
		}
	}
	var ports struct{ Ports []struct{ ID string } }
	_, err = c.network.Get(t.Context(), c.network.ServiceURL("ports")+"?device_id=lb-"+lb.ID, &ports, nil) //nolint:bodyclose // read by gophercloud
	if err != nil || len(ports.Ports) != 0 {
		t.Errorf("ports left in Neutron: %v, error %v", ports.Ports, err)
	}
	if left := c.amphorae(t, lb.ID); len(left) != 0 {
		t.Errorf("amphorae left in the store: %v", left)
	}
	if status := c.status(t); strings.Contains(status, lb.ID) {
		t.Errorf("octavia-envoy status still shows it:\n%s", status)
	}
	if after := c.machine(t); after != before {
		t.Errorf("left on the machine:\nbefore %s\nafter  %s", before, after)
	}
	for _, amphora := range amphorae {
		for _, place := range []string{c.env["OE_AMPHORAE"], c.env["OE_AMPHORAE_RUN"], "/run/netns"} {
			if left, err := filepath.Glob(filepath.Join(place, "*"+amphora+"*")); err != nil || len(left) != 0 {
				t.Errorf("left: %v, error %v", left, err)
			}
		}
		entries, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if content, err := os.ReadFile(entry); err == nil && strings.Contains(string(content), amphora) {
				t.Errorf("process left: %s", strings.ReplaceAll(string(content), "\x00", " "))
			}
		}
	}
}

// populated is a load balancer with 3 listeners, each with a pool, 20 members among them.
func (c *cloud) populated(name string) map[string]any {
	var listeners []map[string]any
	sizes := []int{7, 7, 6}
	for i, size := range sizes {
		members := []map[string]any{}
		for j := range size {
			address := c.env["OE_MEMBER1_ADDRESS"]
			if j%2 == 1 {
				address = c.env["OE_MEMBER2_ADDRESS"]
			}
			// Address and port are unique in a pool; only the first two answer, the others have weight 0.
			weight, port := 1, 80
			if j > 1 {
				weight, port = 0, 8000+j
			}
			members = append(members, map[string]any{"address": address, "protocol_port": port, "weight": weight})
		}
		listeners = append(listeners, map[string]any{
			"name": fmt.Sprintf("listener-%d", i), "protocol": "HTTP", "protocol_port": 8000 + i,
			"default_pool": map[string]any{
				"name": fmt.Sprintf("pool-%d", i), "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": members,
			},
		})
	}
	return map[string]any{"name": name, "vip_subnet_id": c.subnet, "listeners": listeners}
}

// machine lists the network namespaces and interfaces of this machine.
func (c *cloud) machine(t *testing.T) string {
	t.Helper()
	namespaces, err := filepath.Glob("/run/netns/*")
	if err != nil {
		t.Fatal(err)
	}
	links, err := os.ReadDir("/sys/class/net")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, link := range links {
		names = append(names, link.Name())
	}
	return fmt.Sprint(namespaces, names)
}
