package local

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/network"
)

const mac = "fa:16:3e:12:34:56"

// neutron knows one dual-stack port.
type neutron struct{ network string }

func (n *neutron) PortInfo(_ context.Context, id string) (network.PortInfo, error) {
	return network.PortInfo{ID: id, NetworkID: n.network, MAC: mac, FixedIPs: []network.FixedIP{
		{SubnetID: "4", Address: netip.MustParseAddr("198.51.100.10")},
		{SubnetID: "6", Address: netip.MustParseAddr("2001:db8::10")},
	}}, nil
}

func (n *neutron) SubnetInfo(_ context.Context, id string) (network.SubnetInfo, error) {
	if id == "6" {
		return network.SubnetInfo{
			CIDR: netip.MustParsePrefix("2001:db8::/64"), Gateway: netip.MustParseAddr("2001:db8::1"), MTU: 1450,
		}, nil
	}
	return network.SubnetInfo{
		CIDR: netip.MustParsePrefix("198.51.100.0/24"), Gateway: netip.MustParseAddr("198.51.100.1"), MTU: 1450,
		HostRoutes: []network.Route{{
			Destination: netip.MustParsePrefix("10.9.0.0/16"), NextHop: netip.MustParseAddr("198.51.100.254"),
		}},
	}, nil
}

type bench struct {
	*Plumber
	t       *testing.T
	network string
	dir     string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("network namespaces need root: run the tests as root")
	}
	b := &bench{t: t, network: uuid.NewString(), dir: filepath.Join(t.TempDir(), "plans")}
	b.Plumber = New(Options{Info: &neutron{b.network}, StateDir: b.dir})
	return b
}

func (b *bench) amphora() model.Amphora {
	a := model.Amphora{ID: uuid.NewString()}
	b.t.Cleanup(func() {
		if err := b.Unplug(context.Background(), a); err != nil {
			b.t.Errorf("clean up: %v", err)
		}
	})
	return a
}

func (b *bench) plug(a model.Amphora) {
	b.t.Helper()
	lb := &model.LoadBalancer{
		VIPPortID: "port", VIPAddress: "198.51.100.10", AdditionalVIPs: []model.AdditionalVIP{{IPAddress: "2001:DB8::0:10"}},
	}
	if err := b.Plug(b.t.Context(), a, lb); err != nil {
		b.t.Fatal(err)
	}
}

// inside returns a handle on the amphora's namespace.
func (b *bench) inside(a model.Amphora) *netlink.Handle {
	b.t.Helper()
	namespace, err := netns.GetFromPath(NamespacePath(a.ID))
	if err != nil {
		b.t.Fatal(err)
	}
	defer namespace.Close()
	handle, err := netlink.NewHandleAt(namespace)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(handle.Close)
	return handle
}

func (b *bench) assertPlugged(a model.Amphora) {
	b.t.Helper()
	handle := b.inside(a)
	link, err := handle.LinkByName("vip0")
	if err != nil {
		b.t.Fatal(err)
	}
	if attrs := link.Attrs(); attrs.HardwareAddr.String() != mac || attrs.MTU != 1450 || attrs.Flags&net.FlagUp == 0 {
		b.t.Errorf("vip0 is %+v", attrs)
	}
	loopback, err := handle.LinkByName("lo")
	if err != nil || loopback.Attrs().Flags&net.FlagUp == 0 {
		b.t.Errorf("lo is down, %v", err)
	}
	addresses, err := handle.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		b.t.Fatal(err)
	}
	var seen []string
	for _, address := range addresses {
		if address.IP.IsLinkLocalUnicast() {
			continue
		}
		seen = append(seen, address.IPNet.String())
		if address.Flags&0x40 != 0 { // IFA_F_TENTATIVE
			b.t.Errorf("%s is tentative: nothing can bind it yet", address.IPNet)
		}
	}
	if got := strings.Join(seen, " "); got != "198.51.100.10/24 2001:db8::10/64" {
		b.t.Errorf("addresses are %s", got)
	}
	routes, err := handle.RouteList(link, netlink.FAMILY_ALL)
	if err != nil {
		b.t.Fatal(err)
	}
	hops := map[string]string{}
	for _, route := range routes {
		if route.Gw != nil {
			hops[route.Dst.String()] = route.Gw.String()
		}
	}
	for destination, hop := range map[string]string{
		"0.0.0.0/0": "198.51.100.1", "::/0": "2001:db8::1", "10.9.0.0/16": "198.51.100.254",
	} {
		if hops[destination] != hop {
			b.t.Errorf("route to %s is by %q, want %s", destination, hops[destination], hop)
		}
	}

	bridge, err := netlink.LinkByName(BridgeName(b.network))
	if err != nil {
		b.t.Fatal(err)
	}
	outer, err := netlink.LinkByName(HostLinkName(a.ID))
	if err != nil {
		b.t.Fatal(err)
	}
	if outer.Attrs().MasterIndex != bridge.Attrs().Index || outer.Attrs().Flags&net.FlagUp == 0 {
		b.t.Errorf("%s is not up on the bridge", HostLinkName(a.ID))
	}
	for _, link := range []netlink.Link{bridge, outer} { // the host is not on the tenant's network
		addresses, err := netlink.AddrList(link, netlink.FAMILY_ALL)
		if err != nil || len(addresses) > 0 {
			b.t.Errorf("%s has addresses %v, %v", link.Attrs().Name, addresses, err)
		}
	}
}

