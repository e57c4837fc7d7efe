package capabilities

import (
	"fmt"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

func loadBalancerRefusals() []refusal[model.LoadBalancer] {
	return []refusal[model.LoadBalancer]{
		{
			"additional_vips", func(lb *model.LoadBalancer) bool { return len(lb.AdditionalVIPs) > 0 },
			"Additional VIPs are not supported yet; use one load balancer per VIP subnet.",
		},
		{
			"vip_qos_policy_id", func(lb *model.LoadBalancer) bool { return lb.VIPQoSPolicyID != "" },
			"QoS policies on the VIP are not supported yet, nothing would apply them; create the load balancer without one.",
		},
		{
			"vip_sg_ids", func(lb *model.LoadBalancer) bool { return len(lb.VIPSGIDs) > 0 },
			"Security groups on the VIP are not supported yet, nothing would enforce them; create the load balancer without them.",
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
		c.invalid(o, "availability_zone", "availability_zone must be the metadata of a zone or its name.")
	}
}
