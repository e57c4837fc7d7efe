package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/network"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// town is a network with two subnets of each family. Ports have the number that ends their id as the last of all their
// addresses.
type town struct{ network string }

var streets = []string{"198.51.100.0/24", "192.0.2.0/24", "2001:db8:a::/64", "2001:db8:b::/64"}

// at is the address with that number on the street.
func at(street string, number byte) netip.Addr {
	bytes := netip.MustParsePrefix(street).Addr().AsSlice()
	bytes[len(bytes)-1] = number
	address, _ := netip.AddrFromSlice(bytes)
	return address
}

func portID(number byte) string { return fmt.Sprintf("port-%c", number) }

func (c town) PortInfo(_ context.Context, id string) (network.PortInfo, error) {
	number := id[len(id)-1]
	info := network.PortInfo{ID: id, NetworkID: c.network, MAC: fmt.Sprintf("fa:16:3e:00:00:%02x", number)}
	for _, street := range streets {
		info.FixedIPs = append(info.FixedIPs, network.FixedIP{SubnetID: street, Address: at(street, number)})
	}
	return info, nil
}

func (town) SubnetInfo(_ context.Context, id string) (network.SubnetInfo, error) {
	info := network.SubnetInfo{CIDR: netip.MustParsePrefix(id), Gateway: at(id, 1), MTU: 1450}
	if info.CIDR.Addr().Is4() {
		info.HostRoutes = []network.Route{{Destination: netip.MustParsePrefix("10.9.0.0/16"), NextHop: at(id, 99)}}
	}
	return info, nil
}

func newTown(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	b.Plumber = New(Options{Info: town{b.network}, StateDir: b.dir})
	return b
}

// move plugs a VIP on each of the streets.
func (b *bench) move(a model.Amphora, number byte, where ...string) {
	b.t.Helper()
	lb := &model.LoadBalancer{VIPPortID: portID(number), VIPAddress: at(where[0], number).String()}
	for _, street := range where[1:] {
		lb.AdditionalVIPs = append(lb.AdditionalVIPs, model.AdditionalVIP{IPAddress: at(street, number).String()})
	}
	if err := b.Plug(b.t.Context(), a, lb); err != nil {
		b.t.Fatal(err)
	}
}

// have returns the addresses of an amphora that are not link-local.
func (b *bench) have(a model.Amphora) []string {
	b.t.Helper()
	handle := b.inside(a)
	link, err := handle.LinkByName(insideName)
	if err != nil {
		b.t.Fatal(err)
	}
	addresses, err := handle.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		b.t.Fatal(err)
	}
	var all []string
	for _, address := range addresses {
		if !address.IP.IsLinkLocalUnicast() {
			all = append(all, address.IPNet.String())
		}
		if address.Flags&unix.IFA_F_TENTATIVE != 0 && !address.IP.IsLinkLocalUnicast() {
			b.t.Errorf("%s is tentative: nothing can bind it yet", address.IPNet)
		}
	}
	slices.Sort(all)
	return all
}

