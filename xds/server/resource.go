package server

import (
	"cmp"
	"fmt"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Resource is one xDS resource as it goes over the wire. It is never changed, so that amphorae may share it.
type Resource struct {
	// Version is a hash of the content: the same resource has the same version in every controller and after a restart,
	// so that an Envoy that comes back is sent nothing that it holds.
	Version string
	body    *anypb.Any
	// endpoints is the name under which a cluster asks for its endpoints; "" for other resources.
	endpoints string
}

// NewResource marshals a resource.
func NewResource(typeURL string, message proto.Message) (*Resource, error) {
	// Deterministic, or maps inside would give a new version each time.
	bytes, err := cache.MarshalResource(message)
	if err != nil {
		return nil, fmt.Errorf("marshal %s: %w", Kind(typeURL), err)
	}
	return Marshalled(typeURL, message, bytes, cache.HashResource(bytes)), nil
}

// Marshalled is NewResource for a message whose bytes, marshalled deterministically, and their hash are known.
func Marshalled(typeURL string, message proto.Message, bytes []byte, version string) *Resource {
	res := &Resource{Version: version, body: &anypb.Any{TypeUrl: typeURL, Value: bytes}}
	if cluster, ok := message.(*clusterv3.Cluster); ok && cluster.GetType() == clusterv3.Cluster_EDS {
		res.endpoints = cmp.Or(cluster.GetEdsClusterConfig().GetServiceName(), cluster.GetName())
	}
	return res
}

// Message returns a copy of the resource.
func (r *Resource) Message() (proto.Message, error) {
	return r.body.UnmarshalNew()
}
