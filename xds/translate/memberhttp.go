package translate

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/octavia-envoy/octavia-envoy/driver/flavor"
)

// idleMemberConnection is how long a connection to a member waits for its next request. It is below the keep-alive
// time of the common servers (Apache and Node close after 5 s): a request on a connection that the member is just
// closing would fail. HAProxy keeps idle ones for about as long.
const idleMemberConnection = 4 * time.Second

// memberHTTPOptions is how members are spoken to by HTTP: HTTP/1.1, or by the flavor HTTP/2, which without TLS is by prior
// knowledge (h2c).
//
// HTTP/1.1 requests that ask for WebSocket or another upgrade become extended CONNECT (RFC 8441) for HTTP/2 members; one
// that does not know it is never asked: the client gets 502.
func (t *translation) memberHTTPOptions() (*anypb.Any, error) {
	members := t.flavor.Members
	if members == nil {
		members = new(flavor.Members)
	}
	common := &corev3.HttpProtocolOptions{IdleTimeout: durationpb.New(idleMemberConnection)}
	if members.IdleTimeout > 0 {
		common.IdleTimeout = milliseconds(members.IdleTimeout)
	}
	common.MaxRequestsPerConnection = unlessZero(members.MaxRequests)
	explicit := &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
		ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{
			HttpProtocolOptions: &corev3.Http1ProtocolOptions{
				EnableTrailers: true,
				// An answer that has a length and chunks is one of chunks, as RFC 9112, 6.3 has it, and not a 502.
				AllowChunkedLength: true,
			},
		},
	}
	if members.Version == flavor.HTTP2 {
		options := t.http2Windows(&corev3.Http2ProtocolOptions{AllowConnect: true})
		options.MaxConcurrentStreams = unlessZero(members.MaxStreams)
		explicit.ProtocolConfig = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: options}
	}
	return pack(&httpv3.HttpProtocolOptions{
		CommonHttpProtocolOptions: common,
		UpstreamProtocolOptions:   &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: explicit},
	})
}
