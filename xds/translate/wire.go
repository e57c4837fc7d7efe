package translate

import (
	"fmt"

	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
)

// Wire is a resource as it is sent.
type Wire struct {
	Bytes []byte
	// Version is a hash of the bytes.
	Version string
}

// Wire returns the bytes of a resource, nil for one that is not there. What a Translator has not translated again is not
// marshalled again either.
func (r *Resources) Wire(key Key) (*Wire, error) {
	message := r.message(key)
	if message == nil {
		return nil, nil
	}
	m := r.made[key]
	if m == nil || m.message != message {
		m = &made{key: key, message: message}
	}
	if wire := m.wire.Load(); wire != nil {
		return wire, nil
	}
	// Deterministic, or maps inside would give a new version each time.
	bytes, err := cache.MarshalResource(message)
	if err != nil {
		return nil, fmt.Errorf("marshal %s: %w", key.Name, err)
	}
	wire := &Wire{Bytes: bytes, Version: cache.HashResource(bytes)}
	m.wire.Store(wire)
	return wire, nil
}

// message returns a resource, nil for none.
func (r *Resources) message(key Key) proto.Message {
	switch key.TypeURL {
	case resourcev3.ListenerType:
		return orNil(r.Listeners[key.Name])
	case resourcev3.RouteType:
		return orNil(r.Routes[key.Name])
	case resourcev3.ClusterType:
		return orNil(r.Clusters[key.Name])
	case resourcev3.EndpointType:
		return orNil(r.Endpoints[key.Name])
	case resourcev3.SecretType:
		return orNil(r.Secrets[key.Name])
	}
	return nil
}

// orNil makes of no message an interface that is nil, too.
func orNil[M interface {
	comparable
	proto.Message
}](message M) proto.Message {
	var none M
	if message == none {
		return nil
	}
	return message
}
