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
	c := &checker{resources: r}
	for _, name := range slices.Sorted(maps.Keys(r.Listeners)) {
		c.report(Key{resourcev3.ListenerType, name}, c.listener(r.Listeners[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Routes)) {
		c.report(Key{resourcev3.RouteType, name}, c.routes(r.Routes[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Clusters)) {
		c.report(Key{resourcev3.ClusterType, name}, c.cluster(r.Clusters[name]))
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

func (c *checker) listener(listener *listenerv3.Listener) error {
	for _, filter := range listener.GetListenerFilters() {
		if err := c.udpProxy(filter); err != nil {
			return err
		}
	}
	for _, chain := range listener.GetFilterChains() {
		if err := c.secrets(chain.GetTransportSocket()); err != nil {
			return err
		}
		for _, filter := range chain.GetFilters() {
			message, err := filter.GetTypedConfig().UnmarshalNew()
			if err != nil {
				return fmt.Errorf("filter %s: %w", filter.GetName(), err)
			}
			switch config := message.(type) {
			case *hcmv3.HttpConnectionManager:
				if name := config.GetRds().GetRouteConfigName(); c.resources.Routes[name] == nil {
					return fmt.Errorf("it uses the route configuration %q, which is not there", name)
				}
			case *tcpproxyv3.TcpProxy:
				if name := config.GetCluster(); c.resources.Clusters[name] == nil {
					return fmt.Errorf("it uses the cluster %q, which is not there", name)
				}
			}
		}
	}
	return nil
}

// udpProxy follows a UDP proxy to its cluster: the one action of its matcher.
func (c *checker) udpProxy(filter *listenerv3.ListenerFilter) error {
	proxy, route := &udpproxyv3.UdpProxyConfig{}, &udpproxyv3.Route{}
	if !filter.GetTypedConfig().MessageIs(proxy) {
		return nil
	}
	if err := filter.GetTypedConfig().UnmarshalTo(proxy); err != nil {
		return fmt.Errorf("filter %s: %w", filter.GetName(), err)
	}
	action := proxy.GetMatcher().GetOnNoMatch()
	if matchers := proxy.GetMatcher().GetMatcherList().GetMatchers(); len(matchers) > 0 {
		action = matchers[0].GetOnMatch()
	}
	if err := action.GetAction().GetTypedConfig().UnmarshalTo(route); err != nil {
		return fmt.Errorf("filter %s: %w", filter.GetName(), err)
	}
	if name := route.GetCluster(); c.resources.Clusters[name] == nil {
		return fmt.Errorf("it uses the cluster %q, which is not there", name)
	}
	return nil
}

func (c *checker) routes(routes *routev3.RouteConfiguration) error {
	for _, host := range routes.GetVirtualHosts() {
		for _, route := range host.GetRoutes() {
			name := route.GetRoute().GetCluster()
			if route.GetRoute() != nil && name != MetricsCluster && c.resources.Clusters[name] == nil {
				return fmt.Errorf("it leads to the cluster %q, which is not there", name)
			}
		}
	}
	if c.resources.Listeners[routes.GetName()] == nil {
		return errors.New("no listener uses it")
	}
	return nil
}

func (c *checker) cluster(cluster *clusterv3.Cluster) error {
	name := cluster.GetEdsClusterConfig().GetServiceName()
	assignment := c.resources.Endpoints[name]
	if assignment == nil {
		return fmt.Errorf("its endpoints %q are not there", name)
	}
	for _, match := range cluster.GetTransportSocketMatches() {
		if err := c.secrets(match.GetTransportSocket()); err != nil {
			return err
		}
	}
	return c.secrets(cluster.GetTransportSocket())
}

// secrets follows a transport socket to its secrets: Envoy waits for one that is not there, and says nothing.
func (c *checker) secrets(socket *corev3.TransportSocket) error {
	if socket == nil {
		return nil
	}
	message, err := socket.GetTypedConfig().UnmarshalNew()
	if err != nil {
		return fmt.Errorf("transport socket %s: %w", socket.GetName(), err)
	}
	for _, secret := range sdsSecrets(message) {
		if c.resources.Secrets[secret.GetName()] == nil {
			return fmt.Errorf("it uses the secret %q, which is not there", secret.GetName())
		}
	}
	if wrapper, ok := message.(*proxyprotocolv3.ProxyProtocolUpstreamTransport); ok {
		return c.secrets(wrapper.GetTransportSocket())
	}
	return nil
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
