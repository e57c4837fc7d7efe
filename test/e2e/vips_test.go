package e2e

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// second is a further IPv4 subnet of the network, on which the lab's client has an address, too.
const (
	secondCIDR, secondVIP, secondClient = "198.51.100.0/24", "198.51.100.77", "198.51.100.10"
	v6CIDR, v6VIP                       = "2001:db8:113::/64", "2001:db8:113::77"
)

// every joins a port to each of the addresses.
func every(port int, addresses ...string) []string {
	var all []string
	for _, address := range addresses {
		all = append(all, net.JoinHostPort(address, strconv.Itoa(port)))
	}
	return all
}

// secondSubnet makes it; the test's end deletes it.
func (c *cloud) secondSubnet(t *testing.T) string {
	t.Helper()
	id := c.neutron(t, "subnets", "subnet", fields{
		"network_id": c.env["OE_NETWORK_ID"], "ip_version": 4, "cidr": secondCIDR, "enable_dhcp": false, "name": "e2e-second",
	})
	inside := []string{"-netns", c.env["OE_CLIENT_NETNS"], "address"}
	c.run(t, "ip", append(inside, "replace", secondClient+"/24", "dev", "eth0")...)
	t.Cleanup(func() { c.run(t, "ip", append(inside, "delete", secondClient+"/24", "dev", "eth0")...) })
	return id
}

// portOf returns the addresses of a port in Neutron, sorted; nothing if there is no such port.
func (c *cloud) portOf(t *testing.T, id string) []string {
	t.Helper()
	var answer struct {
		Port struct {
			FixedIPs []struct {
				Address string `json:"ip_address"`
			} `json:"fixed_ips"`
		}
	}
	_, err := c.network.Get(t.Context(), c.network.ServiceURL("ports", id), &answer, nil) //nolint:bodyclose // read by gophercloud
	if err != nil && !gone(err) {
		t.Fatal(err)
	}
	var all []string
	for _, fixed := range answer.Port.FixedIPs {
		all = append(all, fixed.Address)
	}
	slices.Sort(all)
	return all
}

// plugged returns the addresses of an amphora's VIP interface, sorted, without its link-local one.
func (c *cloud) plugged(t *testing.T, amphora string) []string {
	t.Helper()
	var all []string
	words := strings.Fields(c.run(t, "ip", "-netns", "oe-"+amphora, "-oneline", "address", "show", "dev", "vip0", "scope", "global"))
	for i, word := range words {
		if word == "inet" || word == "inet6" {
			address, _, _ := strings.Cut(words[i+1], "/")
			all = append(all, address)
		}
	}
	slices.Sort(all)
	return all
}

func (c *cloud) amphora(t *testing.T, loadBalancer string) string {
	t.Helper()
	amphorae := c.amphorae(t, loadBalancer)
	if len(amphorae) != 1 {
		t.Fatalf("the load balancer has the amphorae %v", amphorae)
	}
	return amphorae[0]
}

// additional returns what Octavia says of the additional VIPs, sorted by address.
func (c *cloud) additional(t *testing.T, loadBalancer string) []fields {
	t.Helper()
	var answer struct {
		LoadBalancer struct {
			AdditionalVIPs []fields `json:"additional_vips"`
		} `json:"loadbalancer"`
	}
	if err := c.call(t, http.MethodGet, "loadbalancers/"+loadBalancer, nil, &answer); err != nil {
		t.Fatal(err)
	}
	vips := answer.LoadBalancer.AdditionalVIPs
	slices.SortFunc(vips, func(a, b fields) int { return strings.Compare(a["ip_address"].(string), b["ip_address"].(string)) })
	return vips
}

// createByCLI runs `loadbalancer create` and waits until it is ACTIVE; the test's end deletes it.
func (c *cloud) createByCLI(t *testing.T, name, words string) *tree {
	t.Helper()
	id := strings.TrimSpace(c.openstack(t, "loadbalancer create --name "+name+" "+words+" -f value -c id"))
	t.Cleanup(func() { c.cleanUp(t, id) })
	s := &tree{cloud: c, lb: c.settle(t, id)}
	s.look(t)
	return s
}

// service adds a listener with a pool and members.
func (s *tree) service(t *testing.T, name, protocol string, port int, members ...fields) {
	t.Helper()
	on := s.mustCreate(t, s.lb.ID, "listener", "listeners", listener(name, protocol, port, "", fields{"loadbalancer_id": s.lb.ID}))
	behind := fields{"name": name, "listener_id": on.ID, "protocol": protocol, "lb_algorithm": "ROUND_ROBIN"}
	made := s.mustCreate(t, s.lb.ID, "pool", "pools", behind)
	if len(members) > 0 {
		s.do(t, http.MethodPut, "pools/"+made.ID+"/members", fields{"members": members})
	}
	s.allActive(t)
}

