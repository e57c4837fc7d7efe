package model

// LoadBalancer is the root of the tree: one VIP and everything that is reached through it.
// Source: octavia_lib.api.drivers.data_models.LoadBalancer.
type LoadBalancer struct {
	ID             string `json:"loadbalancer_id"`
	Name           string `json:"name"`
	Description    string `json:"description"`
	ProjectID      string `json:"project_id"`
	AdminStateUp   bool   `json:"admin_state_up"`
	VIPAddress     string `json:"vip_address"`
	VIPNetworkID   string `json:"vip_network_id"`
	VIPPortID      string `json:"vip_port_id"`
	VIPSubnetID    string `json:"vip_subnet_id"`
	VIPQoSPolicyID string `json:"vip_qos_policy_id"`
	// VIPSGIDs are the Neutron security groups that the user put on the VIP port.
	VIPSGIDs       []string        `json:"vip_sg_ids"`
	AdditionalVIPs []AdditionalVIP `json:"additional_vips"`
	// Flavor is the metadata of the flavor's profile, not its id; nil without a flavor.
	Flavor map[string]any `json:"flavor"`
	// AvailabilityZone is the zone's metadata in a create call and its name in get.sock's answers: Octavia sends both.
	AvailabilityZone any        `json:"availability_zone"`
	Listeners        []Listener `json:"listeners"`
	Pools            []Pool     `json:"pools"`
}

// AdditionalVIP is a further address of a load balancer, at most one a subnet, all on the VIP's network.
type AdditionalVIP struct {
	IPAddress string `json:"ip_address"`
	NetworkID string `json:"network_id"`
	PortID    string `json:"port_id"`
	SubnetID  string `json:"subnet_id"`
}

// UnmarshalJSON decodes a load balancer; what is missing or null takes Octavia's default.
func (lb *LoadBalancer) UnmarshalJSON(data []byte) error {
	return unmarshal(data, lb, (*loadBalancerText).model)
}

// Listener returns the listener with that id, or nil.
func (lb *LoadBalancer) Listener(id string) *Listener {
	for i := range lb.Listeners {
		if lb.Listeners[i].ID == id {
			return &lb.Listeners[i]
		}
	}
	return nil
}

// Pool returns the pool with that id, or nil.
func (lb *LoadBalancer) Pool(id string) *Pool {
	for i := range lb.Pools {
		if lb.Pools[i].ID == id {
			return &lb.Pools[i]
		}
	}
	return nil
}
