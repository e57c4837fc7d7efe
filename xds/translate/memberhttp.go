package translate

import (
	"slices"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/octavia-envoy/octavia-envoy/driver/flavor"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// idleMemberConnection is how long a connection to a member waits for its next request. It is below the keep-alive
// time of the common servers (Apache and Node close after 5 s): a request on a connection that the member is just
// closing would fail. HAProxy keeps idle ones for about as long.
const idleMemberConnection = 4 * time.Second

// memberHTTPOptions is how members are spoken to by HTTP: HTTP/1.1, or HTTP/2, which without TLS is by the flavor alone and
// by prior knowledge (h2c).
//
// HTTP/1.1 requests that ask for WebSocket or another upgrade become extended CONNECT (RFC 8441) for HTTP/2 members; one
// that does not know it is never asked: the client gets 502.
func (t *translation) memberHTTPOptions(pool *model.Pool, m *monitor) (*anypb.Any, error) {
	members := t.flavor.Members
	if members == nil {
		members = new(flavor.Members)
	}
	common := &corev3.HttpProtocolOptions{IdleTimeout: durationpb.New(idleMemberConnection)}
	if members.IdleTimeout > 0 {
		common.IdleTimeout = milliseconds(members.IdleTimeout)
	}
	if m != nil && (m.asks() || m.bridged()) {
		// To Envoy 1.40 the connection of a check by HTTP is idle while it waits for the answer: the check would end as failed.
		patience := m.schedule().GetTimeout().AsDuration() + time.Second
		common.IdleTimeout = durationpb.New(max(common.GetIdleTimeout().AsDuration(), patience))
	}
	common.MaxRequestsPerConnection = unlessZero(members.MaxRequests)
	options := &httpv3.HttpProtocolOptions{CommonHttpProtocolOptions: common}
	http1 := &corev3.Http1ProtocolOptions{
		EnableTrailers: true,
		// An answer that has a length and chunks is one of chunks, as RFC 9112, 6.3 has it, and not a 502.
		AllowChunkedLength: true,
	}
	http2 := t.http2Windows(&corev3.Http2ProtocolOptions{AllowConnect: true})
	http2.MaxConcurrentStreams = unlessZero(members.MaxStreams)
	switch t.memberVersion(pool) {
	case agreedHTTP:
		options.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_AutoConfig{AutoConfig: &httpv3.HttpProtocolOptions_AutoHttpConfig{
			HttpProtocolOptions: http1, Http2ProtocolOptions: http2,
		}}
	case flavor.HTTP2:
		options.UpstreamProtocolOptions = explicitHTTP(&httpv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: http2},
		})
	default:
		options.UpstreamProtocolOptions = explicitHTTP(&httpv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{HttpProtocolOptions: http1},
		})
	}
	return pack(options)
}

func explicitHTTP(config *httpv3.HttpProtocolOptions_ExplicitHttpConfig) *httpv3.HttpProtocolOptions_ExplicitHttpConfig_ {
	return &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: config}
}

// agreedHTTP is the version of HTTP that is agreed on with each member, by ALPN in its TLS handshake (RFC 7301).
const agreedHTTP = "agreed"

// memberVersion is the version of HTTP that members are spoken to: what the flavor says, else, by TLS, what the pool's
// alpn_protocols leave open.
func (t *translation) memberVersion(pool *model.Pool) string {
	if t.flavor.Members != nil && t.flavor.Members.Version != "" {
		return t.flavor.Members.Version
	}
	if !pool.TLSEnabled || !slices.Contains(pool.ALPNProtocols, alpnHTTP2) {
		return flavor.HTTP1
	}
	if len(pool.ALPNProtocols) == 1 {
		return flavor.HTTP2
	}
	return agreedHTTP
}

// memberALPN are the protocols that members are offered by TLS.
func (t *translation) memberALPN(pool *model.Pool) []string {
	if !servesHTTP(pool.Protocol) {
		return pool.ALPNProtocols
	}
	switch t.memberVersion(pool) {
	case flavor.HTTP2:
		return []string{alpnHTTP2}
	case flavor.HTTP1:
		return slices.DeleteFunc(slices.Clone(pool.ALPNProtocols), func(protocol string) bool { return protocol == alpnHTTP2 })
	}
	return pool.ALPNProtocols
}

const alpnHTTP2 = "h2"
