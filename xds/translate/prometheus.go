package translate

import (
	"net/http"
	"slices"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

const (
	// MetricsCluster leads to the agent's metrics of this load balancer. It is in the bootstrap of every amphora and not
	// among the Resources: where the agent's socket is, only the amphora knows. No id of Octavia is spelled like it.
	MetricsCluster = "octavia-envoy-metrics"
	// MetricsPath is the one path of a PROMETHEUS listener.
	MetricsPath = "/metrics"

	// MetadataNamespace is where an endpoint's metadata have ids, if the load balancer has anything that asks for them.
	MetadataNamespace = sessionMetadata
	// MetadataMember is the key of the member's id.
	MetadataMember = "member"
	// MetadataPool is the key of its pool's id.
	MetadataPool = "pool"
)

// What scrapes may take of an amphora. The agent reads Envoy once for all scrapes of a second, so that one that waits
// costs a connection to the agent and no more.
const (
	// maxScrapes are under way at once, and maxWaitingScrapes wait for one of them; the others are answered 503.
	maxScrapes, maxWaitingScrapes = 8, 32
	// scrapeTimeout bounds the agent's answer, as HAProxy's `timeout server 5s` in Octavia's template. It is longer than
	// the agent's own limit.
	scrapeTimeout = 5 * time.Second
	// scrapeDuration bounds a scrape with all that a client can draw out: its request and its reading of the answer.
	scrapeDuration = 15 * time.Second
)

// metricsRoutes answers on a PROMETHEUS listener: GET and HEAD of exactly /metrics go to the agent, and everything else
// is answered 403, as what a policy rejects. There is no other way from it to anything.
//
// HAProxy's frontend answers GET of any path with the metrics, and HEAD as if it served the amphora's files, since all of it
// goes to Octavia's prometheus-proxy, a SimpleHTTPRequestHandler of Python's.
func metricsRoutes(listener *model.Listener) (*routev3.RouteConfiguration, error) {
	routes := &routev3.RouteConfiguration{
		Name: listener.ID,
		VirtualHosts: []*routev3.VirtualHost{{
			Name: listener.ID, Domains: []string{"*"},
			Routes: []*routev3.Route{
				{
					Match: &routev3.RouteMatch{
						PathSpecifier: &routev3.RouteMatch_Path{Path: MetricsPath},
						Headers: []*routev3.HeaderMatcher{{
							Name: ":method",
							HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: &matcherv3.StringMatcher{
								MatchPattern: &matcherv3.StringMatcher_SafeRegex{
									SafeRegex: &matcherv3.RegexMatcher{Regex: http.MethodGet + "|" + http.MethodHead},
								},
							}},
						}},
					},
					Action: &routev3.Route_Route{Route: &routev3.RouteAction{
						ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: MetricsCluster},
						Timeout:          durationpb.New(scrapeTimeout),
						MaxStreamDuration: &routev3.RouteAction_MaxStreamDuration{
							MaxStreamDuration: durationpb.New(scrapeDuration),
						},
					}},
				},
				{Match: everything(), Action: answer(http.StatusForbidden)},
			},
		}},
		// The agent needs nothing of a request.
		RequestHeadersToRemove: []string{"x-envoy-external-address", headerKeptProto},
	}
	return routes, routes.ValidateAll()
}

// MetricsClusterAt is MetricsCluster for an agent that serves its metrics on a unix socket; "" is none, and scrapes are
// answered 503. It bounds what scrapes can take of the amphora.
func MetricsClusterAt(socket string) *clusterv3.Cluster {
	assignment := &endpointv3.ClusterLoadAssignment{ClusterName: MetricsCluster}
	if socket != "" {
		assignment.Endpoints = []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
				Address: &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: socket}}},
			}},
		}}}}
	}
	return &clusterv3.Cluster{
		Name:                 MetricsCluster,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:       durationpb.New(time.Second),
		LoadAssignment:       assignment,
		CircuitBreakers: &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
			MaxConnections:     wrapperspb.UInt32(maxScrapes),
			MaxPendingRequests: wrapperspb.UInt32(maxWaitingScrapes),
			MaxRequests:        wrapperspb.UInt32(maxScrapes + maxWaitingScrapes),
		}}},
	}
}

// hasMetrics reports whether a load balancer has a PROMETHEUS listener.
func hasMetrics(lb *model.LoadBalancer) bool {
	return slices.ContainsFunc(lb.Listeners, func(l model.Listener) bool { return l.Protocol == model.ProtocolPrometheus })
}

// measuredMember is how access logs and events of checks know the ids of a member and its pool. Envoy takes up a change of metadata in place, and
// keeps the connections and what it has counted.
func measuredMember(pool *model.Pool, member *model.Member) *corev3.Metadata {
	return &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{MetadataNamespace: {Fields: map[string]*structpb.Value{
		MetadataMember: structpb.NewStringValue(member.ID), MetadataPool: structpb.NewStringValue(pool.ID),
	}}}}
}
