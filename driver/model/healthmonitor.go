package model

// Types of health monitors (octavia_lib/common/constants.py).
const (
	HealthMonitorHTTP       = "HTTP"
	HealthMonitorHTTPS      = "HTTPS"
	HealthMonitorTCP        = "TCP"
	HealthMonitorTLSHello   = "TLS-HELLO"
	HealthMonitorPing       = "PING"
	HealthMonitorUDPConnect = "UDP-CONNECT"
	HealthMonitorSCTP       = "SCTP"
)

// HealthMonitor says how the members of a pool are checked; a pool has at most one.
// Source: octavia_lib.api.drivers.data_models.HealthMonitor.
type HealthMonitor struct {
	ID           string `json:"healthmonitor_id"`
	PoolID       string `json:"pool_id"`
	Name         string `json:"name"`
	ProjectID    string `json:"project_id"`
	AdminStateUp bool   `json:"admin_state_up"`
	Type         string `json:"type"`
	// Delay is the time between two checks, in seconds.
	Delay int `json:"delay"`
	// Timeout is the longest wait for an answer, in seconds.
	Timeout int `json:"timeout"`
	// MaxRetries is the number of good checks that bring a member up.
	MaxRetries int `json:"max_retries"`
	// MaxRetriesDown is the number of bad checks that take it down.
	MaxRetriesDown int    `json:"max_retries_down"`
	HTTPMethod     string `json:"http_method"`
	URLPath        string `json:"url_path"`
	// ExpectedCodes is "200", "200,202" or "200-204".
	ExpectedCodes string `json:"expected_codes"`
	// HTTPVersion is 1.0 or 1.1; 0 is unset.
	HTTPVersion float64 `json:"http_version"`
	DomainName  string  `json:"domain_name"`
}

// UnmarshalJSON decodes a health monitor; what is missing or null takes Octavia's default.
func (h *HealthMonitor) UnmarshalJSON(data []byte) error {
	return unmarshal(data, h, (*healthMonitorText).model)
}
