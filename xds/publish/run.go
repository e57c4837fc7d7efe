package publish

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/octavia-envoy/octavia-envoy/xds/server"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// The phases, in errors and metrics.
const (
	phaseWiden   = "widen"
	phaseWarm    = "warm"
	phaseShift   = "shift"
	phaseNarrow  = "narrow"
	phaseRelieve = "relieve"
	phaseRetry   = "retry"
)

// run is one Publish.
type run struct {
	publisher *Publisher
	state     *state
	node      string
	want      *translate.Resources
	resources map[string]map[string]*server.Resource
	result    Result
	// unknown is whether Envoy serves, for a refused resource, a version that only the controller before us knew.
	unknown bool
	// late are the clusters that were not ready in time: no traffic is moved to them.
	late map[string]struct{}
	// withheld are listeners, and new routes, that lead to what is late.
	withheld map[server.Key]bool
	// again are resources that were refused too short a time ago to be tried once more yet.
	again map[server.Key]time.Time
	// stays are endpoints that were set together with the former ones, by name.
	stays map[string]*stay
}

func (r *run) phases(ctx context.Context) error {
	r.dropPending()
	r.forgetLeft()
	deadlines := r.publisher.Deadlines
	ready := r.phase(ctx, phaseWiden, deadlines.Widen, r.widen)
	if ready == nil {
		ready = r.phase(ctx, phaseWarm, deadlines.Warm, r.warm)
	}
	if errors.Is(ready, ErrLate) {
		// What is late has no traffic, and all that has stays: the way back is not to go on. Only the neighbours do. When all
		// clusters are acknowledged, they are ready, and it is a listener of before that still warms.
		r.findLate(ctx)
		err := r.phase(ctx, phaseShift, deadlines.Shift, r.shift)
		if err != nil || len(r.late)+len(r.result.Rejected) > 0 || !r.dropUnready(func(string) bool { return true }) {
			return errors.Join(ready, err, r.relieved(ctx))
		}
		ready = nil
	}
	if ready != nil {
		return ready
	}
	for _, phase := range []struct {
		name     string
		deadline time.Duration
		run      func(context.Context) error
	}{
		{phaseShift, deadlines.Shift, r.shift},
		{phaseWarm, deadlines.Warm, r.warm},
		{phaseNarrow, deadlines.Narrow, r.narrow},
	} {
		if err := r.phase(ctx, phase.name, phase.deadline, phase.run); err != nil {
			return err
		}
	}
	if err := r.relieved(ctx); err != nil {
		return err
	}
	if len(r.again) == 0 || r.result.Updated+r.result.Removed == 0 {
		return nil
	}
	return r.phase(ctx, phaseRetry, deadlines.Warm, r.retry)
}

// widen sets all that traffic could be sent to; none is yet. Endpoints and secrets come before the clusters that ask for
// them.
func (r *run) widen(ctx context.Context) error {
	held := r.publisher.server.Held(r.node, resource.ClusterType)
	maps.DeleteFunc(r.state.led, func(name string, _ struct{}) bool { _, holds := held[name]; return holds })
	r.dropUnready(func(name string) bool {
		_, holds := held[name]
		_, led := r.state.led[name]
		return held != nil && !holds && !led
	})
	if err := r.keepServing(ctx); err != nil {
		return err
	}
	for _, typeURL := range []string{resource.SecretType, resource.EndpointType, resource.ClusterType} {
		if err := r.set(ctx, typeURL); err != nil {
			return err
		}
	}
	if err := r.settle(ctx, resource.ClusterType); err != nil {
		return err
	}
	return r.settle(ctx, resource.EndpointType)
}

// shift moves the traffic. Routes come before the listeners that ask for them.
func (r *run) shift(ctx context.Context) error {
	for _, typeURL := range []string{resource.RouteType, resource.ListenerType} {
		if err := r.set(ctx, typeURL); err != nil {
			return err
		}
	}
	if err := r.settle(ctx, resource.ListenerType); err != nil {
		return err
	}
	if err := r.settle(ctx, resource.RouteType); err != nil {
		return err
	}
	return r.settle(ctx, resource.SecretType)
}

// warm waits until Envoy serves what it acknowledged, when there is any doubt.
func (r *run) warm(ctx context.Context) error {
	if r.state.warm {
		return nil
	}
	if r.publisher.warming != nil {
		if err := r.publisher.warming.Warm(ctx, r.node); err != nil {
			return err
		}
	}
	r.state.warm = true
	return nil
}

