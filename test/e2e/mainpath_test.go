package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// TestThreeCommands runs row S7 word for word, then does with its members what a user does with members, all by the CLI.
func TestThreeCommands(t *testing.T) {
	c := shared
	c.openstack(t, "loadbalancer create --name my-lb --vip-subnet public-subnet")
	id := strings.TrimSpace(c.openstack(t, "loadbalancer show my-lb -f value -c id"))
	t.Cleanup(func() { c.cleanUp(t, id) })
	lb := c.settle(t, id)
	c.openstack(t, "loadbalancer listener create --name my-listener --protocol HTTP --protocol-port 80 my-lb")
	c.settle(t, id)
	address := lb.VIPAddress + ":80"
	if code, member, err := c.fetch(t, c.client(t), address); err != nil || code != http.StatusServiceUnavailable {
		t.Fatalf("a listener without a pool answers %d (by %q, error %v), not 503", code, member, err)
	}
	c.openstack(t, "loadbalancer pool create --name my-pool --lb-algorithm ROUND_ROBIN --listener my-listener --protocol HTTP")
	c.settle(t, id)
	one, two := c.env["OE_MEMBER1_ADDRESS"], c.env["OE_MEMBER2_ADDRESS"]
	c.openstack(t, "loadbalancer member create --name one --address "+one+" --protocol-port 80 my-pool")
	c.settle(t, id)
	c.openstack(t, "loadbalancer member create --name two --address "+two+" --protocol-port 80 my-pool")
	c.settle(t, id)

	if got := c.spread(t, address, 100); got["member1"] < 40 || got["member2"] < 40 {
		t.Errorf("100 requests over two equal members: %v", got)
	}
	c.openstack(t, "loadbalancer member set --weight 3 my-pool one")
	c.settle(t, id)
	if got := c.spread(t, address, 100); got["member1"] < 65 || got["member1"] > 85 {
		t.Errorf("100 requests over weights 3 and 1: %v", got)
	}
	c.openstack(t, "loadbalancer member set --disable my-pool one")
	c.settle(t, id)
	if got := c.spread(t, address, 20); got["member2"] != 20 {
		t.Errorf("a disabled member is asked: %v", got)
	}
	c.openstack(t, "loadbalancer member set --enable my-pool one")
	c.settle(t, id)
	c.openstack(t, "loadbalancer member set --weight 0 my-pool two")
	c.settle(t, id)
	if got := c.spread(t, address, 20); got["member1"] != 20 {
		t.Errorf("a member of weight 0 is asked: %v", got)
	}
	c.openstack(t, "loadbalancer member delete my-pool two")
	c.settle(t, id)
	if got := c.spread(t, address, 20); got["member1"] != 20 {
		t.Errorf("after the deletion of a member: %v", got)
	}
	if names := strings.Fields(c.openstack(t, "loadbalancer member list my-pool -f value -c name")); len(names) != 1 || names[0] != "one" {
		t.Errorf("members after the deletion: %v", names)
	}
	c.checkOperatingStates(t, id)
	if status := c.status(t); !strings.Contains(status, id) || !strings.Contains(status, "ACTIVE") {
		t.Errorf("octavia-envoy status does not show the load balancer:\n%s", status)
	}
}

// checkOperatingStates compares with what Octavia's own tests expect of a provider.
func (c *cloud) checkOperatingStates(t *testing.T, id string) {
	t.Helper()
	lb, err := c.get(t, "loadbalancer", "loadbalancers/"+id)
	if err != nil || lb.OperatingStatus != "ONLINE" {
		t.Errorf("load balancer: %s, error %v", lb.OperatingStatus, err)
	}
	for _, collection := range []string{"listeners", "pools"} {
		for _, found := range c.list(t, collection+"?loadbalancer_id="+id) {
			if found.OperatingStatus != "ONLINE" || found.ProvisioningStatus != "ACTIVE" {
				t.Errorf("%s %s: %s, %s", collection, found.Name, found.ProvisioningStatus, found.OperatingStatus)
			}
			if collection == "pools" {
				for _, member := range c.list(t, "pools/"+found.ID+"/members") {
					if member.OperatingStatus != "NO_MONITOR" || member.ProvisioningStatus != "ACTIVE" {
						t.Errorf("member %s: %s, %s", member.Name, member.ProvisioningStatus, member.OperatingStatus)
					}
				}
			}
		}
	}
}

// TestDatabaseOverTCP has the cloud's own MariaDB behind a TCP listener.
func TestDatabaseOverTCP(t *testing.T) {
	c := shared
	lb := c.loadBalancer(t, "e2e-database")
	pool := c.mustCreate(t, lb.ID, "pool", "pools", map[string]any{
		"loadbalancer_id": lb.ID, "protocol": "TCP", "lb_algorithm": "LEAST_CONNECTIONS",
	})
	c.mustCreate(t, lb.ID, "listener", "listeners", map[string]any{
		"loadbalancer_id": lb.ID, "protocol": "TCP", "protocol_port": 3306, "default_pool_id": pool.ID,
	})
	c.mustCreate(t, lb.ID, "member", "pools/"+pool.ID+"/members", map[string]any{
		"address": c.env["OE_DB_ADDRESS"], "protocol_port": 3306,
	})
	answer := c.run(t, "ip", "netns", "exec", c.env["OE_CLIENT_NETNS"],
		"mariadb", "--no-defaults", "--protocol=tcp", "-h", lb.VIPAddress, "-P", "3306", "-u", "root", "-N", "-e",
		"select count(*) from octavia.load_balancer where id = '"+lb.ID+"'")
	if strings.TrimSpace(answer) != "1" {
		t.Errorf("the database behind the load balancer does not know the load balancer: %q", answer)
	}
}

// TestUnsupported checks that the CLI's user is told what is not possible and what is.
func TestUnsupported(t *testing.T) {
	c := shared
	lb := c.loadBalancer(t, "e2e-unsupported")
	_, stderr, err := c.try(t, c.env["OPENSTACK"], "loadbalancer", "listener", "create", "--name", "sctp",
		"--protocol", "SCTP", "--protocol-port", "9000", lb.ID)
	if err == nil {
		t.Fatal("an SCTP listener was accepted")
	}
	for _, want := range []string{"HTTP 501", "Provider 'envoy' does not support a requested option", "SCTP", "TCP"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("no %q in: %s", want, stderr)
		}
	}
	if lb := c.settle(t, lb.ID); lb.ProvisioningStatus != "ACTIVE" {
		t.Errorf("the refusal left the load balancer %s", lb.ProvisioningStatus)
	}
	if left := c.list(t, "listeners?loadbalancer_id="+lb.ID); len(left) != 0 {
		t.Errorf("the refusal left %v", left)
	}
}