func (b *bench) exists(name string) bool {
	_, err := netlink.LinkByName(name)
	return err == nil
}

func TestNamesFit(t *testing.T) {
	id := "ba18a121-a664-4bca-b072-e4cc29b847b8"
	if got := BridgeName(id); got != "oeba18a121a66" {
		t.Errorf("BridgeName() = %s", got)
	}
	for _, name := range []string{BridgeName(id), HostLinkName(id)} {
		if len(name) > 15 {
			t.Errorf("%s is too long for an interface", name)
		}
	}
}

func TestPlugAndUnplug(t *testing.T) {
	b := newBench(t)
	a := b.amphora()
	for range 2 {
		b.plug(a)
		b.assertPlugged(a)
	}
	index := func() int {
		link, err := b.inside(a).LinkByName("vip0")
		if err != nil {
			t.Fatal(err)
		}
		return link.Attrs().Index
	}
	before := index()
	if err := b.Replug(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if index() != before {
		t.Error("an interface that was whole was made again: its connections are cut")
	}
	for range 2 {
		if err := b.Unplug(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{HostLinkName(a.ID), BridgeName(b.network)} {
			if b.exists(name) {
				t.Errorf("interface left: %s", name)
			}
		}
		for _, path := range []string{NamespacePath(a.ID), b.planPath(a.ID)} {
			if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("file left: %s", path)
			}
		}
	}
	if err := b.Replug(t.Context(), a); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Replug() of what was never plugged = %v", err)
	}
}

func TestReplugNeedsNoNeutron(t *testing.T) {
	b := newBench(t)
	a := b.amphora()
	b.plug(a)
	// A reboot.
	if err := errors.Join(removeLink(HostLinkName(a.ID)), removeNamespace(a.ID), removeLink(BridgeName(b.network))); err != nil {
		t.Fatal(err)
	}
	b.Plumber = New(Options{StateDir: b.dir})
	if err := b.Replug(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	b.assertPlugged(a)
}

func TestForeignBridgeStays(t *testing.T) {
	b := newBench(t)
	name := BridgeName(b.network)
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = removeLink(name) })
	a := b.amphora()
	b.plug(a)
	if err := b.Unplug(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if !b.exists(name) {
		t.Error("a bridge that somebody else made was removed")
	}
}

func TestBridgeStaysForItsPorts(t *testing.T) {
	b := newBench(t)
	a := b.amphora()
	b.plug(a)
	bridge, err := netlink.LinkByName(BridgeName(b.network))
	if err != nil {
		t.Fatal(err)
	}
	member := "oe" + strings.ReplaceAll(uuid.NewString(), "-", "")[:10]
	attrs := netlink.LinkAttrs{Name: member, MasterIndex: bridge.Attrs().Index}
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: member + "p"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(removeLink(member), removeIdleBridge(b.network)) })
	if err := b.Unplug(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if !b.exists(BridgeName(b.network)) {
		t.Fatal("the bridge was taken from under a member")
	}
	// The last to leave takes it along.
	if err := removeLink(member); err != nil {
		t.Fatal(err)
	}
	b.plug(a)
	if err := b.Unplug(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if b.exists(BridgeName(b.network)) {
		t.Error("bridge left")
	}
}

func TestUnplugWithoutState(t *testing.T) {
	b := newBench(t)
	a := b.amphora()
	b.plug(a)
	if err := os.RemoveAll(b.dir); err != nil {
		t.Fatal(err)
	}
	if err := b.Unplug(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if b.exists(HostLinkName(a.ID)) || b.exists(BridgeName(b.network)) {
		t.Error("interfaces left")
	}
}

func TestPlugRefusesAnotherAddress(t *testing.T) {
	b := newBench(t)
	a := b.amphora()
	err := b.Plug(t.Context(), a, &model.LoadBalancer{VIPPortID: "port", VIPAddress: "198.51.100.99"})
	if !errors.Is(err, network.ErrInvalid) {
		t.Errorf("Plug() = %v", err)
	}
	if _, err := os.Lstat(NamespacePath(a.ID)); err == nil {
		t.Error("a namespace was made for nothing")
	}
}

func TestNoThreadStaysInANamespace(t *testing.T) {
	want, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	a := b.amphora()
	b.plug(a)
	for range 50 { // on every thread, the first one included
		if err := InNamespace(NamespacePath(a.ID), func() error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.Readlink("/proc/self/ns/net"); err != nil || have != want {
		t.Errorf("the process is in %s, %v; want %s", have, err, want)
	}
	boom := errors.New("boom")
	if err := InNamespace(NamespacePath(a.ID), func() error {
		if have, err := os.Readlink("/proc/thread-self/ns/net"); err != nil || have == want {
			t.Errorf("not in the namespace: %s, %v", have, err)
		}
		return boom
	}); !errors.Is(err, boom) {
		t.Errorf("InNamespace() = %v", err)
	}
	for range 100 { // goroutines are spread over the threads that there are
		done := make(chan string)
		go func() {
			have, _ := os.Readlink("/proc/thread-self/ns/net")
			done <- have
		}()
		if have := <-done; have != want {
			t.Fatal("a thread was left in the namespace")
		}
	}
}
