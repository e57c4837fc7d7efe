package model

// DefaultMemberWeight is the weight that Octavia gives a member without one.
const DefaultMemberWeight = 1

// Member is one server behind a pool. Address and port are unique in a pool and never change.
// Source: octavia_lib.api.drivers.data_models.Member.
type Member struct {
	ID           string `json:"member_id"`
	PoolID       string `json:"pool_id"`
	Name         string `json:"name"`
	ProjectID    string `json:"project_id"`
	AdminStateUp bool   `json:"admin_state_up"`
	Address      string `json:"address"`
	ProtocolPort int    `json:"protocol_port"`
	// Weight is 0 to 256; 0 takes no new connection.
	Weight   int    `json:"weight"`
	Backup   bool   `json:"backup"`
	SubnetID string `json:"subnet_id"`
	// MonitorAddress and MonitorPort replace the member's own in health checks; "" and 0 do not.
	MonitorAddress string `json:"monitor_address"`
	MonitorPort    int    `json:"monitor_port"`
	VNICType       string `json:"vnic_type"`
}

// UnmarshalJSON decodes a member; what is missing or null takes Octavia's default.
func (m *Member) UnmarshalJSON(data []byte) error {
	return unmarshal(data, m, (*memberText).model)
}
