package network

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/mtu"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"
)

// cacheFor is how old what is told of a port or subnet may be.
const cacheFor = time.Minute

type cached[T any] struct {
	value T
	until time.Time
}

// FixedIP is an address of a port.
type FixedIP struct {
	SubnetID string
	Address  netip.Addr
}

// PortInfo is what plugging needs to know of a port.
type PortInfo struct {
	ID        string
	NetworkID string
	MAC       string
	FixedIPs  []FixedIP
}

// Route is a host route of a subnet.
type Route struct {
	Destination netip.Prefix
	NextHop     netip.Addr
}

// SubnetInfo is what plugging needs to know of a subnet.
type SubnetInfo struct {
	ID        string
	NetworkID string
	CIDR      netip.Prefix
	// Gateway is not valid if there is none.
	Gateway    netip.Addr
	HostRoutes []Route
	// MTU is the network's, in bytes; 0 if Neutron does not tell.
	MTU int
}

// PortInfo returns what Neutron knows of a port, at most a minute ago. A port that does not exist is ErrNotFound.
func (n *Neutron) PortInfo(ctx context.Context, id string) (PortInfo, error) {
	if info, ok := lookUp(n, n.ports, id); ok {
		return info, nil
	}
	client, err := n.client(ctx)
	if err != nil {
		return PortInfo{}, err
	}
	port, err := ports.Get(ctx, client, id).Extract()
	if err != nil {
		return PortInfo{}, notFoundOr(err, "vip.vip_port_id", "port", id)
	}
	info := PortInfo{ID: port.ID, NetworkID: port.NetworkID, MAC: port.MACAddress}
	for _, fixed := range port.FixedIPs {
		address, err := netip.ParseAddr(fixed.IPAddress)
		if err != nil {
			return PortInfo{}, fmt.Errorf("port %s: %w", id, err)
		}
		info.FixedIPs = append(info.FixedIPs, FixedIP{SubnetID: fixed.SubnetID, Address: address})
	}
	remember(n, n.ports, id, info)
	return info, nil
}

// SubnetInfo returns what Neutron knows of a subnet, at most a minute ago. One that does not exist is ErrNotFound.
func (n *Neutron) SubnetInfo(ctx context.Context, id string) (SubnetInfo, error) {
	if info, ok := lookUp(n, n.subnets, id); ok {
		return info, nil
	}
	client, err := n.client(ctx)
	if err != nil {
		return SubnetInfo{}, err
	}
	subnet, err := subnets.Get(ctx, client, id).Extract()
	if err != nil {
		return SubnetInfo{}, notFoundOr(err, "vip.vip_subnet_id", "subnet", id)
	}
	info, err := describe(subnet)
	if err != nil {
		return SubnetInfo{}, fmt.Errorf("subnet %s: %w", id, err)
	}
	var extended struct {
		networks.Network
		mtu.NetworkMTUExt
	}
	if err := networks.Get(ctx, client, info.NetworkID).ExtractInto(&extended); err != nil {
		return SubnetInfo{}, notFoundOr(err, "vip.vip_network_id", "network", info.NetworkID)
	}
	info.MTU = extended.MTU
	remember(n, n.subnets, id, info)
	return info, nil
}

func describe(subnet *subnets.Subnet) (SubnetInfo, error) {
	info := SubnetInfo{ID: subnet.ID, NetworkID: subnet.NetworkID}
	var err error
	if info.CIDR, err = netip.ParsePrefix(subnet.CIDR); err != nil {
		return info, err
	}
	if subnet.GatewayIP != "" {
		if info.Gateway, err = netip.ParseAddr(subnet.GatewayIP); err != nil {
			return info, err
		}
	}
	for _, route := range subnet.HostRoutes {
		destination, err := netip.ParsePrefix(route.DestinationCIDR)
		if err != nil {
			return info, err
		}
		hop, err := netip.ParseAddr(route.NextHop)
		if err != nil {
			return info, err
		}
		info.HostRoutes = append(info.HostRoutes, Route{Destination: destination, NextHop: hop})
	}
	return info, nil
}

func lookUp[T any](n *Neutron, from map[string]cached[T], id string) (T, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	entry, ok := from[id]
	return entry.value, ok && n.now().Before(entry.until)
}

func remember[T any](n *Neutron, in map[string]cached[T], id string, value T) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	for other, entry := range in { // so that it does not grow for ever
		if now.After(entry.until) {
			delete(in, other)
		}
	}
	in[id] = cached[T]{value: value, until: now.Add(cacheFor)}
}

func (n *Neutron) forgetPort(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.ports, id)
}
