package capabilities

import (
	"fmt"
	"net/netip"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

func loadBalancerRefusals() []refusal[model.LoadBalancer] {
	return []refusal[model.LoadBalancer]{
		{
			"vip_qos_policy_id", func(lb *model.LoadBalancer) bool { return lb.VIPQoSPolicyID != "" },
			"QoS policies on the VIP are not supported yet, nothing would apply them; leave the load balancer, and a VIP port of your own, " +
				"without one.",
		},
		{
			"vip_sg_ids", func(lb *model.LoadBalancer) bool { return len(lb.VIPSGIDs) > 0 },
			"Security groups on the VIP are not supported yet, nothing would enforce them; use allowed_cidrs of the listeners instead.",
		},
	}
}

func (c *checker) loadBalancer() {
	lb := c.lb
	o := object{ref: model.Ref{Kind: model.KindLoadBalancer, ID: lb.ID}}
	c.identity(o, "loadbalancer_id", "", "", "")
	refuse(c, o, lb, loadBalancerRefusals())
	if _, ok := parseIP(lb.VIPAddress); !ok {
		c.invalid(o, "vip_address", "vip_address must be an IPv4 or IPv6 address, not %q.", clip(lb.VIPAddress))
	}
	c.additionalVIPs(o)
	c.flavor(o, lb.Flavor)
	switch zone := lb.AvailabilityZone.(type) {
	case nil:
	case map[string]any:
		c.availabilityZone(o, zone)
	case string:
		if zone != "" {
			c.unsupported(o, "availability_zone", availabilityZoneMessage(fmt.Sprintf("%q", clip(zone))))
		}
	default:
		c.unsupported(o, "availability_zone", "availability_zone must be the metadata of a zone or its name.")
	}
}

// additionalVIPs checks the further addresses. Before there is a port, some may be yet to be chosen.
func (c *checker) additionalVIPs(o object) {
	first, _ := parseIP(c.lb.VIPAddress)
	taken := map[netip.Addr]bool{first: true}
	for _, vip := range c.lb.AdditionalVIPs {
		address, ok := parseIP(vip.IPAddress)
		switch {
		case vip.IPAddress == "" && c.partial:
		case !ok:
			c.invalid(o, "additional_vips", "The ip_address of additional_vips must be an IPv4 or IPv6 address, not %q.", clip(vip.IPAddress))
		case taken[address]:
			c.invalid(o, "additional_vips", "The load balancer has the address %s twice.", address)
		}
		taken[address] = true
	}
}
