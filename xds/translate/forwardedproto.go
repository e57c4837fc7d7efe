package translate

import (
	"strings"

	mutationrulesv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	headermutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// A listener that does not insert X-Forwarded-Proto passes the client's: it may be a proxy that ended TLS. Envoy
// overwrites it with the listener's own scheme, whoever sent it. So it goes around Envoy in a header of its own:
//
//	early mutation        x-octavia-forwarded-proto: %REQ(x-forwarded-proto)%, when there is one
//	Envoy                 x-forwarded-proto: http
//	rules of policies     look at x-octavia-forwarded-proto
//	VirtualHost           x-forwarded-proto: %REQ(x-octavia-forwarded-proto)%, when there is one
//	RouteConfiguration    x-octavia-forwarded-proto is removed
const headerKeptProto = "x-octavia-forwarded-proto"

// keepForwardedProto is the early mutation. It is in every HTTP listener, so that to insert the header or not changes its
// routes alone, with what else routes need to see. A client's own x-octavia-forwarded-proto is removed.
func keepForwardedProto(listener *model.Listener) ([]*corev3.TypedExtensionConfig, error) {
	mutation, err := pack(&headermutationv3.HeaderMutation{Mutations: append([]*mutationrulesv3.HeaderMutation{
		{Action: &mutationrulesv3.HeaderMutation_Remove{Remove: headerKeptProto}},
		{Action: &mutationrulesv3.HeaderMutation_Append{Append: overwrite(headerKeptProto, "%REQ(x-forwarded-proto)%")}},
	}, keepClientDN(listener)...)})
	if err != nil {
		return nil, err
	}
	return []*corev3.TypedExtensionConfig{{
		Name: "envoy.http.early_header_mutation.header_mutation", TypedConfig: mutation,
	}}, nil
}

// passForwardedProto puts the client's header back in its place.
func passForwardedProto(host *routev3.VirtualHost) {
	host.RequestHeadersToRemove = []string{"x-forwarded-proto"}
	host.RequestHeadersToAdd = []*corev3.HeaderValueOption{overwrite("x-forwarded-proto", "%REQ("+headerKeptProto+")%")}
}

// sentHeader returns the header that holds what a client sent under that name, when rules look at it.
func sentHeader(name string) string {
	if strings.EqualFold(name, headerForwardedProto) {
		return headerKeptProto
	}
	return name
}

func overwrite(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: name, Value: value},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}
