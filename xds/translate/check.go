package translate

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	udpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/udp/udp_proxy/v3"
	proxyprotocolv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/proxy_protocol/v3"
	quicv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/quic/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// check holds the resources against each other: what one names must be there, and everything must have an owner. Envoy
// does not: it takes a route to a cluster that it does not know and answers 503.
func check(r *Resources) []*ValidationError {
	return checkWith(r, func(key Key) ([]reference, error) { return references(r.message(key)) })
}

// checkMade is check, which reads no resource again whose references are known.
func checkMade(r *Resources) []*ValidationError { return checkWith(r, r.references) }

// references lists what a resource names.
func (r *Resources) references(key Key) ([]reference, error) {
	message := r.message(key)
	if made := r.made[key]; made != nil && made.message == message {
		return made.references, made.unreadable
	}
	return references(message)
}

// Named returns the resources that one names, in order of their place in it: those that Envoy asks for because of it.
func (r *Resources) Named(key Key) []Key {
	all, _ := r.references(key) // what cannot be read names nothing
	keys := make([]Key, 0, len(all))
	for _, one := range all {
		keys = append(keys, one.to)
	}
	return keys
}

func checkWith(r *Resources, references func(Key) ([]reference, error)) []*ValidationError {
	c := &checker{resources: r}
	for _, typeURL := range []string{resourcev3.ListenerType, resourcev3.RouteType, resourcev3.ClusterType} {
		for _, name := range slices.Sorted(maps.Keys(r.All(typeURL))) {
			key := Key{typeURL, name}
			named, err := references(key)
			for i := 0; err == nil && i < len(named); i++ {
				if r.message(named[i].to) == nil {
					err = fmt.Errorf("%s %q, which is not there", named[i].how, named[i].to.Name)
				}
			}
			if err == nil && typeURL == resourcev3.RouteType && r.Listeners[name] == nil {
				err = errors.New("no listener uses it")
			}
			c.report(key, err)
		}
	}
	c.owners()
	return c.problems
}

type checker struct {
	resources *Resources
	problems  []*ValidationError
}

func (c *checker) report(key Key, err error) {
	if err != nil {
		c.problems = append(c.problems, &ValidationError{Owner: c.resources.Owners[key], Field: key.Name, Reason: err.Error()})
	}
}

// reference is what a resource needs beside itself, and how it says so.
type reference struct {
	to  Key
	how string
}

// references lists what a resource names.
func references(message proto.Message) ([]reference, error) {
	switch message := message.(type) {
	case *listenerv3.Listener:
		return listenerReferences(message)
	case *routev3.RouteConfiguration:
		return routeReferences(message), nil
	case *clusterv3.Cluster:
		return clusterReferences(message)
	}
	return nil, nil
}

func listenerReferences(listener *listenerv3.Listener) ([]reference, error) {
	var all []reference
	for _, filter := range listener.GetListenerFilters() {
		found, err := udpReferences(filter)
		if err != nil {
			return nil, fmt.Errorf("filter %s: %w", filter.GetName(), err)
		}
		all = append(all, found...)
	}
	for _, chain := range listener.GetFilterChains() {
		secrets, err := secretReferences(chain.GetTransportSocket())
		if err != nil {
			return nil, err
		}
		all = append(all, secrets...)
		for _, filter := range chain.GetFilters() {
			message, err := filter.GetTypedConfig().UnmarshalNew()
			if err != nil {
				return nil, fmt.Errorf("filter %s: %w", filter.GetName(), err)
			}
			switch config := message.(type) {
			case *hcmv3.HttpConnectionManager:
				name := config.GetRds().GetRouteConfigName()
				all = append(all, reference{Key{resourcev3.RouteType, name}, "it uses the route configuration"})
			case *tcpproxyv3.TcpProxy:
				all = append(all, reference{Key{resourcev3.ClusterType, config.GetCluster()}, "it uses the cluster"})
			}
		}
	}
	return all, nil
}

