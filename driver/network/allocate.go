package network

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
)

// deviceOwner marks ports that Octavia may delete (octavia.common.constants.OCTAVIA_OWNER).
const deviceOwner = "Octavia"

func deviceID(loadBalancerID string) string { return "lb-" + loadBalancerID }

// AllocateVIP gives a load balancer its VIP port: the user's own, checked, or one that is made. It may be repeated: a load
// balancer has one port. Errors are of type *Error.
func (n *Neutron) AllocateVIP(ctx context.Context, request model.VIPRequest) (model.VIPResult, error) {
	if len(request.AdditionalVIPs) > 0 {
		return model.VIPResult{}, &Error{
			Kind: ErrInvalid, Field: "additional_vips", Message: "Additional VIPs are not supported by this provider yet.",
		}
	}
	vip := request.VIP
	vip.OctaviaOwned = false
	if vip.PortID != "" {
		filled, err := n.usersPort(ctx, vip)
		return model.VIPResult{VIP: filled}, err
	}
	if err := n.chooseSubnet(ctx, &vip); err != nil {
		return model.VIPResult{}, err
	}
	port, err := n.ownPort(ctx, request, vip)
	if err != nil {
		return model.VIPResult{}, err
	}
	vip, err = fill(vip, port)
	if err != nil {
		return model.VIPResult{}, err
	}
	vip.OctaviaOwned = true
	return model.VIPResult{VIP: vip}, nil
}

// usersPort checks a port that the user brings. It is never changed or deleted.
func (n *Neutron) usersPort(ctx context.Context, vip model.VIP) (model.VIP, error) {
	client, err := n.client(ctx)
	if err != nil {
		return model.VIP{}, err
	}
	port, err := ports.Get(ctx, client, vip.PortID).Extract()
	if err != nil {
		return model.VIP{}, notFoundOr(err, "vip.vip_port_id", "port", vip.PortID)
	}
	if vip.NetworkID != "" && vip.NetworkID != port.NetworkID {
		return model.VIP{}, &Error{
			Kind: ErrInvalid, Field: "vip.vip_network_id",
			Message: fmt.Sprintf("The port %s is not on network %s.", port.ID, vip.NetworkID),
		}
	}
	return fill(vip, port)
}

// fill completes a VIP from its port, and checks that the two agree.
func fill(vip model.VIP, port *ports.Port) (model.VIP, error) {
	for _, fixed := range port.FixedIPs {
		if vip.SubnetID != "" && vip.SubnetID != fixed.SubnetID {
			continue
		}
		if vip.Address != "" && !sameAddress(vip.Address, fixed.IPAddress) {
			continue
		}
		vip.Address, vip.SubnetID, vip.NetworkID, vip.PortID = fixed.IPAddress, fixed.SubnetID, port.NetworkID, port.ID
		return vip, nil
	}
	return model.VIP{}, &Error{
		Kind: ErrInvalid, Field: "vip.vip_port_id",
		Message: fmt.Sprintf("The port %s has no address that fits vip_subnet_id and vip_address.", port.ID),
	}
}

func sameAddress(a, b string) bool {
	first, errFirst := netip.ParseAddr(a)
	second, errSecond := netip.ParseAddr(b)
	return errFirst == nil && errSecond == nil && first == second
}

// chooseSubnet finds subnet and network of a VIP as octavia-api does (load_balancer.py,
// _validate_network_and_fill_or_validate_subnet): the subnet that holds the address, else the first IPv4 one, else the
// first.
func (n *Neutron) chooseSubnet(ctx context.Context, vip *model.VIP) error {
	client, err := n.client(ctx)
	if err != nil {
		return err
	}
	if vip.SubnetID != "" {
		subnet, err := subnets.Get(ctx, client, vip.SubnetID).Extract()
		if err != nil {
			return notFoundOr(err, "vip.vip_subnet_id", "subnet", vip.SubnetID)
		}
		if vip.NetworkID != "" && vip.NetworkID != subnet.NetworkID {
			return &Error{
				Kind: ErrInvalid, Field: "vip.vip_subnet_id",
				Message: fmt.Sprintf("The subnet %s is not on network %s.", subnet.ID, vip.NetworkID),
			}
		}
		vip.NetworkID = subnet.NetworkID
		return nil
	}
	if vip.NetworkID == "" {
		return &Error{Kind: ErrInvalid, Field: "vip", Message: "A VIP needs a subnet, a network or a port."}
	}
	pages, err := subnets.List(client, subnets.ListOpts{NetworkID: vip.NetworkID, SortKey: "id", SortDir: "asc"}).AllPages(ctx)
	if err != nil {
		return unavailable("list subnets of network "+vip.NetworkID, err)
	}
	candidates, err := subnets.ExtractSubnets(pages)
	if err != nil {
		return unavailable("list subnets of network "+vip.NetworkID, err)
	}
	for _, subnet := range candidates {
		cidr, err := netip.ParsePrefix(subnet.CIDR)
		if err != nil {
			continue
		}
		if vip.Address == "" {
			if vip.SubnetID == "" || cidr.Addr().Is4() {
				vip.SubnetID = subnet.ID
			}
			if cidr.Addr().Is4() {
				return nil
			}
			continue
		}
		if address, err := netip.ParseAddr(vip.Address); err == nil && cidr.Contains(address) {
			vip.SubnetID = subnet.ID
			return nil
		}
	}
	switch {
	case vip.SubnetID != "":
		return nil
	case vip.Address != "":
		return &Error{
			Kind: ErrInvalid, Field: "vip.vip_address",
			Message: fmt.Sprintf("The network %s has no subnet for the address %s.", vip.NetworkID, vip.Address),
		}
	}
	return &Error{
		Kind: ErrInvalid, Field: "vip.vip_network_id",
		Message: fmt.Sprintf("The network %s does not exist or has no subnet.", vip.NetworkID),
	}
}

