package network

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

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