// member6 is member with its IPv6 address.
func (c *cloud) member6(number, port int, more ...fields) fields {
	return c.member(number, port, append([]fields{{"address": c.env[fmt.Sprintf("OE_MEMBER%d_ADDRESS6", number)]}}, more...)...)
}

// leavesNothing deletes a load balancer with all below it and looks for what may be left of it and of its amphora.
func (s *tree) leavesNothing(t *testing.T) {
	t.Helper()
	amphora := s.amphora(t, s.lb.ID)
	s.openstack(t, "loadbalancer delete --cascade "+s.lb.ID)
	eventually(t, settleTime, func() error {
		if _, err := s.get(t, "loadbalancer", "loadbalancers/"+s.lb.ID); !gone(err) {
			return fmt.Errorf("Octavia still has the load balancer (error %w)", err)
		}
		return nil
	})
	if left := s.amphorae(t, s.lb.ID); len(left) > 0 {
		t.Errorf("left in the store: %v", left)
	}
	for _, place := range []string{s.env["OE_AMPHORAE"], s.env["OE_AMPHORAE_RUN"], "/run/netns"} {
		if left, err := filepath.Glob(filepath.Join(place, "*"+amphora+"*")); err != nil || len(left) > 0 {
			t.Errorf("left: %v, error %v", left, err)
		}
	}
}

// TestAdditionalVIPs has one load balancer on three subnets of both families.
func TestAdditionalVIPs(t *testing.T) {
	t.Parallel()
	c := shared
	second := c.secondSubnet(t)
	s := c.createByCLI(t, "e2e-vips", "--vip-subnet-id "+c.subnet+" --additional-vip subnet-id="+c.env["OE_SUBNET6_ID"]+",ip-address="+v6VIP+
		" --additional-vip subnet-id="+second+",ip-address="+secondVIP)
	all := []string{s.lb.VIPAddress, v6VIP, secondVIP}
	want := slices.Sorted(slices.Values(all))
	if have := c.portOf(t, s.lb.VIPPortID); !slices.Equal(have, want) {
		t.Errorf("the port has %v, want %v", have, want)
	}
	said := c.additional(t, s.lb.ID)
	if len(said) != 2 || said[0]["ip_address"] != secondVIP || said[1]["ip_address"] != v6VIP ||
		said[0]["port_id"] != s.lb.VIPPortID || said[1]["port_id"] != s.lb.VIPPortID || said[0]["subnet_id"] != second {
		t.Errorf("Octavia says of the additional VIPs: %v", said)
	}
	if have := c.plugged(t, c.amphora(t, s.lb.ID)); !slices.Equal(have, want) {
		t.Errorf("the amphora has %v, want %v", have, want)
	}

	// One member of each family serves what comes to any address.
	s.service(t, "web", "HTTP", 80, c.member(1, 80), c.member6(2, 80, fields{
		"monitor_address": c.env["OE_MEMBER2_ADDRESS"], "monitor_port": 8080,
	}))
	s.service(t, "tcp", "TCP", 53, c.member6(1, 7))
	s.service(t, "udp", "UDP", 53, c.member6(2, 53))
	serves := func(after string) {
		t.Helper()
		for _, address := range every(80, all...) {
			c.serves(t, address)
			if got := c.spread(t, address, 20); got["member1"] < 5 || got["member2"] < 5 {
				t.Errorf("after %s, 20 requests to %s over two members: %v", after, address, got)
			}
		}
		for _, address := range every(53, all...) {
			if greeting := greet(t, c.mustDial(t, "", "tcp", address)); !strings.HasPrefix(greeting, "member1") {
				t.Errorf("after %s, TCP at %s answers %q", after, address, greeting)
			}
			if member, _ := tell(t, c.mustDial(t, "", "udp", address)); member != "member2" {
				t.Errorf("after %s, UDP at %s is answered by %q", after, address, member)
			}
		}
	}
	serves("creation")

	// CIDRs of both families, then of one: the other's clients are shut out.
	s.cli(t, "loadbalancer listener set --allowed-cidr 203.0.113.0/24 --allowed-cidr "+v6CIDR+" [listener web]")
	web := every(80, all...)
	c.answers(t, web[2], "/", "refused")
	c.serves(t, web[0])
	c.serves(t, web[1])
	s.cli(t, "loadbalancer listener set --allowed-cidr 203.0.113.0/24 [listener web]")
	c.answers(t, web[1], "/", "refused")
	c.serves(t, web[0])
	s.cli(t, "loadbalancer listener unset --allowed-cidrs [listener web]")
	serves("CIDRs")

	before := c.amphora(t, s.lb.ID)
	s.cli(t, "loadbalancer failover [lb]")
	after := c.amphora(t, s.lb.ID)
	if after == before {
		t.Error("the amphora is the same after a failover")
	}
	if have := c.plugged(t, after); !slices.Equal(have, want) {
		t.Errorf("the new amphora has %v, want %v", have, want)
	}
	serves("failover")
	s.allActive(t)

	s.leavesNothing(t)
	if have := c.portOf(t, s.lb.VIPPortID); len(have) > 0 {
		t.Errorf("left in Neutron: a port with %v", have)
	}
}