// set gives the server what has changed of a type, or was refused before. The first set of a type, even of none, lets the
// server speak of it.
func (r *run) set(ctx context.Context, typeURL string) error {
	have := r.publisher.server.Versions(r.node, typeURL)
	refused := r.publisher.server.Rejections(r.node)
	changed := map[string]*server.Resource{}
	for name, res := range r.resources[typeURL] {
		key := server.Key{TypeURL: typeURL, Name: name}
		if _, again := refused[key]; !again && have[name] == res.Version {
			continue
		}
		if r.awaits(key, have[name]) || r.tooSoon(key, res.Version, have[name], refused) {
			continue
		}
		changed[name] = res
		r.state.pending[key] = res.Version
	}
	if have != nil && len(changed) == 0 {
		return nil
	}
	var displaced []string
	if typeURL == resource.ListenerType {
		var err error
		if displaced, err = r.displaced(ctx, changed); err != nil {
			return err
		}
	}
	r.publisher.server.Update(r.node, typeURL, changed, displaced)
	r.result.Updated += len(changed)
	r.result.Removed += len(displaced)
	if typeURL == resource.ClusterType || typeURL == resource.ListenerType {
		r.state.warm = r.state.warm && len(changed) == 0
	}
	return nil
}

// settle waits until Envoy has decided on all of a type that is pending, and takes back what it refused.
func (r *run) settle(ctx context.Context, typeURL string) error {
	waiting := map[server.Key]string{}
	for key, version := range r.state.pending {
		if key.TypeURL == typeURL {
			waiting[key] = version
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	r.dropUnasked(typeURL, waiting)
	err := r.publisher.server.Wait(ctx, r.node, waiting, nil)
	if nack, ok := errors.AsType[*server.NACKError](err); ok {
		for key, text := range nack.Rejected {
			r.result.Rejected[translate.Key(key)] = text
			if r.publisher.server.Revert(r.node, key) {
				r.unknown = true
			}
		}
	} else if err != nil {
		return err
	}
	for key := range waiting {
		delete(r.state.pending, key)
	}
	return nil
}

// dropPending forgets what an interrupted Publish waited for and nobody wants now.
func (r *run) dropPending() {
	maps.DeleteFunc(r.state.pending, func(key server.Key, version string) bool {
		res := r.resources[key.TypeURL][key.Name]
		return res == nil || res.Version != version
	})
}

// narrow removes what nothing refers to any more: what we set and what Envoy has from a former controller.
func (r *run) narrow(ctx context.Context) error {
	if !r.state.told {
		// Only then it is known what Envoy holds; and a load balancer without listeners is not ACTIVE without an amphora.
		if err := r.publisher.server.WaitTold(ctx, r.node, resource.ClusterType, resource.ListenerType); err != nil {
			return err
		}
		r.state.told = true
	}
	keep, err := r.inUse()
	if err != nil {
		return err
	}
	for _, step := range [][]string{
		{resource.ListenerType},
		{resource.ClusterType, resource.RouteType},
		{resource.EndpointType, resource.SecretType},
	} {
		var gone []server.Key
		for _, typeURL := range step {
			gone = append(gone, r.remove(typeURL, keep)...)
		}
		if len(gone) == 0 {
			continue
		}
		if err := r.publisher.server.Wait(ctx, r.node, nil, gone); err != nil {
			return err
		}
	}
	return nil
}

// remove removes the resources of a type that are neither wanted nor kept, and returns those whose end is worth waiting
// for: Envoy lets go of endpoints, routes and secrets by itself with the clusters and listeners that used them.
func (r *run) remove(typeURL string, keep func(server.Key) bool) []server.Key {
	srv := r.publisher.server
	candidates := map[string]struct{}{}
	for name := range srv.Versions(r.node, typeURL) {
		candidates[name] = struct{}{}
	}
	for name := range srv.Held(r.node, typeURL) {
		candidates[name] = struct{}{}
	}
	// What was refused and taken back is in neither. Its rejection would be shown for ever.
	for key := range srv.Rejections(r.node) {
		if key.TypeURL == typeURL {
			candidates[key.Name] = struct{}{}
		}
	}
	var names []string
	var gone []server.Key
	for name := range candidates {
		if _, wanted := r.resources[typeURL][name]; !wanted && !keep(server.Key{TypeURL: typeURL, Name: name}) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if typeURL == resource.ClusterType || typeURL == resource.ListenerType {
		for _, name := range names {
			gone = append(gone, server.Key{TypeURL: typeURL, Name: name})
		}
	}
	if len(names) > 0 {
		srv.Update(r.node, typeURL, nil, names)
		r.result.Removed += len(names)
	}
	return gone
}
