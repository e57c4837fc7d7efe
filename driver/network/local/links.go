package local

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// addrGenModeNone keeps the kernel from giving a link an IPv6 address (IN6_ADDR_GEN_MODE_NONE).
const addrGenModeNone = 1

func findLink(handle interface {
	LinkByName(name string) (netlink.Link, error)
}, name string,
) (netlink.Link, error) {
	link, err := handle.LinkByName(name)
	if _, notFound := errors.AsType[netlink.LinkNotFoundError](err); notFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", name, err)
	}
	return link, nil
}

// ensureBridge makes the bridge of a network, if there is none. One that somebody else made is used as it is.
func ensureBridge(networkID string) (netlink.Link, error) {
	name := BridgeName(networkID)
	root, err := netlink.NewHandle()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	bridge, err := findLink(root, name)
	if err != nil {
		return nil, err
	}
	if bridge == nil {
		err := root.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}})
		made := err == nil
		if err != nil && !errors.Is(err, unix.EEXIST) { // another process was faster
			return nil, fmt.Errorf("make bridge %s: %w", name, err)
		}
		if bridge, err = findLink(root, name); err != nil {
			return nil, err
		}
		if bridge == nil {
			return nil, fmt.Errorf("bridge %s is gone again", name)
		}
		if made {
			if err := root.LinkSetAlias(bridge, bridgeAlias(networkID)); err != nil {
				return nil, fmt.Errorf("mark bridge %s: %w", name, err)
			}
			_ = root.LinkSetIP6AddrGenMode(bridge, addrGenModeNone) // fails where IPv6 is off, which is as good
		}
	}
	if bridge.Type() != "bridge" {
		return nil, fmt.Errorf("interface %s is a %s, not a bridge", name, bridge.Type())
	}
	if err := root.LinkSetUp(bridge); err != nil {
		return nil, fmt.Errorf("bring up bridge %s: %w", name, err)
	}
	return bridge, nil
}

// removeIdleBridge removes a network's bridge when it is ours and nothing is on it.
func removeIdleBridge(networkID string) error {
	name := BridgeName(networkID)
	root, err := netlink.NewHandle()
	if err != nil {
		return err
	}
	defer root.Close()
	bridge, err := findLink(root, name)
	if err != nil || bridge == nil || bridge.Attrs().Alias != bridgeAlias(networkID) {
		return err
	}
	links, err := root.LinkList()
	if err != nil {
		return fmt.Errorf("look at the ports of bridge %s: %w", name, err)
	}
	for _, link := range links {
		if link.Attrs().MasterIndex == bridge.Attrs().Index {
			return nil
		}
	}
	return removeLink(name)
}

// networkOf returns the network on whose bridge, made by us, an interface is; empty if it is on none.
func networkOf(name string) (string, error) {
	root, err := netlink.NewHandle()
	if err != nil {
		return "", err
	}
	defer root.Close()
	link, err := findLink(root, name)
	if err != nil || link == nil || link.Attrs().MasterIndex == 0 {
		return "", err
	}
	bridge, err := root.LinkByIndex(link.Attrs().MasterIndex)
	if err != nil {
		return "", fmt.Errorf("bridge of %s: %w", name, err)
	}
	networkID, ours := strings.CutPrefix(bridge.Attrs().Alias, bridgeAlias(""))
	if !ours {
		return "", nil
	}
	return networkID, nil
}

func removeLink(name string) error {
	root, err := netlink.NewHandle()
	if err != nil {
		return err
	}
	defer root.Close()
	link, err := findLink(root, name)
	if err != nil || link == nil {
		return err
	}
	if err := root.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove interface %s: %w", name, err)
	}
	return nil
}

