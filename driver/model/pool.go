package model

// Pool is a set of members and how traffic is spread over them.
// Source: octavia_lib.api.drivers.data_models.Pool.
type Pool struct {
	ID             string `json:"pool_id"`
	LoadBalancerID string `json:"loadbalancer_id"`
	// ListenerID is set by Octavia for pools that only an L7 policy uses, too: read Listener.DefaultPoolID instead.
	ListenerID         string              `json:"listener_id"`
	Name               string              `json:"name"`
	Description        string              `json:"description"`
	ProjectID          string              `json:"project_id"`
	AdminStateUp       bool                `json:"admin_state_up"`
	Protocol           string              `json:"protocol"`
	LBAlgorithm        string              `json:"lb_algorithm"`
	Members            []Member            `json:"members"`
	HealthMonitor      *HealthMonitor      `json:"healthmonitor"`
	SessionPersistence *SessionPersistence `json:"session_persistence"`

	TLSEnabled        bool          `json:"tls_enabled"`
	TLSContainerRef   string        `json:"tls_container_ref"`
	TLSContainer      *TLSContainer `json:"tls_container_data"`
	CATLSContainerRef string        `json:"ca_tls_container_ref"`
	CATLSContainer    PEM           `json:"ca_tls_container_data"`
	CRLContainerRef   string        `json:"crl_container_ref"`
	CRLContainer      PEM           `json:"crl_container_data"`
	TLSVersions       []string      `json:"tls_versions"`
	TLSCiphers        string        `json:"tls_ciphers"`
	ALPNProtocols     []string      `json:"alpn_protocols"`
}

// SessionPersistence keeps a client on the member that it met first.
type SessionPersistence struct {
	Type       string `json:"type"`
	CookieName string `json:"cookie_name"`
	// PersistenceTimeout is in seconds and for UDP and SCTP only.
	PersistenceTimeout int `json:"persistence_timeout"`
	// PersistenceGranularity is a netmask and for UDP and SCTP only.
	PersistenceGranularity string `json:"persistence_granularity"`
}

// UnmarshalJSON decodes a pool; what is missing or null takes Octavia's default.
func (p *Pool) UnmarshalJSON(data []byte) error {
	return unmarshal(data, p, (*poolText).model)
}

// Member returns the member with that id, or nil.
func (p *Pool) Member(id string) *Member {
	for i := range p.Members {
		if p.Members[i].ID == id {
			return &p.Members[i]
		}
	}
	return nil
}
