package translate

import (
	"fmt"
	"slices"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	quicv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/quic/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// HTTP/3 (RFC 9114) is a second Envoy listener at the same addresses and port over UDP, made from that over TCP: same
// routes, filters, secrets, allowed CIDRs and names of statistics, which Envoy then adds up. Answers tell clients of it.
//
//	listener <id>      TCP   TLS 1.2, 1.3   h2, http/1.1   alt-svc: h3=":443"; ma=86400   (RDS)
//	listener <id>:h3   UDP   TLS 1.3        h3

// Limits of Envoy's windows of QUIC streams and connections, in bytes.
const (
	maxQUICStreamWindow     = 16 << 20
	maxQUICConnectionWindow = 24 << 20
)

// quicIdleTimeout is Envoy's default for the silence that ends a QUIC connection, in ms.
const quicIdleTimeout = 300_000

// speaksHTTP3 reports whether a listener answers by HTTP/3, too. Beside the flavor that takes
//
//   - TLS 1.3, which QUIC has inside (RFC 9001);
//   - no client_authentication: a request over UDP must not get around it, and Envoy's QUIC does not do all of it;
//   - no certificate that demands a stapled response: Envoy's QUIC staples none;
//   - no UDP listener of the user at the port, be it up or not. Their traffic is what they asked for; this is an offer.
func (t *translation) speaksHTTP3(listener *model.Listener) bool {
	if !t.flavor.HTTP3 || !terminates(listener) || authenticates(listener) {
		return false
	}
	if _, highest, err := tlsRange(listener.TLSVersions); err != nil || highest != tlsv3.TlsParameters_TLSv1_3 {
		return false
	}
	if demandsStaple(listener.DefaultTLSContainer) || slices.ContainsFunc(listener.SNIContainers, demandsStaple) {
		return false
	}
	return !t.udpPorts[listener.ProtocolPort]
}

// udpPorts are those of a load balancer's UDP listeners.
func udpPorts(lb *model.LoadBalancer) map[int]bool {
	ports := map[int]bool{}
	for i := range lb.Listeners {
		if lb.Listeners[i].Protocol == model.ProtocolUDP {
			ports[lb.Listeners[i].ProtocolPort] = true
		}
	}
	return ports
}

// offerHTTP3 tells clients that they may come by HTTP/3 for a day (RFC 7838), in place of what a member says of its own
// ports. It is with the routes, so that it drains nothing.
func (t *translation) offerHTTP3(listener *model.Listener, routes *routev3.RouteConfiguration) {
	if t.speaksHTTP3(listener) {
		value := fmt.Sprintf(`h3=":%d"; ma=86400`, listener.ProtocolPort)
		routes.ResponseHeadersToAdd = append(routes.ResponseHeadersToAdd, overwrite("alt-svc", value))
	}
}

// listenHTTP3 returns the listener over QUIC of one over TCP.
func (t *translation) listenHTTP3(listener *model.Listener, overTCP *listenerv3.Listener) (*listenerv3.Listener, error) {
	message := proto.CloneOf(overTCP)
	message.Name = http3Name(listener)
	overUDP(message)
	message.UdpListenerConfig = &listenerv3.UdpListenerConfig{QuicOptions: &listenerv3.QuicProtocolOptions{}}
	if longest := silence(listener); longest >= quicIdleTimeout {
		// After the timeouts of requests, which have an answer.
		message.UdpListenerConfig.QuicOptions.IdleTimeout = durationpb.New(time.Duration(longest)*time.Millisecond + drainTimeout)
	}
	// These are for what comes over TCP: QUIC tells the name that is asked for by itself.
	message.ListenerFilters, message.ListenerFiltersTimeout, message.TcpKeepalive = nil, nil, nil
	for _, chain := range message.GetFilterChains() {
		if err := quicTLS(chain.GetTransportSocket()); err != nil {
			return nil, err
		}
		for _, filter := range chain.GetFilters() {
			if err := t.managerHTTP3(filter); err != nil {
				return nil, err
			}
		}
	}
	return message, message.ValidateAll()
}

// quicTLS makes a transport socket of TLS one of QUIC.
func quicTLS(socket *corev3.TransportSocket) error {
	context := &tlsv3.DownstreamTlsContext{}
	if err := socket.GetTypedConfig().UnmarshalTo(context); err != nil {
		return err
	}
	context.CommonTlsContext.AlpnProtocols = []string{"h3"}
	context.CommonTlsContext.TlsParams = &tlsv3.TlsParameters{
		TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_3, TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
	}
	config, err := pack(&quicv3.QuicDownstreamTransport{
		DownstreamTlsContext: context,
		// A request in early data can be sent again by anyone who saw it (RFC 8470), and members do not know of it.
		EnableEarlyData: wrapperspb.Bool(false),
	})
	if err != nil {
		return err
	}
	// Envoy looks for QUIC by this name.
	socket.Name, socket.ConfigType = "envoy.transport_sockets.quic", &corev3.TransportSocket_TypedConfig{TypedConfig: config}
	return nil
}

// managerHTTP3 makes a filter speak HTTP/3 if it is the one that speaks HTTP, with the same bounds as for HTTP/2.
func (t *translation) managerHTTP3(filter *listenerv3.Filter) error {
	manager := &hcmv3.HttpConnectionManager{}
	if !filter.GetTypedConfig().MessageIs(manager) {
		return nil
	}
	if err := filter.GetTypedConfig().UnmarshalTo(manager); err != nil {
		return err
	}
	manager.CodecType = hcmv3.HttpConnectionManager_HTTP3
	manager.Http2ProtocolOptions, manager.HttpProtocolOptions = nil, nil
	quic := &corev3.QuicProtocolOptions{}
	if asked := t.flavor.Clients; asked != nil {
		quic.MaxConcurrentStreams = unlessZero(asked.MaxStreams)
	}
	if bytes := t.flavor.BufferBytes; bytes > 0 {
		quic.InitialStreamWindowSize = unlessZero(min(max(bytes, minHTTP2Window), maxQUICStreamWindow))
		quic.InitialConnectionWindowSize = unlessZero(min(max(bytes, minHTTP2Window), maxQUICConnectionWindow))
	}
	manager.Http3ProtocolOptions = &corev3.Http3ProtocolOptions{QuicProtocolOptions: quic}
	config, err := pack(manager)
	if err != nil {
		return err
	}
	filter.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: config}
	return nil
}
