package translate

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// portOf is a port of one of the two transports: TCP and UDP may have the same.
type portOf struct {
	number int
	udp    bool
}

// taken says what of a listener one before it has: its id, its port.
type taken struct{ id, port bool }

// claims notes the ids and ports of the listeners so far.
type claims struct {
	ids   map[string]bool
	ports map[portOf]bool
}

// claim takes the id of a listener, and its port unless it can have none.
func (c claims) claim(listener *model.Listener) taken {
	port := portOf{listener.ProtocolPort, listener.Protocol == model.ProtocolUDP}
	already := taken{id: c.ids[listener.ID]}
	c.ids[listener.ID] = true
	if speaks(listener.Protocol) && checkPort(listener.ProtocolPort) == nil {
		already.port = c.ports[port]
		c.ports[port] = true
	}
	return already
}

// speaks reports whether a listener can have that protocol.
func speaks(protocol string) bool {
	switch protocol {
	case model.ProtocolHTTP, model.ProtocolTerminatedHTTPS, model.ProtocolHTTPS, model.ProtocolTCP, model.ProtocolUDP,
		model.ProtocolPrometheus:
		return true
	}
	return false
}

// checkListener reports everything about a listener that cannot be served.
func (t *translation) checkListener(listener *model.Listener, taken taken) {
	refuse := func(field, reason string) {
		owner := model.Ref{Kind: model.KindListener, ID: listener.ID}
		t.problem(&ValidationError{Owner: owner, Field: field, Reason: reason})
	}
	if err := checkID(listener.ID); err != nil {
		refuse("listener_id", err.Error())
	} else if taken.id {
		refuse("listener_id", "the load balancer has another listener with this id")
	}
	switch {
	case speaks(listener.Protocol):
	case listener.Protocol == model.ProtocolSCTP:
		refuse("protocol", "SCTP is not supported, because Envoy does not speak it: use TCP, or the amphora provider")
	default:
		refuse("protocol", unsupported("the protocol", listener.Protocol)+": use HTTP, TERMINATED_HTTPS, HTTPS, TCP or UDP")
	}
	if err := checkPort(listener.ProtocolPort); err != nil {
		refuse("protocol_port", err.Error())
	} else if taken.port {
		refuse("protocol_port", "the load balancer has another listener on this port")
	}
	if listener.Protocol == model.ProtocolUDP && listener.ConnectionLimit > 0 {
		refuse("connection_limit", "a limit of connections is not supported for UDP")
	}
	if listener.ConnectionLimit < model.UnlimitedConnections || listener.ConnectionLimit > math.MaxInt32 {
		refuse("connection_limit", fmt.Sprintf("%d is not a number of connections", listener.ConnectionLimit))
	}
	for _, timeout := range []struct {
		field string
		value int
	}{
		{"timeout_client_data", listener.TimeoutClientData},
		{"timeout_member_connect", listener.TimeoutMemberConnect},
		{"timeout_member_data", listener.TimeoutMemberData},
		{"timeout_tcp_inspect", listener.TimeoutTCPInspect},
	} {
		if err := checkTimeout(timeout.value); err != nil {
			refuse(timeout.field, err.Error())
		}
	}
	if t.vips == nil {
		refuse("loadbalancer_id", "the load balancer has no address to listen on, see its own error")
	}
	if listener.DefaultPoolID != "" {
		t.checkPool(listener, "default_pool_id", listener.DefaultPoolID, refuse)
	}
	checkInsertHeaders(listener, refuse)
	if _, err := allowedCIDRs(listener); err != nil {
		refuse("allowed_cidrs", err.Error())
	}
	if terminates(listener) {
		t.checkTLS(listener, refuse)
	} else {
		checkNoTLS(listener, refuse)
	}
	t.checkL7Policies(listener)
}

// checkPool holds a listener and a pool that it or a policy of it uses against Octavia's VALID_LISTENER_POOL_PROTOCOL_MAP.
func (t *translation) checkPool(listener *model.Listener, field, id string, refuse func(field, reason string)) {
	pool := t.known[id]
	if pool == nil {
		refuse(field, fmt.Sprintf("the load balancer has no pool %.64q", id))
		return
	}
	takes := map[string][]string{
		model.ProtocolHTTP:            {model.ProtocolHTTP, model.ProtocolProxy, model.ProtocolProxyV2},
		model.ProtocolTerminatedHTTPS: {model.ProtocolHTTP, model.ProtocolProxy, model.ProtocolProxyV2},
		model.ProtocolHTTPS:           {model.ProtocolHTTPS, model.ProtocolProxy, model.ProtocolProxyV2, model.ProtocolTCP},
		model.ProtocolTCP: {
			model.ProtocolHTTP, model.ProtocolHTTPS, model.ProtocolProxy, model.ProtocolProxyV2, model.ProtocolTCP,
		},
		model.ProtocolUDP: {model.ProtocolUDP},
		// Octavia's ListenerNoChildren.
		model.ProtocolPrometheus: {},
	}[listener.Protocol]
	// A listener or pool of a protocol that is not supported has its own error already.
	if t.pools[pool.ID] != nil && takes != nil && !slices.Contains(takes, pool.Protocol) {
		refuse(field, fmt.Sprintf("a listener of protocol %s cannot use a pool of protocol %s",
			listener.Protocol, pool.Protocol))
	}
	if !readsRequests(listener) && byCookie(pool) {
		refuse("default_pool_id", fmt.Sprintf("a listener of protocol %.32s cannot use a pool that keeps clients by a cookie",
			listener.Protocol))
	}
}

// checkInsertHeaders refuses headers that would not be inserted.
func checkInsertHeaders(listener *model.Listener, refuse func(field, reason string)) {
	for _, name := range slices.Sorted(maps.Keys(listener.InsertHeaders)) {
		switch value := listener.InsertHeaders[name]; {
		case strings.EqualFold(value, "false"):
		case !strings.EqualFold(value, "true"):
			refuse("insert_headers", fmt.Sprintf("%.64q is %.32q: use true or false", name, value))
		case !readsRequests(listener):
			refuse("insert_headers", fmt.Sprintf("a listener of protocol %.32s has no headers to insert", listener.Protocol))
		case isClientHeader(name) && !terminates(listener):
			refuse("insert_headers", fmt.Sprintf("a listener of protocol %.32s sees no certificates of clients, which %s is about: "+
				"use TERMINATED_HTTPS", listener.Protocol, name))
		case name != headerForwardedFor && name != headerForwardedPort && name != headerForwardedProto && !isClientHeader(name):
			refuse("insert_headers", unsupported("the header", name))
		}
	}
}
