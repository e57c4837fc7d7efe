package translate

import (
	"net/netip"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// httpFilters are the network filters of an HTTP listener. All that L7 policies and pools change is in its
// RouteConfiguration.
func (t *translation) httpFilters(listener *model.Listener) ([]*listenerv3.Filter, error) {
	router, err := pack(&routerv3.Router{SuppressEnvoyHeaders: true})
	if err != nil {
		return nil, err
	}
	filters, err := t.compressors()
	if err != nil {
		return nil, err
	}
	optional, err := optionalFilters()
	if err != nil {
		return nil, err
	}
	client, err := clientFilters(listener)
	if err != nil {
		return nil, err
	}
	replies, err := t.localReplies()
	if err != nil {
		return nil, err
	}
	early, err := keepForwardedProto(listener)
	if err != nil {
		return nil, err
	}
	log, err := t.accessLog(listener)
	if err != nil {
		return nil, err
	}
	config := &hcmv3.HttpConnectionManager{
		CodecType:  hcmv3.HttpConnectionManager_AUTO,
		StatPrefix: listener.ID,
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{
			ConfigSource: ADSConfigSource(), RouteConfigName: listener.ID,
		}},
		HttpFilters: append(slices.Concat(filters, optional, client), &hcmv3.HttpFilter{
			Name: "envoy.filters.http.router", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: router},
		}),
		// What HAProxy does to a request without being asked is nothing: no X-Forwarded-For, no request id, no Server.
		// (HAProxy 2 lowers the case of header names, as Envoy does by default.)
		EarlyHeaderMutationExtensions: early,
		UseRemoteAddress:              wrapperspb.Bool(true),
		SkipXffAppend:                 true,
		ServerHeaderTransformation:    hcmv3.HttpConnectionManager_PASS_THROUGH,
		Proxy_100Continue:             true,
		HttpProtocolOptions: &corev3.Http1ProtocolOptions{
			// Envoy answers HTTP/1.0 with 426, and 400 when it comes without a Host.
			AcceptHttp_10:         true,
			DefaultHostForHttp_10: hostOf(t.vips[0]),
			EnableTrailers:        true,
			IgnoreHttp_11Upgrade:  ignoredUpgrades(),
			// AllowCustomMethods stays off: Envoy's proto marks it as work in progress, which its threat model and security
			// team leave out, and clients are hostile. The parser then takes its own list of methods, WebDAV's (RFC 4918) and
			// REPORT, ACL, MKCALENDAR, SEARCH among them, and answers 400 to others, as to M-SEARCH (TestOddHTTP).
		},
		UpgradeConfigs:   upgrades(),
		LocalReplyConfig: replies,
		AccessLog:        log,
	}
	t.clientHTTP(config, listener)
	t.requestID(config)
	manager, err := pack(config)
	if err != nil {
		return nil, err
	}
	return networkFilters(listener, "envoy.filters.network.http_connection_manager", manager)
}

// hostOf is an address as it stands in a Host header.
func hostOf(vip string) string {
	if address, err := netip.ParseAddr(vip); err == nil && address.Is6() {
		return "[" + vip + "]"
	}
	return vip
}
