package capabilities

import (
	"fmt"
	"math"
	"slices"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// Ranges of octavia/common/constants.py.
const (
	minPort = 1
	maxPort = 65535
	// maxTimeout is in milliseconds: 24 days.
	maxTimeout = 24 * 24 * 60 * 60 * 1000
)

func listenerProtocols() (supported []string, refused map[string]string) {
	supported = []string{
		model.ProtocolHTTP, model.ProtocolTCP, model.ProtocolHTTPS, model.ProtocolTerminatedHTTPS, model.ProtocolUDP, model.ProtocolPrometheus,
	}
	return supported, map[string]string{
		model.ProtocolSCTP: "Envoy has no SCTP; use a TCP listener, or the provider amphora for SCTP.",
	}
}

func listenerRefusals() []refusal[model.Listener] {
	return []refusal[model.Listener]{
		{
			"connection_limit",
			func(l *model.Listener) bool { return l.Protocol == model.ProtocolUDP && l.ConnectionLimit > 0 },
			"A connection limit is not supported for UDP; leave connection_limit at -1, which is no limit.",
		},
	}
}

func (c *checker) listener(i int, l *model.Listener) {
	o := object{}.child(model.KindListener, l.ID, fmt.Sprintf("listeners[%d]", i))
	c.identity(o, "listener_id", "loadbalancer_id", l.LoadBalancerID, c.lb.ID)
	supported, refused := listenerProtocols()
	c.choice(o, "protocol", l.Protocol, supported, refused)
	c.between(o, "protocol_port", l.ProtocolPort, minPort, maxPort, "")
	at := port{transport(l.Protocol), l.ProtocolPort}
	if other := c.ports[at]; other != nil {
		c.invalid(o, "protocol_port", "Port %d is taken by the listener %s, which is %s over the same transport.",
			l.ProtocolPort, plain(other.ID), plain(other.Protocol))
	} else {
		c.ports[at] = l
	}
	c.between(o, "connection_limit", l.ConnectionLimit, model.UnlimitedConnections, math.MaxInt32, ", where -1 is no limit")
	c.between(o, "timeout_client_data", l.TimeoutClientData, 0, maxTimeout, " ms")
	c.between(o, "timeout_member_connect", l.TimeoutMemberConnect, 0, maxTimeout, " ms")
	c.between(o, "timeout_member_data", l.TimeoutMemberData, 0, maxTimeout, " ms")
	c.between(o, "timeout_tcp_inspect", l.TimeoutTCPInspect, 0, maxTimeout, " ms")
	c.insertHeaders(o, l)
	c.allowedCIDRs(o, l)
	refuse(c, o, l, listenerRefusals())
	c.listenerTLS(o, l)
	if l.DefaultPoolID != "" {
		c.usesPool(o, "default_pool_id", l, l.DefaultPoolID)
	}
	for j := range l.L7Policies {
		c.l7Policy(o, j, l, &l.L7Policies[j])
	}
}

// usesPool checks the pool that a listener, or a policy of it, uses.
func (c *checker) usesPool(o object, field string, l *model.Listener, id string) {
	if !ValidID(id) {
		c.invalid(o, field, "%s must be a UUID, not %q.", field, clip(id))
		return
	}
	pool := c.pools[id]
	switch {
	case pool == nil && !c.partial:
		c.invalid(o, field, "The load balancer has no pool %s.", id)
	case l.Protocol == model.ProtocolPrometheus:
		c.invalid(o, field, "A PROMETHEUS listener serves the load balancer's own metrics and has no pool; leave %s empty.", field)
	case pool != nil && !CanServe(l.Protocol, pool.Protocol):
		served, _ := poolProtocols()
		usable := slices.DeleteFunc(served, func(protocol string) bool { return !CanServe(l.Protocol, protocol) })
		c.invalid(o, field, "A listener of protocol %s cannot have a pool of protocol %s; it can have %s.",
			plain(l.Protocol), plain(pool.Protocol), enumerate(usable))
	case pool != nil && byCookie(pool) && l.Protocol != "" && !readsRequests(l.Protocol):
		c.unsupported(o, field, fmt.Sprintf("A listener of protocol %s sees no cookies; use an HTTP listener, or a pool with session "+
			"persistence SOURCE_IP.", plain(l.Protocol)))
	}
}

// CanServe reports whether a listener of that protocol may have a pool of that protocol, by Octavia's
// VALID_LISTENER_POOL_PROTOCOL_MAP. A listener protocol that Octavia does not have is reported elsewhere, and true here.
func CanServe(listener, pool string) bool {
	protocols := poolProtocolsOf(listener)
	return protocols == nil || slices.Contains(protocols, pool)
}

func poolProtocolsOf(listener string) []string {
	const proxy, proxyV2 = model.ProtocolProxy, model.ProtocolProxyV2
	switch listener {
	case model.ProtocolTCP:
		return []string{model.ProtocolHTTP, model.ProtocolHTTPS, proxy, proxyV2, model.ProtocolTCP}
	case model.ProtocolHTTP, model.ProtocolTerminatedHTTPS:
		return []string{model.ProtocolHTTP, proxy, proxyV2}
	case model.ProtocolHTTPS:
		return []string{model.ProtocolHTTPS, proxy, proxyV2, model.ProtocolTCP}
	case model.ProtocolUDP:
		return []string{model.ProtocolUDP}
	case model.ProtocolSCTP:
		return []string{model.ProtocolSCTP}
	case model.ProtocolPrometheus:
		return []string{}
	}
	return nil
}

// transport returns the layer 4 protocol of a listener: L4_PROTOCOL_MAP.
func transport(protocol string) string {
	if protocol == model.ProtocolUDP || protocol == model.ProtocolSCTP {
		return protocol
	}
	return model.ProtocolTCP
}
