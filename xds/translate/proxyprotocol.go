package translate

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	proxyprotocolv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/proxy_protocol/v3"
	rawbufferv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// proxyProtocol returns the transport that tells the members of a PROXY or PROXYV2 pool who the client is, by the first
// bytes of each connection (PROXY protocol 1 as text, 2 as bytes); nil for other pools. Envoy opens a connection to a
// member for each of a client's, and never shares it.
func proxyProtocol(pool *model.Pool) (*corev3.TransportSocket, error) {
	var version corev3.ProxyProtocolConfig_Version
	switch pool.Protocol {
	case model.ProtocolProxy:
		version = corev3.ProxyProtocolConfig_V1
	case model.ProtocolProxyV2:
		version = corev3.ProxyProtocolConfig_V2
	default:
		return nil, nil
	}
	plain, err := pack(&rawbufferv3.RawBuffer{})
	if err != nil {
		return nil, err
	}
	config, err := pack(&proxyprotocolv3.ProxyProtocolUpstreamTransport{
		Config: &corev3.ProxyProtocolConfig{Version: version},
		TransportSocket: &corev3.TransportSocket{
			Name:       "envoy.transport_sockets.raw_buffer",
			ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: plain},
		},
	})
	if err != nil {
		return nil, err
	}
	return &corev3.TransportSocket{
		Name:       "envoy.transport_sockets.upstream_proxy_protocol",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: config},
	}, nil
}
