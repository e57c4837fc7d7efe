package translate

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// minHTTP2Window is HTTP/2's own (RFC 9113, section 6.9.2); Envoy takes no smaller one.
const minHTTP2Window = 65_535

// bufferLimit is what a connection may buffer, of a client as of a member; nil is Envoy's default. Above it the sender has
// to wait, and a request is not kept to be sent again.
func (t *translation) bufferLimit() *wrapperspb.UInt32Value { return unlessZero(t.flavor.BufferBytes) }

// http2Windows bounds what may be on its way to Envoy: a stream is buffered in its window, which no limit of the connection
// bounds.
func (t *translation) http2Windows(options *corev3.Http2ProtocolOptions) *corev3.Http2ProtocolOptions {
	if bytes := t.flavor.BufferBytes; bytes > 0 {
		options.InitialStreamWindowSize = unlessZero(max(bytes, minHTTP2Window))
		options.InitialConnectionWindowSize = unlessZero(max(bytes, minHTTP2Window))
	}
	return options
}

// unlessZero is a number of a flavor, whose schema bounds it; nil, which leaves Envoy's default, for 0.
func unlessZero(value int) *wrapperspb.UInt32Value {
	if value <= 0 {
		return nil
	}
	return wrapperspb.UInt32(uint32(value)) //nolint:gosec // see above
}
