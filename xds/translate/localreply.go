package translate

import (
	"fmt"
	"net/http"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/octavia-envoy/octavia-envoy/driver/flavor"
)

// localReplies makes Envoy's own answers those of HAProxy, to the byte of the page: the status, the HTML and
// cache-control. Envoy's own texts name addresses of members and the errors of sockets. Answers of members pass untouched.
//
// Where members speak HTTP/2, a client that asks by gRPC gets the sentence as grpc-message, see grpcReply.
func (t *translation) localReplies() (*hcmv3.LocalReplyConfig, error) {
	replies := &hcmv3.LocalReplyConfig{}
	grpc := t.flavor.Members != nil && t.flavor.Members.Version == flavor.HTTP2
	for _, answer := range ownAnswers() {
		if grpc {
			replies.Mappers = append(replies.Mappers, grpcReply(answer.filter, answer.status, answer.sentence))
		}
		replies.Mappers = append(replies.Mappers, reply(answer.filter, answer.status, answer.title, answer.sentence))
	}
	return replies, replies.ValidateAll()
}

// ownAnswer is a page of HAProxy and what Envoy answers with it.
type ownAnswer struct {
	filter          *accesslogv3.AccessLogFilter
	status          uint32
	title, sentence string
}

func ownAnswers() []ownAnswer {
	return []ownAnswer{
		// A member that closes before it answers: Envoy says 503, HAProxy 502.
		{
			either(flagged("UC", "UR"), answered(http.StatusBadGateway)), http.StatusBadGateway, "502 Bad Gateway",
			"The server returned an invalid or incomplete response.",
		},
		// HAProxy knows no 431: what it cannot read is bad.
		{
			either(answered(http.StatusBadRequest), answered(http.StatusRequestHeaderFieldsTooLarge)), http.StatusBadRequest,
			"400 Bad request", "Your browser sent an invalid request.",
		},
		// A policy that rejects.
		{answered(http.StatusForbidden), http.StatusForbidden, "403 Forbidden", "Request forbidden by administrative rules."},
		{
			answered(http.StatusServiceUnavailable), http.StatusServiceUnavailable, "503 Service Unavailable",
			"No server is available to handle this request.",
		},
		{answered(http.StatusGatewayTimeout), http.StatusGatewayTimeout, "504 Gateway Time-out", "The server didn't respond in time."},
		{
			answered(http.StatusRequestTimeout), http.StatusRequestTimeout, "408 Request Time-out",
			"Your browser didn't send a complete request in time.",
		},
	}
}

func reply(filter *accesslogv3.AccessLogFilter, status uint32, title, sentence string) *hcmv3.ResponseMapper {
	return &hcmv3.ResponseMapper{
		Filter:     filter,
		StatusCode: wrapperspb.UInt32(status),
		Body: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{
			InlineString: fmt.Sprintf("<html><body><h1>%s</h1>\n%s\n</body></html>\n", title, sentence),
		}},
		BodyFormatOverride: &corev3.SubstitutionFormatString{
			Format: &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: &corev3.DataSource{
				Specifier: &corev3.DataSource_InlineString{InlineString: "%LOCAL_REPLY_BODY%"},
			}},
			ContentType: "text/html",
		},
		HeadersToAdd: []*corev3.HeaderValueOption{{
			Header:       &corev3.HeaderValue{Key: "cache-control", Value: "no-cache"},
			AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		}},
	}
}

func flagged(flags ...string) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ResponseFlagFilter{
		ResponseFlagFilter: &accesslogv3.ResponseFlagFilter{Flags: flags},
	}}
}

func either(filters ...*accesslogv3.AccessLogFilter) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_OrFilter{
		OrFilter: &accesslogv3.OrFilter{Filters: filters},
	}}
}

func answered(status uint32) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_StatusCodeFilter{
		StatusCodeFilter: &accesslogv3.StatusCodeFilter{Comparison: &accesslogv3.ComparisonFilter{
			Op: accesslogv3.ComparisonFilter_EQ,
			// Envoy demands a runtime key, though nobody sets it.
			Value: &corev3.RuntimeUInt32{DefaultValue: status, RuntimeKey: "octavia.unused"},
		}},
	}}
}