// udpReferences follows a UDP proxy to its cluster: the one action of its matcher.
func udpReferences(filter *listenerv3.ListenerFilter) ([]reference, error) {
	proxy, route := &udpproxyv3.UdpProxyConfig{}, &udpproxyv3.Route{}
	if !filter.GetTypedConfig().MessageIs(proxy) {
		return nil, nil
	}
	if err := filter.GetTypedConfig().UnmarshalTo(proxy); err != nil {
		return nil, err
	}
	action := proxy.GetMatcher().GetOnNoMatch()
	if matchers := proxy.GetMatcher().GetMatcherList().GetMatchers(); len(matchers) > 0 {
		action = matchers[0].GetOnMatch()
	}
	if err := action.GetAction().GetTypedConfig().UnmarshalTo(route); err != nil {
		return nil, err
	}
	return []reference{{Key{resourcev3.ClusterType, route.GetCluster()}, "it uses the cluster"}}, nil
}

func routeReferences(routes *routev3.RouteConfiguration) []reference {
	var all []reference
	for _, host := range routes.GetVirtualHosts() {
		for _, route := range host.GetRoutes() {
			if name := route.GetRoute().GetCluster(); route.GetRoute() != nil && name != MetricsCluster {
				all = append(all, reference{Key{resourcev3.ClusterType, name}, "it leads to the cluster"})
			}
		}
	}
	return all
}

func clusterReferences(cluster *clusterv3.Cluster) ([]reference, error) {
	service := cmp.Or(cluster.GetEdsClusterConfig().GetServiceName(), cluster.GetName())
	all := []reference{{Key{resourcev3.EndpointType, service}, "its endpoints are"}}
	sockets := []*corev3.TransportSocket{cluster.GetTransportSocket()}
	for _, match := range cluster.GetTransportSocketMatches() {
		sockets = append(sockets, match.GetTransportSocket())
	}
	for _, socket := range sockets {
		secrets, err := secretReferences(socket)
		if err != nil {
			return nil, err
		}
		all = append(all, secrets...)
	}
	return all, nil
}

// secretReferences follows a transport socket to its secrets: Envoy waits for one that is not there, and says nothing.
func secretReferences(socket *corev3.TransportSocket) ([]reference, error) {
	if socket == nil {
		return nil, nil
	}
	message, err := socket.GetTypedConfig().UnmarshalNew()
	if err != nil {
		return nil, fmt.Errorf("transport socket %s: %w", socket.GetName(), err)
	}
	var all []reference
	for _, secret := range sdsSecrets(message) {
		all = append(all, reference{Key{resourcev3.SecretType, secret.GetName()}, "it uses the secret"})
	}
	if wrapper, ok := message.(*proxyprotocolv3.ProxyProtocolUpstreamTransport); ok {
		inner, err := secretReferences(wrapper.GetTransportSocket())
		return append(all, inner...), err
	}
	return all, nil
}

// sdsSecrets returns the references to secrets of a TLS context; none for what is no TLS context.
func sdsSecrets(message proto.Message) []*tlsv3.SdsSecretConfig {
	if wrapper, ok := message.(*quicv3.QuicDownstreamTransport); ok {
		message = wrapper.GetDownstreamTlsContext()
	}
	context, ok := message.(interface {
		GetCommonTlsContext() *tlsv3.CommonTlsContext
	})
	if !ok {
		return nil
	}
	common := context.GetCommonTlsContext()
	secrets := common.GetTlsCertificateSdsSecretConfigs()
	if validation := common.GetValidationContextSdsSecretConfig(); validation != nil {
		secrets = append(slices.Clone(secrets), validation)
	}
	return secrets
}

// owners reports resources that nobody would be told about, and owners of nothing.
func (c *checker) owners() {
	owned := 0
	for _, typeURL := range TypeURLs() {
		for _, name := range slices.Sorted(maps.Keys(c.resources.All(typeURL))) {
			key := Key{typeURL, name}
			if c.resources.Owners[key] == (model.Ref{}) {
				c.report(key, errors.New("it has no owner"))
				continue
			}
			owned++
		}
	}
	if owned < len(c.resources.Owners) {
		keys := slices.SortedFunc(maps.Keys(c.resources.Owners), func(a, b Key) int {
			return cmp.Or(cmp.Compare(a.TypeURL, b.TypeURL), cmp.Compare(a.Name, b.Name))
		})
		for _, key := range keys {
			if _, ok := c.resources.All(key.TypeURL)[key.Name]; !ok {
				c.report(key, errors.New("it has an owner and is not there"))
			}
		}
	}
}