// ensurePair makes the veth pair between bridge and namespace, unless it is whole.
func ensurePair(drawn *plan, bridge netlink.Link, inside *netlink.Handle, namespace netns.NsHandle) error {
	root, err := netlink.NewHandle()
	if err != nil {
		return err
	}
	defer root.Close()
	name := HostLinkName(drawn.AmphoraID)
	hardware, err := net.ParseMAC(drawn.MAC)
	if err != nil {
		return fmt.Errorf("port's MAC: %w", err)
	}
	outer, err := findLink(root, name)
	if err != nil {
		return err
	}
	inner, err := findLink(inside, insideName)
	if err != nil {
		return err
	}
	if outer != nil && (inner == nil || inner.Attrs().HardwareAddr.String() != hardware.String()) {
		if err := removeLink(name); err != nil {
			return err
		}
		outer, inner = nil, nil
	}
	if outer == nil {
		if inner != nil {
			if err := inside.LinkDel(inner); err != nil {
				return fmt.Errorf("remove a stale %s: %w", insideName, err)
			}
		}
		pair := &netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: name, MTU: drawn.MTU},
			PeerName:  insideName, PeerHardwareAddr: hardware, PeerNamespace: netlink.NsFd(namespace),
		}
		if err := root.LinkAdd(pair); err != nil {
			return fmt.Errorf("make veth pair %s: %w", name, err)
		}
		if outer, err = root.LinkByName(name); err != nil {
			return fmt.Errorf("interface %s: %w", name, err)
		}
		_ = root.LinkSetIP6AddrGenMode(outer, addrGenModeNone)
	}
	if outer.Attrs().MasterIndex != bridge.Attrs().Index {
		if err := root.LinkSetMaster(outer, bridge); err != nil {
			return fmt.Errorf("put %s on bridge %s: %w", name, bridge.Attrs().Name, err)
		}
	}
	if err := root.LinkSetUp(outer); err != nil {
		return fmt.Errorf("bring up %s: %w", name, err)
	}
	return nil
}

// configure gives the inside its addresses and routes.
func (p *Plumber) configure(drawn *plan, inside *netlink.Handle) error {
	loopback, err := inside.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("interface lo: %w", err)
	}
	if err := inside.LinkSetUp(loopback); err != nil {
		return fmt.Errorf("bring up lo: %w", err)
	}
	link, err := inside.LinkByName(insideName)
	if err != nil {
		return fmt.Errorf("interface %s: %w", insideName, err)
	}
	if drawn.MTU > 0 && link.Attrs().MTU != drawn.MTU {
		if err := inside.LinkSetMTU(link, drawn.MTU); err != nil {
			return fmt.Errorf("MTU of %s: %w", insideName, err)
		}
	}
	if err := InNamespace(NamespacePath(drawn.AmphoraID), drawn.tune); err != nil {
		p.options.Logger.Warn("the VIP's interface is not set up as it should be", "amphora", drawn.AmphoraID, "error", err)
	}
	for _, address := range drawn.Addresses {
		entry := &netlink.Addr{IPNet: ipNet(address)}
		if address.Addr().Is6() {
			entry.Flags = unix.IFA_F_NODAD // usable at once
		}
		if err := inside.AddrReplace(link, entry); err != nil {
			return fmt.Errorf("address %s: %w", address, err)
		}
	}
	if err := inside.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring up %s: %w", insideName, err)
	}
	return p.route(drawn, inside, link)
}

// tune sets what has no place in netlink. Call it in the namespace.
func (p *plan) tune() error {
	settings := []struct{ name, value string }{
		// The kernel tells the neighbours of addresses that it gets later.
		{"ipv4/conf/" + insideName + "/arp_notify", "1"},
		{"ipv6/conf/" + insideName + "/ndisc_notify", "1"},
		// Addresses and routes are those that Neutron says, whatever a router on the network advertises.
		{"ipv6/conf/" + insideName + "/accept_ra", "0"},
		{"ipv6/conf/" + insideName + "/autoconf", "0"},
	}
	if slices.ContainsFunc(p.Addresses, func(address netip.Prefix) bool { return address.Addr().Is6() }) {
		// Some machines have new interfaces start without.
		settings = append(settings, struct{ name, value string }{"ipv6/conf/" + insideName + "/disable_ipv6", "0"})
	}
	var errs []error
	for _, setting := range settings {
		errs = append(errs, os.WriteFile("/proc/sys/net/"+setting.name, []byte(setting.value), 0))
	}
	return errors.Join(errs...)
}

func ipNet(prefix netip.Prefix) *net.IPNet {
	return &net.IPNet{
		IP:   prefix.Addr().AsSlice(),
		Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen()),
	}
}
