package translate

import (
	"fmt"
	"maps"
	"slices"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	proxyprotocolv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/proxy_protocol/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Static returns the same configuration as a bootstrap that needs no controller: routes are inside their listeners and
// endpoints inside their clusters. `envoy --mode validate` then checks all of it, which it cannot do for what comes by
// xDS, and a plain Envoy serves it. It copies what it changes and leaves res alone. Marshal it with protojson.
func Static(res *Resources) (*bootstrapv3.Bootstrap, error) {
	// In front of the others, as in an amphora's bootstrap; there is no agent.
	static := &bootstrapv3.Bootstrap_StaticResources{}
	if scraped(res) {
		static.Clusters = append(static.Clusters, MetricsClusterAt(""))
	}
	for _, name := range slices.Sorted(maps.Keys(res.Clusters)) {
		cluster, err := staticCluster(res, res.Clusters[name])
		if err != nil {
			return nil, fmt.Errorf("cluster %s: %w", name, err)
		}
		static.Clusters = append(static.Clusters, cluster)
	}
	for _, name := range slices.Sorted(maps.Keys(res.Listeners)) {
		listener, err := staticListener(res, res.Listeners[name])
		if err != nil {
			return nil, fmt.Errorf("listener %s: %w", name, err)
		}
		static.Listeners = append(static.Listeners, listener)
	}
	for _, name := range slices.Sorted(maps.Keys(res.Secrets)) {
		static.Secrets = append(static.Secrets, res.Secrets[name])
	}
	return &bootstrapv3.Bootstrap{
		StaticResources: static,
		LayeredRuntime:  &bootstrapv3.LayeredRuntime{Layers: []*bootstrapv3.RuntimeLayer{RuntimeLayer()}},
	}, nil
}

// scraped reports whether something leads to the cluster that the bootstrap of an amphora has.
func scraped(res *Resources) bool {
	for _, routes := range res.Routes {
		for _, host := range routes.GetVirtualHosts() {
			for _, route := range host.GetRoutes() {
				if route.GetRoute().GetCluster() == MetricsCluster {
					return true
				}
			}
		}
	}
	return false
}

func staticCluster(res *Resources, dynamic *clusterv3.Cluster) (*clusterv3.Cluster, error) {
	service := dynamic.GetEdsClusterConfig().GetServiceName()
	endpoints := res.Endpoints[service]
	if endpoints == nil {
		return nil, fmt.Errorf("its endpoints %q are not there", service)
	}
	cluster := proto.CloneOf(dynamic)
	cluster.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
	cluster.EdsClusterConfig = nil
	if err := staticSecrets(cluster.GetTransportSocket()); err != nil {
		return nil, err
	}
	for _, match := range cluster.GetTransportSocketMatches() {
		if err := staticSecrets(match.GetTransportSocket()); err != nil {
			return nil, err
		}
	}
	cluster.LoadAssignment = &endpointv3.ClusterLoadAssignment{
		ClusterName: cluster.GetName(), Endpoints: endpoints.GetEndpoints(), Policy: endpoints.GetPolicy(),
	}
	return cluster, nil
}

func staticListener(res *Resources, dynamic *listenerv3.Listener) (*listenerv3.Listener, error) {
	listener := proto.CloneOf(dynamic)
	for _, chain := range listener.GetFilterChains() {
		if err := staticSecrets(chain.GetTransportSocket()); err != nil {
			return nil, err
		}
		for _, filter := range chain.GetFilters() {
			manager := &hcmv3.HttpConnectionManager{}
			if !filter.GetTypedConfig().MessageIs(manager) {
				continue
			}
			if err := filter.GetTypedConfig().UnmarshalTo(manager); err != nil {
				return nil, err
			}
			name := manager.GetRds().GetRouteConfigName()
			routes := res.Routes[name]
			if routes == nil {
				return nil, fmt.Errorf("its route configuration %q is not there", name)
			}
			manager.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: routes}
			packed, err := pack(manager)
			if err != nil {
				return nil, err
			}
			filter.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: packed}
		}
	}
	return listener, nil
}

// staticSecrets makes a transport socket look for its secrets among the static ones.
func staticSecrets(socket *corev3.TransportSocket) error {
	if socket == nil {
		return nil
	}
	message, err := socket.GetTypedConfig().UnmarshalNew()
	if err != nil {
		return err
	}
	if wrapper, ok := message.(*proxyprotocolv3.ProxyProtocolUpstreamTransport); ok {
		if err := staticSecrets(wrapper.GetTransportSocket()); err != nil {
			return err
		}
	}
	for _, secret := range sdsSecrets(message) {
		secret.SdsConfig = nil
	}
	packed, err := anypb.New(message)
	if err != nil {
		return err
	}
	socket.ConfigType = &corev3.TransportSocket_TypedConfig{TypedConfig: packed}
	return nil
}