// TestIPv6Only has no IPv4 address at all, neither its VIP nor its members.
func TestIPv6Only(t *testing.T) {
	t.Parallel()
	c := shared
	s := c.createByCLI(t, "e2e-six", "--vip-subnet-id "+c.env["OE_SUBNET6_ID"])
	vip := net.ParseIP(s.lb.VIPAddress)
	if vip == nil || vip.To4() != nil {
		t.Fatalf("the VIP is %s", s.lb.VIPAddress)
	}
	if have := c.plugged(t, c.amphora(t, s.lb.ID)); len(have) != 1 || !net.ParseIP(have[0]).Equal(vip) {
		t.Errorf("the amphora has %v, want %s", have, vip)
	}
	s.service(t, "web", "HTTP", 80, c.member6(1, 80), c.member6(2, 80))
	s.cli(t, "loadbalancer listener set --insert-headers X-Forwarded-For=true [listener web]")
	web := every(80, s.lb.VIPAddress)[0]
	if got := c.spread(t, web, 20); got["member1"] < 5 || got["member2"] < 5 {
		t.Errorf("20 requests over two members: %v", got)
	}
	request := c.asSeen(t, c.client(t), "http://"+web)
	if host, _, err := net.SplitHostPort(request.Remote); err != nil || !net.ParseIP(host).Equal(vip) {
		t.Errorf("the member is asked from %s, not from the VIP", request.Remote)
	}
	if from := request.Headers.Get("X-Forwarded-For"); !net.ParseIP(from).Equal(net.ParseIP(c.env["OE_CLIENT_ADDRESS6"])) {
		t.Errorf("X-Forwarded-For is %q", from)
	}
	s.service(t, "tcp", "TCP", 53, c.member6(1, 7)) // one port for both
	s.service(t, "udp", "UDP", 53, c.member6(1, 53))
	dns := every(53, s.lb.VIPAddress)[0]
	if greeting := greet(t, c.mustDial(t, "", "tcp", dns)); !strings.HasPrefix(greeting, "member1") {
		t.Errorf("TCP answers %q", greeting)
	}
	if member, from := tell(t, c.mustDial(t, "", "udp", dns)); member != "member1" {
		t.Errorf("UDP is answered by %q, which saw %q", member, from)
	}
	s.allActive(t)
	s.leavesNothing(t)
	if have := c.portOf(t, s.lb.VIPPortID); len(have) > 0 {
		t.Errorf("left in Neutron: a port with %v", have)
	}
}

// TestUsersPort brings a port with more addresses than are asked for; those are no VIPs, and the port stays.
func TestUsersPort(t *testing.T) {
	t.Parallel()
	c := shared
	const asked, more = "2001:db8:113::88", "2001:db8:113::89"
	port := c.neutron(t, "ports", "port", fields{"name": "e2e-users", "network_id": c.env["OE_NETWORK_ID"], "fixed_ips": []fields{
		{"subnet_id": c.subnet, "ip_address": "203.0.113.49"},
		{"subnet_id": c.env["OE_SUBNET6_ID"], "ip_address": more},
		{"subnet_id": c.env["OE_SUBNET6_ID"], "ip_address": asked},
	}})
	s := c.createByCLI(t, "e2e-users", "--vip-port-id "+port+" --vip-subnet-id "+c.subnet+" --additional-vip subnet-id="+c.env["OE_SUBNET6_ID"]+
		",ip-address="+asked)
	if s.lb.VIPAddress != "203.0.113.49" || s.lb.VIPPortID != port {
		t.Errorf("the load balancer is %+v", s.lb)
	}
	if have := c.plugged(t, c.amphora(t, s.lb.ID)); !slices.Equal(have, []string{asked, "203.0.113.49"}) {
		t.Errorf("the amphora has %v", have)
	}
	s.service(t, "web", "HTTP", 80)
	for _, address := range every(80, "203.0.113.49", asked) {
		c.answers(t, address, "/", "503")
	}
	s.leavesNothing(t)
	if have := c.portOf(t, port); len(have) != 3 {
		t.Errorf("the user's port has %v", have)
	}
}

