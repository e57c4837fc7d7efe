package translate

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	proxyprotocolv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/proxy_protocol/v3"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// proxyProtocol returns the transport that tells the members of a PROXY or PROXYV2 pool who the client is, by the first
// bytes of each connection (PROXY protocol 1 as text, 2 as bytes), before those of the inner transport. Envoy opens a
// connection to a member for each of a client's, and never shares it.
func proxyProtocol(pool *model.Pool, inner *corev3.TransportSocket) (*corev3.TransportSocket, error) {
	version := corev3.ProxyProtocolConfig_V1
	if pool.Protocol == model.ProtocolProxyV2 {
		version = corev3.ProxyProtocolConfig_V2
	}
	config, err := pack(&proxyprotocolv3.ProxyProtocolUpstreamTransport{
		Config:          &corev3.ProxyProtocolConfig{Version: version},
		TransportSocket: inner,
	})
	if err != nil {
		return nil, err
	}
	return &corev3.TransportSocket{
		Name:       "envoy.transport_sockets.upstream_proxy_protocol",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: config},
	}, nil
}
