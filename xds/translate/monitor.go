package translate

import (
	"net"
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

const (
	// ProbeSocket is the unix socket where the agent answers what Envoy cannot check itself, relative to Envoy's working
	// directory, as AccessLogFile.
	ProbeSocket = "probe.sock"
	// HealthLog is the file to which Envoy writes what its health checks changed, as lines of JSON
	// (envoy.data.core.v3.HealthCheckEvent), relative to Envoy's working directory, too. The agent reads it and keeps it small.
	HealthLog = "health.log"
)

// monitor is the health monitor of a pool whose members are checked, and the pool.
type monitor struct {
	*model.HealthMonitor
	pool *model.Pool
}

// takeMonitor checks the health monitor of a pool and returns it; nil when its members are not checked, because there is none, or it is
// down, or it is bad: then the pool serves all of them.
func (t *translation) takeMonitor(pool *model.Pool) *monitor {
	if pool.HealthMonitor == nil {
		return nil
	}
	m := &monitor{HealthMonitor: pool.HealthMonitor, pool: pool}
	before := len(t.problems)
	m.check(func(field, reason string) {
		t.problem(&ValidationError{Owner: model.Ref{Kind: model.KindHealthMonitor, ID: m.ID}, Field: field, Reason: reason})
	})
	if len(t.problems) > before || !m.AdminStateUp {
		return nil
	}
	return m
}

// asks reports whether the monitor's checks are requests of HTTP.
func (m *monitor) asks() bool {
	return m.Type == model.HealthMonitorHTTP || m.Type == model.HealthMonitorHTTPS
}

// encrypts reports whether the monitor itself wants TLS, whatever the pool speaks.
func (m *monitor) encrypts() bool {
	return m.Type == model.HealthMonitorHTTPS || m.Type == model.HealthMonitorTLSHello
}

// bridged reports whether Envoy cannot do the check itself, and asks the agent for each: it knows neither ICMP nor a UDP that
// only a rejection fails, and as a client of HTTP no HTTP/1.0 and no CONNECT with a path.
func (m *monitor) bridged() bool {
	switch m.Type {
	case model.HealthMonitorPing, model.HealthMonitorUDPConnect:
		return true
	}
	return m.asks() && (m.HTTPVersion == 1.0 || m.HTTPMethod == methodConnect)
}

// monitorPlace returns where the health checks of a member go and what they call it; elsewhere says that this is not the address and
// port of the member itself. Without a monitor a place is there all the same, and says nothing. With an error comes the field
// that it is about.
func monitorPlace(m *monitor, member *model.Member, address string) (
	config *endpointv3.Endpoint_HealthCheckConfig, elsewhere bool, field string, err error,
) {
	port := member.ProtocolPort
	if member.MonitorPort != 0 {
		if err := checkPort(member.MonitorPort); err != nil {
			return nil, false, "monitor_port", err
		}
		port = member.MonitorPort
	}
	host := address
	if member.MonitorAddress != "" {
		if host, err = canonicalAddress(member.MonitorAddress); err != nil {
			return nil, false, "monitor_address", err
		}
	}
	elsewhere = host != address || port != member.ProtocolPort
	config = &endpointv3.Endpoint_HealthCheckConfig{}
	switch {
	case m != nil && m.bridged():
		config.Address = &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: ProbeSocket}}}
		config.Hostname = net.JoinHostPort(host, strconv.Itoa(port))
		return config, elsewhere, "", nil
	case m != nil && m.asks() && m.DomainName == "":
		config.Hostname = m.host(host, port)
	case !elsewhere:
		return nil, false, "", nil
	}
	if member.MonitorPort != 0 && elsewhere {
		config.PortValue = uint32(port) //nolint:gosec // checkPort
	}
	if host != address {
		// Envoy takes the port from here, too.
		config.Address = socketAddress(host, port)
	}
	return config, elsewhere, "", nil
}

// host is the Host header of a request without a domain_name: RFC 9110 (7.2) wants one, and of HTTP/1.1 HAProxy sends none.
func (m *monitor) host(address string, port int) string {
	usual := 80
	if m.encrypts() || m.pool.TLSEnabled {
		usual = 443
	}
	if port == usual {
		return hostOf(address)
	}
	return net.JoinHostPort(address, strconv.Itoa(port))
}
