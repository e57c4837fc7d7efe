package model

// Octavia's defaults for a listener (octavia/common/constants.py), in milliseconds.
const (
	DefaultTimeoutClientData    = 50000
	DefaultTimeoutMemberConnect = 5000
	DefaultTimeoutMemberData    = 50000
	// UnlimitedConnections is Octavia's value for "no connection limit".
	UnlimitedConnections = -1
)

// Listener is a port of the VIP and what happens to its traffic.
// Source: octavia_lib.api.drivers.data_models.Listener.
type Listener struct {
	ID             string `json:"listener_id"`
	LoadBalancerID string `json:"loadbalancer_id"`
	Name           string `json:"name"`
	Description    string `json:"description"`
	ProjectID      string `json:"project_id"`
	AdminStateUp   bool   `json:"admin_state_up"`
	Protocol       string `json:"protocol"`
	ProtocolPort   int    `json:"protocol_port"`
	// ConnectionLimit is the number of connections served at once; -1 is unlimited.
	ConnectionLimit int `json:"connection_limit"`
	// DefaultPoolID is the pool that serves what no L7 policy takes; "" without one.
	DefaultPoolID string            `json:"default_pool_id"`
	InsertHeaders map[string]string `json:"insert_headers"`
	AllowedCIDRs  []string          `json:"allowed_cidrs"`
	L7Policies    []L7Policy        `json:"l7policies"`

	// TimeoutClientData is the longest silence of a client, in milliseconds.
	TimeoutClientData int `json:"timeout_client_data"`
	// TimeoutMemberConnect is the longest time to connect to a member, in milliseconds.
	TimeoutMemberConnect int `json:"timeout_member_connect"`
	// TimeoutMemberData is the longest silence of a member, in milliseconds.
	TimeoutMemberData int `json:"timeout_member_data"`
	// TimeoutTCPInspect is the time to wait for content to inspect, in milliseconds; 0 is none.
	TimeoutTCPInspect int `json:"timeout_tcp_inspect"`

	DefaultTLSContainerRef  string          `json:"default_tls_container_ref"`
	DefaultTLSContainer     *TLSContainer   `json:"default_tls_container_data"`
	SNIContainerRefs        []string        `json:"sni_container_refs"`
	SNIContainers           []*TLSContainer `json:"sni_container_data"`
	ClientCATLSContainerRef string          `json:"client_ca_tls_container_ref"`
	ClientCATLSContainer    PEM             `json:"client_ca_tls_container_data"`
	ClientCRLContainerRef   string          `json:"client_crl_container_ref"`
	ClientCRLContainer      PEM             `json:"client_crl_container_data"`
	ClientAuthentication    string          `json:"client_authentication"`
	TLSVersions             []string        `json:"tls_versions"`
	TLSCiphers              string          `json:"tls_ciphers"`
	ALPNProtocols           []string        `json:"alpn_protocols"`
	// HSTSMaxAge is in seconds; nil sends no Strict-Transport-Security header.
	HSTSMaxAge            *int `json:"hsts_max_age"`
	HSTSIncludeSubdomains bool `json:"hsts_include_subdomains"`
	HSTSPreload           bool `json:"hsts_preload"`
}

// UnmarshalJSON decodes a listener; what is missing or null takes Octavia's default.
func (l *Listener) UnmarshalJSON(data []byte) error {
	return unmarshal(data, l, (*listenerText).model)
}
