package publish

import (
	"fmt"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/octavia-envoy/octavia-envoy/xds/server"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// dropUnasked takes from waiting what Envoy will not ask for, because all that refers to it was refused or withheld. Endpoints,
// routes and secrets are only sent when a cluster or listener asks for them.
func (r *run) dropUnasked(typeURL string, waiting map[server.Key]string) {
	if typeURL == resource.ClusterType || typeURL == resource.ListenerType {
		return
	}
	asked := r.asked(typeURL)
	for key := range waiting {
		if _, ok := asked[key.Name]; !ok {
			delete(waiting, key)
		}
	}
}

// asked lists the names that the wanted clusters and listeners which were not refused ask for of a type.
func (r *run) asked(typeURL string) map[string]struct{} {
	asked := map[string]struct{}{}
	ask := func(key translate.Key) {
		for _, named := range r.want.Named(key) {
			if named.TypeURL == typeURL {
				asked[named.Name] = struct{}{}
			}
		}
	}
	for name := range r.want.Clusters {
		if typeURL != resource.RouteType && !r.refused(resource.ClusterType, name) {
			ask(translate.Key{TypeURL: resource.ClusterType, Name: name})
		}
	}
	for name := range r.want.Listeners {
		if typeURL != resource.EndpointType && !r.refused(resource.ListenerType, name) {
			ask(translate.Key{TypeURL: resource.ListenerType, Name: name})
		}
	}
	return asked
}

func (r *run) refused(typeURL, name string) bool {
	_, refused := r.result.Rejected[translate.Key{TypeURL: typeURL, Name: name}]
	return refused || r.withheld[server.Key{TypeURL: typeURL, Name: name}]
}

// edsName is the name under which a cluster asks for its endpoints.
func edsName(cluster *clusterv3.Cluster) string {
	if name := cluster.GetEdsClusterConfig().GetServiceName(); name != "" {
		return name
	}
	return cluster.GetName()
}

// inUse tells what must not be removed although it is not wanted: what the older versions refer to that stay in effect
// for refused resources, and what that refers to in turn. A reference is any text that is the resource's name: too many
// kept are removed when the refusal is healed, but one too few would be lost requests.
func (r *run) inUse() (func(server.Key) bool, error) {
	texts := map[string]struct{}{}
	for key := range r.result.Rejected {
		if err := r.follow(server.Key(key), texts); err != nil {
			return nil, err
		}
	}
	return func(key server.Key) bool {
		if key.TypeURL == resource.ListenerType {
			// Nothing refers to a listener.
			return false
		}
		_, referred := texts[key.Name]
		return referred || r.unknown
	}, nil
}

// follow adds to texts all that is written in a resource of the node, and in the routes and clusters that it names.
func (r *run) follow(key server.Key, texts map[string]struct{}) error {
	res := r.publisher.server.Resource(r.node, key)
	if res == nil {
		return nil
	}
	message, err := res.Message()
	if err != nil {
		return fmt.Errorf("read %s: %w", key, err)
	}
	var found []string
	walk(message.ProtoReflect(), func(text string) {
		if _, seen := texts[text]; !seen {
			texts[text] = struct{}{}
			found = append(found, text)
		}
	})
	for _, name := range found {
		for _, typeURL := range []string{resource.RouteType, resource.ClusterType} {
			if err := r.follow(server.Key{TypeURL: typeURL, Name: name}, texts); err != nil {
				return err
			}
		}
	}
	return nil
}

// walk calls onText for every text in a message, also inside of Any.
func walk(m protoreflect.Message, onText func(string)) {
	if packed, ok := m.Interface().(*anypb.Any); ok {
		// What is not known to us cannot be ours.
		if inner, err := packed.UnmarshalNew(); err == nil {
			walk(inner.ProtoReflect(), onText)
		}
		return
	}
	value := func(fd protoreflect.FieldDescriptor, v protoreflect.Value) {
		switch fd.Kind() {
		case protoreflect.MessageKind, protoreflect.GroupKind:
			walk(v.Message(), onText)
		case protoreflect.StringKind:
			onText(v.String())
		}
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsList():
			for i := range v.List().Len() {
				value(fd, v.List().Get(i))
			}
		case fd.IsMap():
			v.Map().Range(func(_ protoreflect.MapKey, inner protoreflect.Value) bool {
				value(fd.MapValue(), inner)
				return true
			})
		default:
			value(fd, v)
		}
		return true
	})
}
