package translate

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/octavia-envoy/octavia-envoy/driver/flavor"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// drainTimeout is the grace of a connection that ends: between the first and the second GOAWAY of HTTP/2, and after the
// idle timeout of HTTP/1, which Envoy's default of 5 s would make that much longer than the user asked for.
const drainTimeout = time.Second

// clientHTTP is how clients are spoken to by HTTP: as the listener says, and within what the flavor allows.
func (t *translation) clientHTTP(manager *hcmv3.HttpConnectionManager, listener *model.Listener) {
	common := &corev3.HttpProtocolOptions{IdleTimeout: milliseconds(clientTimeout(listener))}
	manager.CommonHttpProtocolOptions = common
	// It holds until a route is found, whose idle_timeout replaces it.
	manager.StreamIdleTimeout = milliseconds(clientTimeout(listener))
	manager.DrainTimeout = durationpb.New(drainTimeout)

	asked := t.flavor.Clients
	if asked == nil {
		asked = new(flavor.Clients)
	}
	if asked.MaxStreams > 0 || t.flavor.BufferBytes > 0 {
		manager.Http2ProtocolOptions = t.http2Windows(&corev3.Http2ProtocolOptions{MaxConcurrentStreams: unlessZero(asked.MaxStreams)})
	}
	common.MaxRequestsPerConnection = unlessZero(asked.MaxRequests)
	if asked.MaxDuration > 0 {
		common.MaxConnectionDuration = milliseconds(asked.MaxDuration)
	}
	if asked.HeadersTimeout > 0 {
		manager.RequestHeadersTimeout = milliseconds(asked.HeadersTimeout)
	}
	if asked.RequestTimeout > 0 {
		manager.RequestTimeout = milliseconds(asked.RequestTimeout)
	}
	if asked.DrainTimeout > 0 {
		manager.DrainTimeout = milliseconds(asked.DrainTimeout)
	}
}
