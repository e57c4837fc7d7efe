package translate

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	udpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/udp/udp_proxy/v3"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// udpFilter is the listener filter of a UDP listener; filter chains are not for UDP. A session, which is a client's
// address and port, stays on its member until it was silent for the listener's timeout: the longer one of client and
// member, as for TCP.
//
// The hash is there whatever the algorithm: only Maglev heeds it, and so the pool's algorithm is no part of the listener.
// What changes here, such as the CIDRs, ends the sessions: Envoy updates no UDP listener in place.
func (t *translation) udpFilter(listener *model.Listener, cluster string) (*listenerv3.ListenerFilter, error) {
	route, err := pack(&udpproxyv3.Route{Cluster: cluster})
	if err != nil {
		return nil, err
	}
	matcher, err := sourceMatcher(listener, action(route))
	if err != nil {
		return nil, err
	}
	log, err := t.accessLog(listener)
	if err != nil {
		return nil, err
	}
	proxy, err := pack(&udpproxyv3.UdpProxyConfig{
		StatPrefix:     listener.ID,
		RouteSpecifier: &udpproxyv3.UdpProxyConfig_Matcher{Matcher: matcher},
		IdleTimeout:    milliseconds(silence(listener)),
		HashPolicies: []*udpproxyv3.UdpProxyConfig_HashPolicy{{
			PolicySpecifier: &udpproxyv3.UdpProxyConfig_HashPolicy_SourceIp{SourceIp: true},
		}},
		AccessLog: log,
	})
	if err != nil {
		return nil, err
	}
	return &listenerv3.ListenerFilter{
		Name:       "envoy.filters.udp_listener.udp_proxy",
		ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: proxy},
	}, nil
}

// listenUDP makes a listener one of UDP, at all its addresses.
func listenUDP(message *listenerv3.Listener, filter *listenerv3.ListenerFilter) {
	overUDP(message)
	message.UdpListenerConfig = &listenerv3.UdpListenerConfig{}
	message.ListenerFilters = []*listenerv3.ListenerFilter{filter}
}

// overUDP makes all addresses of a listener ones of UDP.
func overUDP(message *listenerv3.Listener) {
	message.GetAddress().GetSocketAddress().Protocol = corev3.SocketAddress_UDP
	for _, additional := range message.GetAdditionalAddresses() {
		additional.GetAddress().GetSocketAddress().Protocol = corev3.SocketAddress_UDP
	}
}