// TestVIPRefusals asks for what the VIP cannot have, at creation and later; Octavia hands security groups over in one case
// only.
func TestVIPRefusals(t *testing.T) {
	t.Parallel()
	c := shared
	lb := c.loadBalancer(t, "e2e-vip-refusals")
	group := c.neutron(t, "security-groups", "security_group", fields{"name": "e2e-vip"})
	policy := c.neutron(t, "qos/policies", "policy", fields{"name": "e2e-vip"})
	port := c.neutron(t, "ports", "port", fields{"network_id": c.env["OE_NETWORK_ID"], "qos_policy_id": policy, "fixed_ips": []fields{{"subnet_id": c.subnet}}})
	c.neutron(t, "ports", "port", fields{"network_id": c.env["OE_NETWORK_ID"], "fixed_ips": []fields{
		{"subnet_id": c.env["OE_SUBNET6_ID"], "ip_address": "2001:db8:113::90"},
	}})
	const (
		qos    = unsupported + "QoS policies on the VIP are not supported yet, nothing would apply them; leave the load balancer, and a VIP port of your own, without one."
		groups = unsupported + "Security groups on the VIP are not supported yet, nothing would enforce them; use allowed_cidrs of the listeners instead."
	)
	another := func(more fields) fields {
		return fields{"loadbalancer": with(fields{"name": "e2e-refused", "vip_subnet_id": c.subnet}, more)}
	}
	change := func(attributes fields) fields { return fields{"loadbalancer": attributes} }
	for name, test := range map[string]struct {
		method, path string
		body         fields
		status       int
		sentence     string
	}{
		"groups":          {http.MethodPost, "loadbalancers", another(fields{"vip_sg_ids": []string{group}}), 501, groups},
		"groups, later":   {http.MethodPut, "loadbalancers/" + lb.ID, change(fields{"vip_sg_ids": []string{group}, "description": "d"}), 501, groups},
		"QoS":             {http.MethodPost, "loadbalancers", another(fields{"vip_qos_policy_id": policy}), 501, qos},
		"QoS, later":      {http.MethodPut, "loadbalancers/" + lb.ID, change(fields{"vip_qos_policy_id": policy}), 501, qos},
		"QoS of the port": {http.MethodPost, "loadbalancers", change(fields{"name": "e2e-refused", "vip_port_id": port}), 501, qos},
		"a taken address": {
			http.MethodPost, "loadbalancers",
			another(fields{"additional_vips": []fields{{"subnet_id": c.env["OE_SUBNET6_ID"], "ip_address": "2001:db8:113::90"}}}),
			409, "The address 2001:db8:113::90 is in use.",
		},
		"an address elsewhere": {
			http.MethodPost, "loadbalancers",
			another(fields{"additional_vips": []fields{{"subnet_id": c.env["OE_SUBNET6_ID"], "ip_address": "2001:db8:114::7"}}}),
			501, "2001:db8:114::7",
		},
	} {
		t.Run(name, func(t *testing.T) {
			status, said := c.refusal(t, test.method, test.path, test.body)
			if status != test.status || !strings.Contains(said, test.sentence) {
				t.Errorf("got %d: %s\nnot %d: %s", status, said, test.status, test.sentence)
			}
			c.settle(t, lb.ID)
		})
	}
	var answer struct {
		LoadBalancer fields `json:"loadbalancer"`
	}
	if err := c.call(t, http.MethodGet, "loadbalancers/"+lb.ID, nil, &answer); err != nil {
		t.Fatal(err)
	}
	if now := answer.LoadBalancer; fmt.Sprint(now["vip_sg_ids"]) != "[]" || now["vip_qos_policy_id"] != nil || now["description"] != "" {
		t.Errorf("the refusals left %v", now)
	}
	for _, found := range c.list(t, "loadbalancers?name=e2e-refused") {
		t.Errorf("left: %+v", found)
	}
	// What asks for nothing passes.
	if err := c.call(t, http.MethodPut, "loadbalancers/"+lb.ID, change(fields{"vip_sg_ids": []string{}, "vip_qos_policy_id": nil}), nil); err != nil {
		t.Errorf("taking away what is not there: %v", err)
	}
	c.settle(t, lb.ID)
}
