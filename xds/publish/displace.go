package publish

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/octavia-envoy/octavia-envoy/xds/server"
)

// displaced are the listeners that are not wanted any more and have an address of one that is about to be set. Envoy takes
// no two at an address, and of one message the removals first: so they go with it and not, as all others, at the end. So do
// listeners of a former controller of which nothing is known but the name, when there is a new one.
func (r *run) displaced(ctx context.Context, changed map[string]*server.Resource) ([]string, error) {
	names, err := r.strangers(ctx, changed)
	if err != nil {
		return nil, err
	}
	taken := map[string]struct{}{}
	for name := range changed {
		for _, address := range addresses(r.want.Listeners[name]) {
			taken[address] = struct{}{}
		}
	}
	for name := range r.publisher.server.Versions(r.node, resource.ListenerType) {
		if r.want.Listeners[name] != nil {
			continue
		}
		key := server.Key{TypeURL: resource.ListenerType, Name: name}
		message, err := r.publisher.server.Resource(r.node, key).Message()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", key, err)
		}
		former, _ := message.(*listenerv3.Listener)
		if slices.ContainsFunc(addresses(former), func(address string) bool { _, clash := taken[address]; return clash }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// strangers are the listeners that Envoy has from a former controller and nobody wants, if there is one to be set that it has not.
func (r *run) strangers(ctx context.Context, changed map[string]*server.Resource) ([]string, error) {
	if len(changed) == 0 {
		return nil, nil
	}
	srv := r.publisher.server
	if !r.state.told && srv.Held(r.node, resource.ListenerType) == nil {
		// It says what it has when it asks for listeners, which a new Envoy does when its clusters are ready.
		if err := srv.WaitTold(ctx, r.node, resource.ListenerType); err != nil {
			return nil, err
		}
	}
	held, known := srv.Held(r.node, resource.ListenerType), srv.Versions(r.node, resource.ListenerType)
	fresh := func(name string) bool { return held[name] == "" }
	if !slices.ContainsFunc(slices.Collect(maps.Keys(changed)), fresh) {
		return nil, nil
	}
	var names []string
	for name := range held {
		if _, knows := known[name]; !knows && r.want.Listeners[name] == nil {
			names = append(names, name)
		}
	}
	return names, nil
}

// addresses are those of a listener, as texts to compare.
func addresses(listener *listenerv3.Listener) []string {
	var all []string
	add := func(address *corev3.Address) {
		if socket := address.GetSocketAddress(); socket != nil {
			all = append(all, fmt.Sprintf("%s %s %d", socket.GetProtocol(), socket.GetAddress(), socket.GetPortValue()))
		}
	}
	add(listener.GetAddress())
	for _, additional := range listener.GetAdditionalAddresses() {
		add(additional.GetAddress())
	}
	return all
}
