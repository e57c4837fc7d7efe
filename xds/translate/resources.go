package translate

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// Key names one xDS resource.
type Key struct {
	// TypeURL is one of TypeURLs().
	TypeURL string
	Name    string
}

// Resources is everything that the Envoys of one load balancer get, each type by resource name.
// Treat them as read-only: ClusterLoadAssignments of one pool share their endpoints.
type Resources struct {
	Listeners map[string]*listenerv3.Listener
	Routes    map[string]*routev3.RouteConfiguration
	Clusters  map[string]*clusterv3.Cluster
	// Endpoints are keyed by cluster_name, which is the EDS service name of their cluster.
	Endpoints map[string]*endpointv3.ClusterLoadAssignment
	Secrets   map[string]*tlsv3.Secret
	// Owners maps every resource above to the Octavia object that is in ERROR when Envoy refuses it: Listener and
	// RouteConfiguration to the listener, Cluster and ClusterLoadAssignment to the pool. The cluster of a TCP listener
	// without a pool belongs to the listener.
	Owners map[Key]model.Ref
	// Notes are what of the tree has no effect, pools first; no Envoy gets them.
	Notes []Note

	// made is what is known of the resources that a translation made; none of those that were put in by hand.
	made map[Key]*made
}

// NewResources returns an empty set: what an Envoy gets that serves nothing.
func NewResources() *Resources {
	return &Resources{
		Listeners: map[string]*listenerv3.Listener{},
		Routes:    map[string]*routev3.RouteConfiguration{},
		Clusters:  map[string]*clusterv3.Cluster{},
		Endpoints: map[string]*endpointv3.ClusterLoadAssignment{},
		Secrets:   map[string]*tlsv3.Secret{},
		Owners:    map[Key]model.Ref{},
		made:      map[Key]*made{},
	}
}

// TypeURLs returns the types of resources in the order in which they can be added without a gap: what is pointed at
// comes before what points at it. Remove in the opposite order. (Envoy, xDS protocol, "Eventual consistency considerations".)
func TypeURLs() []string {
	return []string{
		resourcev3.ClusterType, resourcev3.EndpointType, resourcev3.SecretType, resourcev3.ListenerType, resourcev3.RouteType,
	}
}

// All returns the resources of one type by name; nil for a type that is not in TypeURLs.
func (r *Resources) All(typeURL string) map[string]proto.Message {
	switch typeURL {
	case resourcev3.ListenerType:
		return messages(r.Listeners)
	case resourcev3.RouteType:
		return messages(r.Routes)
	case resourcev3.ClusterType:
		return messages(r.Clusters)
	case resourcev3.EndpointType:
		return messages(r.Endpoints)
	case resourcev3.SecretType:
		return messages(r.Secrets)
	}
	return nil
}

func messages[M proto.Message](typed map[string]M) map[string]proto.Message {
	all := make(map[string]proto.Message, len(typed))
	for name, message := range typed {
		all[name] = message
	}
	return all
}
