package translate

import (
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

// monitorPlace returns where the health checks of a member go, if not to the address and port of the member itself. They
// say nothing without a health monitor, and are there all the same: one that comes later then changes the cluster alone.
// With an error comes the field that it is about.
func monitorPlace(member *model.Member, address string) (place *endpointv3.Endpoint_HealthCheckConfig, field string, err error) {
	if member.MonitorAddress == "" && member.MonitorPort == 0 {
		return nil, "", nil
	}
	place, port := &endpointv3.Endpoint_HealthCheckConfig{}, member.ProtocolPort
	if member.MonitorPort != 0 {
		if err := checkPort(member.MonitorPort); err != nil {
			return nil, "monitor_port", err
		}
		port = member.MonitorPort
		place.PortValue = uint32(port) //nolint:gosec // checkPort
	}
	if member.MonitorAddress != "" {
		monitor, err := canonicalAddress(member.MonitorAddress)
		if err != nil {
			return nil, "monitor_address", err
		}
		if monitor != address {
			// Envoy takes the port from here, too.
			place.Address = socketAddress(monitor, port)
		}
	}
	if place.GetAddress() == nil && port == member.ProtocolPort {
		return nil, "", nil // the member itself, in other words
	}
	return place, "", nil
}
