package translate

import (
	"net/http"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	httpfilterstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_filter_state/v3"
	previoushostsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// The headers that a listener can insert, in Octavia's spelling.
const (
	headerForwardedFor   = "X-Forwarded-For"
	headerForwardedPort  = "X-Forwarded-Port"
	headerForwardedProto = "X-Forwarded-Proto"
)

// connectRetries is HAProxy's `retries 3` with `option redispatch`, of Octavia's template.
const connectRetries = 3

// routeConfiguration sends the requests of an HTTP listener that no policy takes to the cluster of its default pool, or
// answers 503 without one.
//
// The policies and the inserted headers are here and not in the listener, so that to change them drains nothing.
func routeConfiguration(
	listener *model.Listener, policies []*routev3.Route, pool *servedPool, cluster string,
) (*routev3.RouteConfiguration, error) {
	route := &routev3.Route{Match: everything()}
	if pool == nil {
		// The page comes from the listener, see localReplies.
		route.Action = answer(http.StatusServiceUnavailable)
	} else {
		send, err := forward(listener, pool, cluster)
		if err != nil {
			return nil, err
		}
		send(route)
	}
	add, remove := insertedHeaders(listener)
	routes := &routev3.RouteConfiguration{
		Name: listener.ID,
		VirtualHosts: []*routev3.VirtualHost{{
			Name: listener.ID, Domains: []string{"*"}, Routes: append(policies, route),
		}},
		RequestHeadersToAdd:    add,
		RequestHeadersToRemove: remove,
		ResponseHeadersToAdd:   strictTransport(listener),
	}
	if !inserts(listener, headerForwardedProto) {
		passForwardedProto(routes.GetVirtualHosts()[0])
	}
	if err := tellsOfClient(listener, routes); err != nil {
		return nil, err
	}
	return routes, routes.ValidateAll()
}

// forward returns what makes a route send the requests of a listener to a cluster of a pool.
func forward(listener *model.Listener, pool *servedPool, cluster string) (func(*routev3.Route), error) {
	retry, err := retryPolicy(listener)
	if err != nil {
		return nil, err
	}
	hash, state := httpHash(pool.Pool)
	state = slices.Concat(state, memberServerName(listener, pool.Pool), clientState(listener))
	filters := map[string]*anypb.Any{}
	if len(state) > 0 {
		if filters[sourceFilter], err = pack(&httpfilterstatev3.Config{OnRequestHeaders: state}); err != nil {
			return nil, err
		}
	}
	var tell []*corev3.HeaderValueOption
	if byCookie(pool.Pool) {
		config, header, err := session(pool.Pool)
		if err != nil {
			return nil, err
		}
		filters[sessionFilter] = config
		tell = append(tell, header)
	}
	action := &routev3.Route_Route{Route: &routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster},
		// timeout bounds the whole answer and would cut off downloads; HAProxy bounds silence only.
		Timeout:     durationpb.New(0),
		IdleTimeout: milliseconds(silence(listener)),
		RetryPolicy: retry,
		HashPolicy:  hash,
	}}
	return func(route *routev3.Route) {
		route.Action, route.TypedPerFilterConfig, route.ResponseHeadersToAdd = action, filters, tell
	}, nil
}

// retryPolicy tries other members when one cannot be connected to, and bounds a member's silence: from the end of the
// request to the next byte of the answer, exactly HAProxy's `timeout server`. Its end is a 504 and never a retry.
func retryPolicy(listener *model.Listener) (*routev3.RetryPolicy, error) {
	previous, err := pack(&previoushostsv3.PreviousHostsPredicate{})
	if err != nil {
		return nil, err
	}
	return &routev3.RetryPolicy{
		RetryOn:    "connect-failure",
		NumRetries: wrapperspb.UInt32(connectRetries),
		RetryHostPredicate: []*routev3.RetryPolicy_RetryHostPredicate{{
			Name:       "envoy.retry_host_predicates.previous_hosts",
			ConfigType: &routev3.RetryPolicy_RetryHostPredicate_TypedConfig{TypedConfig: previous},
		}},
		HostSelectionRetryMaxAttempts: connectRetries,
		PerTryIdleTimeout:             milliseconds(memberTimeout(listener)),
	}, nil
}

// insertedHeaders returns the headers that a listener adds to requests and those that Envoy would add unasked.
func insertedHeaders(listener *model.Listener) (add []*corev3.HeaderValueOption, remove []string) {
	header := func(name, value string, action corev3.HeaderValueOption_HeaderAppendAction) {
		add = append(add, &corev3.HeaderValueOption{
			Header: &corev3.HeaderValue{Key: strings.ToLower(name), Value: value}, AppendAction: action,
		})
	}
	remove = []string{"x-envoy-external-address", headerKeptProto}
	if inserts(listener, headerForwardedFor) {
		// One header, joined by a comma, where HAProxy adds a second line: the same list to RFC 9110.
		header(headerForwardedFor, "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
			corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD)
	}
	if inserts(listener, headerForwardedPort) {
		header(headerForwardedPort, "%DOWNSTREAM_LOCAL_PORT%", corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD)
	}
	if inserts(listener, headerForwardedProto) {
		header(headerForwardedProto, scheme(listener), corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD)
	}
	if authenticates(listener) {
		remove = append(remove, headerClientDN)
	}
	return append(add, insertedClientHeaders(listener)...), remove
}

func inserts(listener *model.Listener, name string) bool {
	return strings.EqualFold(listener.InsertHeaders[name], "true")
}
