package model

// ObjectStatus is one record of a status message; an empty status stays as it is in Octavia.
type ObjectStatus struct {
	ID                 string             `json:"id"`
	ProvisioningStatus ProvisioningStatus `json:"provisioning_status,omitempty"`
	OperatingStatus    OperatingStatus    `json:"operating_status,omitempty"`
}

// StatusUpdate is one message for the driver-agent's status.sock. The agent applies it children first and the load
// balancer last, each record in a transaction of its own, and stops at the first failure.
type StatusUpdate struct {
	LoadBalancers  []ObjectStatus `json:"loadbalancers,omitempty"`
	Listeners      []ObjectStatus `json:"listeners,omitempty"`
	Pools          []ObjectStatus `json:"pools,omitempty"`
	Members        []ObjectStatus `json:"members,omitempty"`
	HealthMonitors []ObjectStatus `json:"healthmonitors,omitempty"`
	L7Policies     []ObjectStatus `json:"l7policies,omitempty"`
	L7Rules        []ObjectStatus `json:"l7rules,omitempty"`
}

// Records returns the list of the update that holds objects of that kind.
func (u *StatusUpdate) Records(kind Kind) *[]ObjectStatus {
	switch kind {
	case KindLoadBalancer:
		return &u.LoadBalancers
	case KindListener:
		return &u.Listeners
	case KindPool:
		return &u.Pools
	case KindMember:
		return &u.Members
	case KindHealthMonitor:
		return &u.HealthMonitors
	case KindL7Policy:
		return &u.L7Policies
	case KindL7Rule:
		return &u.L7Rules
	}
	return new([]ObjectStatus)
}

// Empty reports whether the update says nothing.
func (u *StatusUpdate) Empty() bool {
	return len(u.LoadBalancers)+len(u.Listeners)+len(u.Pools)+len(u.Members)+
		len(u.HealthMonitors)+len(u.L7Policies)+len(u.L7Rules) == 0
}
