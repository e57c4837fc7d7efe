package model

// VIPRequest asks for the port of a load balancer's VIP before there is a load balancer.
// Source: octavia_lib.api.drivers.provider_base.ProviderDriver.create_vip_port.
type VIPRequest struct {
	LoadBalancerID string          `json:"loadbalancer_id"`
	ProjectID      string          `json:"project_id"`
	VIP            VIP             `json:"vip"`
	AdditionalVIPs []AdditionalVIP `json:"additional_vips"`
}

// VIPResult answers a VIPRequest.
type VIPResult struct {
	VIP            VIP             `json:"vip"`
	AdditionalVIPs []AdditionalVIP `json:"additional_vips"`
}

// VIP is the address of a load balancer with what it is made of. Source: octavia_lib.api.drivers.data_models.VIP.
type VIP struct {
	Address     string   `json:"vip_address"`
	NetworkID   string   `json:"vip_network_id"`
	PortID      string   `json:"vip_port_id"`
	SubnetID    string   `json:"vip_subnet_id"`
	QoSPolicyID string   `json:"vip_qos_policy_id"`
	SGIDs       []string `json:"vip_sg_ids"`
	// OctaviaOwned has the driver-agent delete the port with the load balancer; false is the user's own port.
	OctaviaOwned bool `json:"octavia_owned"`
}
