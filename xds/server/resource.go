package server

import (
	"fmt"

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
}

// NewResource marshals a resource.
func NewResource(typeURL string, message proto.Message) (*Resource, error) {
	// Deterministic, or maps inside would give a new version each time.
	bytes, err := cache.MarshalResource(message)
	if err != nil {
		return nil, fmt.Errorf("marshal %s: %w", Kind(typeURL), err)
	}
	return &Resource{Version: cache.HashResource(bytes), body: &anypb.Any{TypeUrl: typeURL, Value: bytes}}, nil
}

// Message returns a copy of the resource.
func (r *Resource) Message() (proto.Message, error) {
	return r.body.UnmarshalNew()
}
