package translate

import (
	_ "embed"
	"net"
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	httpfilterstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_filter_state/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

//go:embed session.lua
var sessionScript string

const (
	// sessionFilter is the Lua filter of session cookies. All HTTP listeners have it disabled, and routes enable it.
	sessionFilter = "octavia.session"
	// sessionHeader tells the script which member answered. It never leaves Envoy.
	sessionHeader = "x-octavia-member"
	// sessionMetadata is the namespace of a member's metadata that holds its id.
	sessionMetadata = "octavia"
	// answeredBy is the id of the member that an answer is from, and nothing, so that there is no header, where it is Envoy's
	// own: some of those have a route and never meet the script, such as the 400 to a target with a # and an odd
	// X-Forwarded-Proto.
	answeredBy = "%CEL(response.code_details == 'via_upstream' ? xds.upstream_host_metadata.filter_metadata['" + sessionMetadata +
		"']['member'] : '')%"
	// httpCookie is HAProxy's cookie of HTTP_COOKIE in Octavia's template.
	httpCookie = "SRV"
)

// optionalFilters are the HTTP filters that only some routes need. Every HTTP listener has them, disabled, and what they
// do comes with the routes: to turn them on or off, as a change of a pool's persistence or algorithm does, then drains
// nothing. Disabled, a filter is not in the chain of a request, and the script's interpreter is not there.
func optionalFilters() ([]*hcmv3.HttpFilter, error) {
	source, err := pack(&httpfilterstatev3.Config{})
	if err != nil {
		return nil, err
	}
	// The route is chosen by what the client sent, not by what is left of its cookies.
	session, err := pack(&luav3.Lua{ClearRouteCache: wrapperspb.Bool(false)})
	if err != nil {
		return nil, err
	}
	return []*hcmv3.HttpFilter{
		{Name: sourceFilter, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: source}, Disabled: true},
		{Name: sessionFilter, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: session}, Disabled: true},
	}, nil
}

// byCookie reports whether a cookie picks a client's member.
func byCookie(pool *model.Pool) bool {
	kind := persistence(pool)
	return kind == persistHTTPCookie || kind == persistAppCookie
}

// session returns what a route needs that keeps clients on members by a cookie: the filter's configuration and the header
// that tells it who answered.
//
// The cookie holds the id of a member, as HAProxy's does, and never its address, which Envoy's stateful_session would
// tell every client. That is why the routes of such a pool, and only of such a pool, list its members.
func session(pool *model.Pool) (*anypb.Any, *corev3.HeaderValueOption, error) {
	name, app := httpCookie, false
	if persistence(pool) == persistAppCookie {
		name, app = pool.SessionPersistence.CookieName, true
	}
	// No id of a member has a colon.
	context := map[string]*structpb.Value{":cookie": structpb.NewStringValue(name), ":app": structpb.NewBoolValue(app)}
	if pool.AdminStateUp {
		for i := range pool.Members {
			member := &pool.Members[i]
			address, err := canonicalAddress(member.Address)
			if err == nil && member.AdminStateUp && checkID(member.ID) == nil {
				context[member.ID] = structpb.NewStringValue(net.JoinHostPort(address, strconv.Itoa(member.ProtocolPort)))
			}
		}
	}
	config, err := pack(&luav3.LuaPerRoute{
		Override: &luav3.LuaPerRoute_SourceCode{SourceCode: &corev3.DataSource{
			Specifier: &corev3.DataSource_InlineString{InlineString: sessionScript},
		}},
		FilterContext: &structpb.Struct{Fields: context},
		// One interpreter for all such routes, which a change of the members does not replace. The script has no state.
		SharedVmId: sessionFilter,
	})
	return config, &corev3.HeaderValueOption{
		Header: &corev3.HeaderValue{
			Key: sessionHeader, Value: answeredBy,
		},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}, err
}

// memberMetadata is how Envoy knows the id of a member.
func memberMetadata(member *model.Member) *corev3.Metadata {
	return &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
		sessionMetadata: {Fields: map[string]*structpb.Value{MetadataMember: structpb.NewStringValue(member.ID)}},
	}}
}

// cookieStatuses are the members that a cookie may lead to: a member of weight 0, which is draining, keeps its clients.
func cookieStatuses() *corev3.HealthStatusSet {
	return &corev3.HealthStatusSet{Statuses: []corev3.HealthStatus{
		corev3.HealthStatus_UNKNOWN, corev3.HealthStatus_HEALTHY, corev3.HealthStatus_DRAINING, corev3.HealthStatus_DEGRADED,
	}}
}