// ownPort returns the load balancer's port, made if it has none. The row is written first: a port can be found by its
// device_id, so that a crash between the two leaks nothing.
func (n *Neutron) ownPort(ctx context.Context, request model.VIPRequest, vip model.VIP) (*ports.Port, error) {
	row := store.VIPPort{LoadBalancerID: request.LoadBalancerID, ProjectID: request.ProjectID, CreatedAt: n.now()}
	if err := n.store.PutVIPPort(ctx, row); err != nil {
		return nil, unavailable("record the VIP port", err)
	}
	port, err := n.findPort(ctx, request.LoadBalancerID)
	if err != nil {
		return nil, err
	}
	if port != nil {
		if _, err := fill(vip, port); err != nil { // another address was asked for the last time: no use to anybody
			if err := n.deletePort(ctx, port.ID); err != nil {
				return nil, err
			}
			port = nil
		}
	}
	if port == nil {
		if port, err = n.createPort(ctx, request, vip); err != nil {
			if !errors.Is(err, ErrUnavailable) { // Neutron said no: there is no port
				err = errors.Join(err, n.store.DeleteVIPPort(ctx, request.LoadBalancerID))
			}
			return nil, err
		}
	}
	row.PortID = port.ID
	if err := n.store.PutVIPPort(ctx, row); err != nil {
		// The row without a port stands; GC finds the port by its device_id.
		return nil, unavailable("record the VIP port", err)
	}
	n.logger.Info("VIP port is ready", "lb", request.LoadBalancerID, "port", port.ID)
	return port, nil
}

func (n *Neutron) createPort(ctx context.Context, request model.VIPRequest, vip model.VIP) (*ports.Port, error) {
	fixed := ports.IP{SubnetID: vip.SubnetID, IPAddress: vip.Address}
	options := ports.CreateOpts{
		Name: "octavia-lb-" + request.LoadBalancerID, NetworkID: vip.NetworkID, AdminStateUp: new(false),
		DeviceID: deviceID(request.LoadBalancerID), DeviceOwner: deviceOwner, ProjectID: request.ProjectID,
		FixedIPs: []ports.IP{fixed},
	}
	if len(vip.SGIDs) > 0 {
		options.SecurityGroups = &vip.SGIDs
	}
	client, err := n.client(ctx)
	if err != nil {
		return nil, err
	}
	port, err := ports.Create(ctx, client, options).Extract()
	if err != nil {
		return nil, createError(err, vip.NetworkID, vip.Address)
	}
	return port, nil
}

// findPort returns the port that was made for a load balancer, nil if there is none.
func (n *Neutron) findPort(ctx context.Context, loadBalancerID string) (*ports.Port, error) {
	client, err := n.client(ctx)
	if err != nil {
		return nil, err
	}
	pages, err := ports.List(client, ports.ListOpts{
		DeviceID: deviceID(loadBalancerID), DeviceOwner: deviceOwner,
	}).AllPages(ctx)
	if err != nil {
		return nil, unavailable("look for the VIP port", err)
	}
	found, err := ports.ExtractPorts(pages)
	if err != nil {
		return nil, unavailable("look for the VIP port", err)
	}
	if len(found) == 0 {
		return nil, nil
	}
	return &found[0], nil
}

func (n *Neutron) deletePort(ctx context.Context, id string) error {
	n.forgetPort(id)
	client, err := n.client(ctx)
	if err != nil {
		return err
	}
	err = ports.Delete(ctx, client, id).ExtractErr()
	if err != nil && !gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
		return unavailable("delete port "+id, err)
	}
	return nil
}
