package translate

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// noSpill keeps traffic off the backups while a single primary member serves. With Envoy's default, 140, one of two
// primaries down sends a third of the traffic to the backups.
const noSpill = 100_000

// servesHTTP reports whether an HTTP listener can have a pool of that protocol.
func servesHTTP(protocol string) bool {
	return protocol == model.ProtocolHTTP || protocol == model.ProtocolProxy || protocol == model.ProtocolProxyV2
}

// poolCluster adds a cluster that serves a pool by HTTP, or whatever the pool speaks. The connect timeout is in milliseconds.
func (t *translation) poolCluster(name string, connect int, pool *servedPool) error {
	owner := model.Ref{Kind: model.KindPool, ID: pool.ID}
	return t.cluster(owner, name, connect, servesHTTP(pool.Protocol), pool)
}

// httpCluster returns the cluster of a pool for an HTTP listener.
//
// Envoy keeps the connect timeout in the cluster, Octavia in the listener. So a listener with another timeout than
// Octavia's default gets a cluster of the pool for itself: the common case shares the pool's own, and the name of neither
// depends on what other listeners there are.
func (t *translation) httpCluster(listener *model.Listener, pool *servedPool) (string, error) {
	connect := connectTimeout(listener)
	if connect == model.DefaultTimeoutMemberConnect {
		return poolClusterName(pool.Pool), nil
	}
	name := pairClusterName(pool.Pool, listener)
	return name, t.poolCluster(name, connect, pool)
}

// ownCluster adds the cluster that follows the default pool of a TCP or UDP listener, and returns its name. Without a pool it
// has no endpoints: Envoy accepts and closes, as HAProxy does.
func (t *translation) ownCluster(listener *model.Listener, pool *servedPool) (string, error) {
	name := ownClusterName(listener)
	owner := model.Ref{Kind: model.KindListener, ID: listener.ID}
	if pool == nil {
		pool = &servedPool{Pool: &model.Pool{Protocol: listener.Protocol, LBAlgorithm: model.AlgorithmRoundRobin}}
	} else {
		owner = model.Ref{Kind: model.KindPool, ID: pool.ID}
	}
	return name, t.cluster(owner, name, connectTimeout(listener), false, pool)
}

// cluster adds a cluster and its endpoints. The connect timeout is in milliseconds.
func (t *translation) cluster(owner model.Ref, name string, connect int, http bool, pool *servedPool) error {
	cluster := &clusterv3.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig:     &clusterv3.Cluster_EdsClusterConfig{EdsConfig: ADSConfigSource()},
		ConnectTimeout:       milliseconds(connect),
		CommonLbConfig: &clusterv3.Cluster_CommonLbConfig{
			// Envoy would otherwise send traffic to dead members when half of them are dead.
			HealthyPanicThreshold: &typev3.Percent{Value: 0},
		},
		// A member that is deleted goes at once, healthy or not.
		IgnoreHealthOnHostRemoval: true,
		CircuitBreakers:           t.circuitBreakers(),
		OutlierDetection:          t.outlierDetection(pool.Pool),
	}
	if pool.Protocol != model.ProtocolUDP {
		cluster.PerConnectionBufferLimitBytes, cluster.UpstreamConnectionOptions = t.bufferLimit(), t.memberKeepalive()
	}
	if byCookie(pool.Pool) {
		cluster.CommonLbConfig.OverrideHostStatus = cookieStatuses()
	}
	var err error
	if cluster.LoadBalancingPolicy, err = t.balancing(pool.Pool); err != nil {
		return err
	}
	if cluster.TransportSocket, err = t.memberTransport(pool.Pool); err != nil {
		return err
	}
	if http {
		t.logPool(cluster, pool.Pool)
		options, err := t.memberHTTPOptions(pool.Pool, pool.monitor)
		if err != nil {
			return err
		}
		cluster.TypedExtensionProtocolOptions = map[string]*anypb.Any{
			"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options,
		}
	}
	if err := t.checkMembers(cluster, pool.monitor, http); err != nil {
		return err
	}
	service, err := serviceName(cluster)
	if err != nil {
		return err
	}
	cluster.EdsClusterConfig.ServiceName = service
	if err := cluster.ValidateAll(); err != nil {
		return err
	}
	assignment := &endpointv3.ClusterLoadAssignment{ClusterName: service, Endpoints: pool.endpoints}
	if pool.backups {
		assignment.Policy = &endpointv3.ClusterLoadAssignment_Policy{OverprovisioningFactor: wrapperspb.UInt32(noSpill)}
	}
	if err := assignment.ValidateAll(); err != nil {
		return err
	}
	t.out.Clusters[name] = cluster
	t.out.Endpoints[service] = assignment
	t.out.Owners[Key{resourcev3.ClusterType, name}] = owner
	t.out.Owners[Key{resourcev3.EndpointType, service}] = owner
	return nil
}

// dropUnused drops the clusters of monitored pools that no traffic is sent to, since their members are not to be checked, as
// with HAProxy. To keep them without the checks would be a change of a cluster at the moment when traffic begins or ends:
// a cluster that is added or removed comes before the traffic and goes after it.
func (t *translation) dropUnused() {
	for name, cluster := range t.out.Clusters {
		if len(cluster.GetHealthChecks()) == 0 || t.used[name] {
			continue
		}
		service := cluster.GetEdsClusterConfig().GetServiceName()
		delete(t.out.Clusters, name)
		delete(t.out.Endpoints, service)
		delete(t.out.Owners, Key{resourcev3.ClusterType, name})
		delete(t.out.Owners, Key{resourcev3.EndpointType, service})
	}
}
