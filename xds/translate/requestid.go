package translate

import (
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/octavia-envoy/octavia-envoy/driver/flavor"
)

// requestID says what becomes of X-Request-Id. Without a flavor it passes as it came, as with HAProxy.
func (t *translation) requestID(manager *hcmv3.HttpConnectionManager) {
	switch t.flavor.RequestID {
	case flavor.RequestIDKeep:
		manager.PreserveExternalRequestId = true
	case flavor.RequestIDReplace:
	default:
		manager.GenerateRequestId = wrapperspb.Bool(false)
		return
	}
	manager.GenerateRequestId = wrapperspb.Bool(true)
	manager.AlwaysSetRequestIdInResponse = true
}
