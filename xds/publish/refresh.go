package publish

import (
	"context"
	"fmt"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/octavia-envoy/octavia-envoy/xds/server"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// Restore gives the server what was last published to a node, after a restart of the controller and before the port is
// open: an Envoy that comes back with the same versions is sent nothing. It waits for nothing and removes nothing, which
// the next Publish does.
func (p *Publisher) Restore(node string, resources *translate.Resources) error {
	return p.Refresh(context.Background(), node, func(context.Context) (*translate.Resources, error) { return resources, nil })
}

// Refresh is Restore for a node that another controller may have published to meanwhile: what was removed by that one is
// forgotten here. load reads what was published last. When a Publish runs or begins before load has returned, that one knows
// better, and Refresh does nothing.
func (p *Publisher) Refresh(
	ctx context.Context, node string, load func(context.Context) (*translate.Resources, error),
) error {
	before := p.published(node)
	resources, err := load(ctx)
	if err != nil || resources == nil {
		return err
	}
	marshalled, err := marshal(resources)
	if err != nil {
		return fmt.Errorf("restore amphora %s: %w", node, err)
	}
	st := p.state(node)
	select {
	case <-st.turn:
		defer func() { st.turn <- struct{}{} }()
	default:
		return nil
	}
	if p.published(node) != before {
		return nil
	}
	clear(st.pending)
	clear(st.leaving)
	st.warm, st.told = false, false
	for _, typeURL := range []string{
		resource.SecretType, resource.EndpointType, resource.ClusterType, resource.RouteType, resource.ListenerType,
	} {
		p.server.Adopt(node, typeURL, marshalled[typeURL])
		for name, res := range marshalled[typeURL] {
			st.pending[server.Key{TypeURL: typeURL, Name: name}] = res.Version
		}
	}
	return nil
}

// published counts the Publish calls of a node that got their turn.
func (p *Publisher) published(node string) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if st := p.nodes[node]; st != nil {
		return st.count
	}
	return 0
}
