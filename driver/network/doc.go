// Package network is the load balancers' side of Neutron: it makes the ports of VIPs and tells what is known of ports and
// subnets.
//
//	api      ─► AllocateVIP ─► row without port ─► Neutron port octavia-lb-<id> ─► row with port
//	reconcile ─► DeallocateVIP (Octavia rolled the load balancer back)
//	timer    ─► GC (no load balancer came: octavia-api refused the request after the port was made, or we died)
//	local    ─► PortInfo, SubnetInfo
//
// A port is made as Octavia's own allowed_address_pairs driver makes it: device_owner Octavia, device_id lb-<id>, so that
// the driver-agent deletes it with the load balancer (vip.octavia_owned).
package network
