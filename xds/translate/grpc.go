package translate

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// grpcReply is Envoy's own answer to a gRPC client. Envoy makes it one of gRPC: 200 with a grpc-status for the HTTP status
// (gRPC, "HTTP to gRPC Status Code Mapping") and the body as grpc-message, which a page of HTML would be hard to read in.
func grpcReply(filter *accesslogv3.AccessLogFilter, status uint32, sentence string) *hcmv3.ResponseMapper {
	return &hcmv3.ResponseMapper{
		Filter:     both(byGRPC(), filter),
		StatusCode: wrapperspb.UInt32(status),
		Body:       &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: sentence}},
	}
}

// byGRPC is a request whose type is application/grpc or one of its kinds.
func byGRPC() *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_HeaderFilter{
		HeaderFilter: &accesslogv3.HeaderFilter{Header: &routev3.HeaderMatcher{
			Name: "content-type", HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{
				StringMatch: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: "application/grpc"}},
			},
		}},
	}}
}

func both(filters ...*accesslogv3.AccessLogFilter) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_AndFilter{
		AndFilter: &accesslogv3.AndFilter{Filters: filters},
	}}
}
