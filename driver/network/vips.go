package network

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

func additionalField(i int, name string) string {
	return fmt.Sprintf("additional_vips[%d].%s", i, name)
}

// checkAdditional checks what octavia-api has checked, too (load_balancer.py,
// _validate_subnets_share_network_but_no_duplicates), and that no additional VIP asks for a port of its own; octavia-api
// itself writes the VIP's port over that which a user may have given (repositories.py, create_load_balancer_and_vip).
func checkAdditional(request model.VIPRequest) error {
	used := map[string]bool{request.VIP.SubnetID: true} // that of a user's port may not be known yet
	for i, vip := range request.AdditionalVIPs {
		refuse := func(name, format string, args ...any) error {
			return &Error{Kind: ErrInvalid, Field: additionalField(i, name), Message: fmt.Sprintf(format, args...)}
		}
		switch {
		case vip.SubnetID == "":
			return refuse("subnet_id", "An additional VIP needs a subnet.")
		case used[vip.SubnetID]:
			return refuse("subnet_id", "The subnet %s has a VIP already; a subnet can have one.", vip.SubnetID)
		case vip.PortID != "" && vip.PortID != request.VIP.PortID:
			return refuse("port_id", "An additional VIP is one more address of the VIP's port; leave its port_id out.")
		case vip.NetworkID != "" && request.VIP.NetworkID != "" && vip.NetworkID != request.VIP.NetworkID:
			return refuse("network_id", "All VIPs must be on one network, %s.", request.VIP.NetworkID)
		}
		used[vip.SubnetID] = true
	}
	return nil
}

// fill completes the VIPs of a request from their port, and checks that the two agree. What else the port has, as an
// address that Neutron gave it by itself on a SLAAC subnet, is no VIP.
func fill(request model.VIPRequest, port *ports.Port) (model.VIPResult, error) {
	result := model.VIPResult{VIP: request.VIP, AdditionalVIPs: make([]model.AdditionalVIP, 0, len(request.AdditionalVIPs))}
	fixed := addressOn(port, request.VIP.SubnetID, request.VIP.Address)
	if fixed == nil {
		return model.VIPResult{}, &Error{
			Kind: ErrInvalid, Field: "vip.vip_port_id",
			Message: fmt.Sprintf("The port %s has no address that fits vip_subnet_id and vip_address.", port.ID),
		}
	}
	vip := &result.VIP
	vip.Address, vip.SubnetID, vip.NetworkID, vip.PortID = fixed.IPAddress, fixed.SubnetID, port.NetworkID, port.ID
	for i, asked := range request.AdditionalVIPs {
		fixed := addressOn(port, asked.SubnetID, asked.IPAddress)
		if fixed == nil || fixed.SubnetID == vip.SubnetID {
			return model.VIPResult{}, &Error{
				Kind: ErrInvalid, Field: additionalField(i, "subnet_id"),
				Message: fmt.Sprintf("The port %s has no address for the additional VIP%s on subnet %s.", port.ID,
					strings.TrimRight(" "+asked.IPAddress, " "), asked.SubnetID),
			}
		}
		result.AdditionalVIPs = append(result.AdditionalVIPs, model.AdditionalVIP{
			IPAddress: fixed.IPAddress, SubnetID: fixed.SubnetID, NetworkID: port.NetworkID, PortID: port.ID,
		})
	}
	return result, nil
}

// addressOn returns the first address of a port that is on that subnet and is that address, of which either may be "".
func addressOn(port *ports.Port, subnetID, address string) *ports.IP {
	for i := range port.FixedIPs {
		fixed := &port.FixedIPs[i]
		if subnetID != "" && subnetID != fixed.SubnetID {
			continue
		}
		if address == "" || sameAddress(address, fixed.IPAddress) {
			return fixed
		}
	}
	return nil
}

func sameAddress(a, b string) bool {
	first, errFirst := netip.ParseAddr(a)
	second, errSecond := netip.ParseAddr(b)
	return errFirst == nil && errSecond == nil && first == second
}

// accused returns the field and the address of the VIP that an error of Neutron's is about: the one that its text names,
// or the only one that was asked for. Both are "" if it cannot be told.
func accused(request model.VIPRequest, text string) (field, address string) {
	type asked struct{ field, address string }
	var all []asked
	if request.VIP.Address != "" {
		all = append(all, asked{"vip.vip_address", request.VIP.Address})
	}
	for i, vip := range request.AdditionalVIPs {
		if vip.IPAddress != "" {
			all = append(all, asked{additionalField(i, "ip_address"), vip.IPAddress})
		}
	}
	words := strings.FieldsFunc(text, func(r rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF:.", r) })
	for _, one := range all {
		for _, word := range words {
			if sameAddress(one.address, strings.Trim(word, ".")) {
				return one.field, one.address
			}
		}
	}
	if len(all) == 1 {
		return all[0].field, all[0].address
	}
	return "", ""
}