// TestOnlyVIPsArePlugged: what else a port has is not the load balancer's.
func TestOnlyVIPsArePlugged(t *testing.T) {
	for name, test := range map[string]struct{ where, want []string }{
		"IPv4":       {streets[:1], []string{"198.51.100.55/24"}},
		"IPv6 alone": {streets[2:3], []string{"2001:db8:a::37/64"}},
		"both":       {[]string{streets[2], streets[1]}, []string{"192.0.2.55/24", "2001:db8:a::37/64"}},
		"all": {streets, []string{
			"192.0.2.55/24", "198.51.100.55/24", "2001:db8:a::37/64", "2001:db8:b::37/64",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTown(t)
			a := b.amphora()
			for range 2 {
				b.move(a, '7', test.where...)
				if have := b.have(a); !slices.Equal(have, test.want) {
					t.Errorf("addresses are %v, want %v", have, test.want)
				}
			}
			if err := b.Replug(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			if err := b.Unplug(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			if b.exists(HostLinkName(a.ID)) || b.exists(BridgeName(b.network)) {
				t.Error("interfaces left")
			}
		})
	}
	b := newTown(t)
	lb := &model.LoadBalancer{
		VIPPortID: portID('7'), VIPAddress: "198.51.100.55", AdditionalVIPs: []model.AdditionalVIP{{IPAddress: "2001:db8:a::8"}},
	}
	if err := b.Plug(t.Context(), b.amphora(), lb); !errors.Is(err, network.ErrInvalid) || !strings.Contains(err.Error(), "2001:db8:a::8") {
		t.Errorf("an additional VIP that the port does not have: %v", err)
	}
}

// TestIPv6WhereTheMachineHasItOff plugs an IPv6 VIP where interfaces begin without IPv6, as some distributions set it.
func TestIPv6WhereTheMachineHasItOff(t *testing.T) {
	b := newTown(t)
	a := b.amphora()
	b.move(a, '7', streets[2])
	b.in(NamespaceName(a.ID), "sysctl", "-qw", "net.ipv6.conf."+insideName+".disable_ipv6=1")
	if have := b.have(a); len(have) != 0 {
		t.Fatalf("without IPv6 it has %v", have)
	}
	b.move(a, '7', streets[2])
	if have := b.have(a); !slices.Equal(have, []string{"2001:db8:a::37/64"}) {
		t.Errorf("addresses are %v", have)
	}
	// Routers of the network do not add to what Neutron says.
	for _, setting := range []string{"accept_ra", "autoconf"} {
		words := []string{"netns", "exec", NamespaceName(a.ID), "sysctl", "-n", "net.ipv6.conf." + insideName + "." + setting}
		value, err := exec.CommandContext(t.Context(), "ip", words...).Output()
		if err != nil || strings.TrimSpace(string(value)) != "0" {
			t.Errorf("%s is %s, %v", setting, value, err)
		}
	}
}

// TestReturnPath asks the kernel for the way of an answer from each VIP, and of what the amphora itself begins.
func TestReturnPath(t *testing.T) {
	b := newTown(t)
	a := b.amphora()
	far := map[bool]string{true: "203.0.113.9", false: "2001:db8:f::9"}
	gateways := func(from netip.Addr, to string) (gateway, source string) {
		t.Helper()
		options := &netlink.RouteGetOptions{}
		if from.IsValid() {
			options.SrcAddr = from.AsSlice()
		}
		routes, err := b.inside(a).RouteGetWithOptions(net.ParseIP(to), options)
		if err != nil || len(routes) != 1 {
			t.Fatalf("from %s to %s: %v, %v", from, to, routes, err)
		}
		if routes[0].Gw != nil {
			gateway = routes[0].Gw.String()
		}
		return gateway, routes[0].Src.String()
	}
	for range 2 { // again changes nothing
		b.move(a, '7', streets...)
		for i, street := range streets {
			vip, want := at(street, '7'), at(street, 1).String()
			if got, _ := gateways(vip, far[vip.Is4()]); got != want {
				t.Errorf("answers of %s go by %q, want %s", vip, got, want)
			}
			if got, _ := gateways(vip, at(street, 9).String()); got != "" {
				t.Errorf("answers of %s to its own subnet go by %s", vip, got)
			}
			neighbour := streets[i^1] // a client there asks by its router
			if got, _ := gateways(vip, at(neighbour, 9).String()); got != want {
				t.Errorf("answers of %s to %s go by %q, want %s", vip, neighbour, got, want)
			}
			if _, source := gateways(netip.Addr{}, at(street, 9).String()); source != vip.String() {
				t.Errorf("to a member on %s the amphora goes as %s", street, source)
			}
			if vip.Is4() {
				if got, _ := gateways(vip, "10.9.1.1"); got != at(street, 99).String() {
					t.Errorf("answers of %s to a host route go by %q", vip, got)
				}
			}
		}
		for v4, to := range far {
			first := streets[0]
			if !v4 {
				first = streets[2]
			}
			if gateway, source := gateways(netip.Addr{}, to); gateway != at(first, 1).String() || source != at(first, '7').String() {
				t.Errorf("to a member at %s the amphora goes as %s by %s", to, source, gateway)
			}
		}
	}
	rules, err := b.inside(a).RuleList(netlink.FAMILY_ALL)
	if err != nil {
		t.Fatal(err)
	}
	ours := slices.DeleteFunc(rules, func(rule netlink.Rule) bool { return rule.Src == nil })
	if len(ours) != len(streets) {
		t.Errorf("rules are %v", ours)
	}

	// One VIP of each family needs none.
	other := b.amphora()
	b.move(other, '8', streets[0], streets[2])
	if rules, err = b.inside(other).RuleList(netlink.FAMILY_ALL); err != nil || slices.ContainsFunc(rules, func(r netlink.Rule) bool { return r.Src != nil }) {
		t.Errorf("rules are %v, %v", rules, err)
	}
}

// TestClientBehindARouter connects to each VIP through a router that drops what comes from a subnet by another's interface.
func TestClientBehindARouter(t *testing.T) {
	b := newTown(t)
	a := b.amphora()
	b.move(a, '7', streets...)
	router, client := b.namespace(), b.namespace()
	b.ip("link", "add", "far", "netns", router, "type", "veth", "peer", "name", "eth0", "netns", client)
	b.ip("-n", router, "addr", "add", "203.0.113.1/24", "dev", "far")
	b.ip("-n", router, "addr", "add", "2001:db8:f::1/64", "dev", "far", "nodad")
	b.ip("-n", router, "link", "set", "far", "up")
	b.ip("-n", client, "addr", "add", "203.0.113.9/24", "dev", "eth0")
	b.ip("-n", client, "addr", "add", "2001:db8:f::9/64", "dev", "eth0", "nodad")
	b.ip("-n", client, "link", "set", "eth0", "up")
	b.ip("-n", client, "route", "add", "default", "via", "203.0.113.1")
	b.ip("-n", client, "-6", "route", "add", "default", "via", "2001:db8:f::1")
	b.in(router, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv4.conf.all.arp_ignore=1")
	for i, street := range streets {
		name, outer := fmt.Sprintf("street%d", i), "oe"+strings.ReplaceAll(uuid.NewString(), "-", "")[:10]
		b.ip("link", "add", outer, "type", "veth", "peer", "name", name, "netns", router)
		b.t.Cleanup(func() { _ = removeLink(outer) })
		b.ip("link", "set", outer, "master", BridgeName(b.network), "up")
		prefix := netip.MustParsePrefix(street)
		words := []string{"-n", router, "addr", "add", fmt.Sprintf("%s/%d", at(street, 1), prefix.Bits()), "dev", name}
		family := "-4"
		if prefix.Addr().Is6() {
			family, words = "-6", append(words, "nodad")
		}
		b.ip(words...)
		b.ip("-n", router, "link", "set", name, "up")
		b.ip("-n", router, family, "rule", "add", "from", street, "iif", name, "lookup", "main", "pref", "10")
		b.ip("-n", router, family, "rule", "add", "iif", name, "prohibit", "pref", "20")
	}
	for _, street := range streets {
		vip := netip.AddrPortFrom(at(street, '7'), 80)
		answered := b.listen(a, vip)
		testkit.Eventually(t, func() error { // the router's neighbour discovery may have begun before its interface was up
			return InNamespace(namespaceDir+"/"+client, func() error {
				connection, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", vip.String())
				if err != nil {
					return err
				}
				defer connection.Close()
				_ = connection.SetDeadline(time.Now().Add(time.Second))
				said, err := io.ReadAll(connection)
				if err == nil && string(said) != answered {
					err = fmt.Errorf("%s says %q, not %q", vip, said, answered)
				}
				return err
			})
		})
	}
}

// listen serves an address in the amphora's namespace and returns what it says to everybody.
func (b *bench) listen(a model.Amphora, address netip.AddrPort) string {
	b.t.Helper()
	var server net.Listener
	err := InNamespace(NamespacePath(a.ID), func() (err error) {
		server, err = new(net.ListenConfig).Listen(b.t.Context(), "tcp", address.String())
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = server.Close() })
	go func() {
		for {
			connection, err := server.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(connection, address.String())
			_ = connection.Close()
		}
	}()
	return address.String()
}

// namespace makes one that is gone after the test.
func (b *bench) namespace() string {
	b.t.Helper()
	name := "oetest-" + uuid.NewString()[:8]
	b.ip("netns", "add", name)
	b.t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() })
	b.ip("-n", name, "link", "set", "lo", "up")
	return name
}

func (b *bench) ip(words ...string) { b.t.Helper(); b.run("ip", words...) }

func (b *bench) in(namespace string, words ...string) {
	b.t.Helper()
	b.run("ip", append([]string{"netns", "exec", namespace}, words...)...)
}

func (b *bench) run(name string, words ...string) {
	b.t.Helper()
	if output, err := exec.CommandContext(b.t.Context(), name, words...).CombinedOutput(); err != nil {
		b.t.Fatalf("%s %s: %v: %s", name, strings.Join(words, " "), err, output)
	}
}

// TestNeighboursAreTold: a neighbour that has another MAC for each of the VIPs, that of a load balancer which had them
// before, learns the right one without asking.
func TestNeighboursAreTold(t *testing.T) {
	const stale = "02:00:00:00:00:01"
	b := newTown(t)
	neighbour, a := b.amphora(), b.amphora()
	b.move(neighbour, '8', streets...)
	handle := b.inside(neighbour)
	link, err := handle.LinkByName(insideName)
	if err != nil {
		t.Fatal(err)
	}
	hardware, err := net.ParseMAC(stale)
	if err != nil {
		t.Fatal(err)
	}
	for _, street := range streets {
		entry := &netlink.Neigh{
			LinkIndex: link.Attrs().Index, State: netlink.NUD_STALE, IP: at(street, '7').AsSlice(), HardwareAddr: hardware,
		}
		if err := handle.NeighSet(entry); err != nil {
			t.Fatal(err)
		}
	}
	b.move(a, '7', streets...)
	testkit.Eventually(t, func() error {
		for _, street := range streets {
			vip := at(street, '7')
			known, err := handle.NeighList(link.Attrs().Index, netlink.FAMILY_ALL)
			if err != nil {
				return err
			}
			for _, entry := range known {
				if entry.IP.Equal(vip.AsSlice()) && entry.HardwareAddr.String() == stale {
					return fmt.Errorf("%s is still at %s", vip, stale)
				}
			}
		}
		return nil
	})
}
