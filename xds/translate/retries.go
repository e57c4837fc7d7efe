package translate

import (
	"slices"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"

	"github.com/octavia-envoy/octavia-envoy/driver/flavor"
)

const (
	// onConnectFailure is what is always tried again: the member has seen nothing of the request.
	onConnectFailure = "connect-failure"
	// repeatable are the methods of requests that may be carried out twice (RFC 9110, section 9.2.2).
	repeatable = "GET|HEAD|OPTIONS|TRACE|PUT|DELETE"
	// longestBackoff is that many times the first wait.
	longestBackoff = 10
)

// retryRoutes sends requests to other members as the flavor says, beside those whose connect fails.
//
// Envoy tries any method again. A POST that a member has carried out, and whose answer is lost, must not be carried out
// twice: what a 5xx, 409 or a broken connection tells nothing about is tried again for the repeatable methods alone, by a
// route of their own before that of all others. What says that the request was not carried out (refused-stream), and
// the statuses of gRPC, all of whose requests are POST, are for any method. (retriable_request_headers would say it in
// one route, but it switches off the retry of a failed connect, too.)
//
// Nothing is tried again whose answer has begun to pass, or whose body is longer than the buffer.
func (t *translation) retryRoutes(routes *routev3.RouteConfiguration) error {
	asked := t.flavor.Retries
	if asked == nil {
		return nil
	}
	for _, host := range routes.GetVirtualHosts() {
		var all []*routev3.Route
		for _, route := range host.GetRoutes() {
			if route.GetRoute() == nil {
				all = append(all, route)
				continue
			}
			if slices.ContainsFunc(asked.On, repeats) {
				again := proto.CloneOf(route)
				again.Match.Headers = append(again.GetMatch().GetHeaders(), ofMethod(repeatable))
				retry(again, asked, asked.On)
				all = append(all, again)
				harmless := slices.DeleteFunc(slices.Clone(asked.On), repeats)
				route = proto.CloneOf(route)
				if slices.ContainsFunc(harmless, func(on string) bool { return on != onConnectFailure }) {
					retry(route, asked, harmless)
					route.GetRoute().GetRetryPolicy().PerTryTimeout = nil
				}
			} else {
				route = proto.CloneOf(route)
				retry(route, asked, asked.On)
			}
			all = append(all, route)
		}
		host.Routes = all
	}
	return routes.ValidateAll()
}

// repeats reports whether a retry on that condition can carry out a request twice.
func repeats(on string) bool {
	switch on {
	case "5xx", "gateway-error", "reset", "retriable-4xx":
		return true
	}
	return false
}

// retry adds conditions to a route's policy. The attempts count failed connects, too.
func retry(route *routev3.Route, asked *flavor.Retries, on []string) {
	policy := route.GetRoute().GetRetryPolicy()
	conditions := append([]string{onConnectFailure}, on...)
	slices.Sort(conditions)
	policy.RetryOn = strings.Join(slices.Compact(conditions), ",")
	policy.NumRetries = unlessZero(asked.Attempts)
	policy.HostSelectionRetryMaxAttempts = int64(max(connectRetries, asked.Attempts))
	if asked.TryTimeout > 0 {
		policy.PerTryTimeout = milliseconds(asked.TryTimeout)
	}
	if asked.Backoff > 0 {
		policy.RetryBackOff = &routev3.RetryPolicy_RetryBackOff{
			BaseInterval: milliseconds(asked.Backoff), MaxInterval: milliseconds(longestBackoff * asked.Backoff),
		}
	}
}

func ofMethod(methods string) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{Name: ":method", HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{
		StringMatch: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{
			SafeRegex: &matcherv3.RegexMatcher{Regex: methods},
		}},
	}}
}
