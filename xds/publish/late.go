package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/octavia-envoy/octavia-envoy/xds/server"
)

// ErrLate is returned by a Publish in which a phase took longer than its deadline. Nothing is undone: no traffic has been
// moved to what is late, and nothing removed.
var ErrLate = errors.New("not in time")

// Deadlines bound the phases. Together they are shorter than the time that the caller has for a Publish.
type Deadlines struct {
	// Widen has to be longer than the first check of a slow member: its cluster is not ready before.
	Widen, Warm, Shift, Narrow time.Duration
	// Relieve has to be longer than 10 s, for which endpoints may stay that are to go.
	Relieve time.Duration
}

// DefaultDeadlines are those of New; 58 s at most together, since warm comes twice, and then there is no retry.
func DefaultDeadlines() Deadlines {
	return Deadlines{
		Widen: 15 * time.Second, Warm: 10 * time.Second, Shift: 5 * time.Second, Narrow: 5 * time.Second, Relieve: 13 * time.Second,
	}
}

// phase runs one phase within its deadline.
func (r *run) phase(ctx context.Context, name string, deadline time.Duration, phase func(context.Context) error) error {
	defer r.publisher.Metrics.timed(name)()
	bounded, cancel := context.WithTimeoutCause(ctx, deadline, fmt.Errorf("%w: %s is more than it may take", ErrLate, deadline))
	defer cancel()
	err := phase(bounded)
	if err == nil {
		return nil
	}
	if ctx.Err() == nil && bounded.Err() != nil && !errors.Is(err, ErrLate) {
		// It names the end of the context and not its cause.
		err = fmt.Errorf("%w: %w", context.Cause(bounded), err)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// findLate notes the clusters that Envoy is not done with. That it has not acknowledged one says little: it acknowledges none
// while a single one warms.
func (r *run) findLate(ctx context.Context) {
	r.late = map[string]struct{}{}
	srv := r.publisher.server
	clusters, endpoints := srv.Held(r.node, resource.ClusterType), srv.Held(r.node, resource.EndpointType)
	for name, cluster := range r.want.Clusters {
		wanted := r.resources[resource.EndpointType][edsName(cluster)]
		loaded := wanted == nil || endpoints[edsName(cluster)] == wanted.Version
		version, holds := clusters[name]
		_, pending := r.state.pending[server.Key{TypeURL: resource.ClusterType, Name: name}]
		switch {
		case loaded && (!pending || version == r.resources[resource.ClusterType][name].Version):
		case loaded && wanted != nil && !holds && r.complete(ctx, cluster):
			// It asked for the endpoints as a new cluster does, and has all that it has to wait for.
			r.state.led[name] = struct{}{}
		default:
			r.late[name] = struct{}{}
		}
	}
}

// complete says whether a new cluster whose endpoints Envoy has is ready: it has the secrets, and a check of each endpoint has
// ended and one has been found good. Where none has, this is not to be told from checks that have not begun.
func (r *run) complete(ctx context.Context, cluster *clusterv3.Cluster) bool {
	secrets := r.publisher.server.Held(r.node, resource.SecretType)
	complete := true
	walk(cluster.ProtoReflect(), func(text string) {
		if secret := r.resources[resource.SecretType][text]; secret != nil && secrets[text] != secret.Version {
			complete = false
		}
	})
	if !complete || len(cluster.GetHealthChecks()) == 0 {
		return complete
	}
	if r.publisher.Checks == nil || !cluster.GetCommonLbConfig().GetIgnoreNewHostsUntilFirstHc() {
		return false
	}
	checked, err := r.checked(ctx)
	is := checked[statName(cluster.GetName())]
	return err == nil && is.Healthy > 0 && is.Unchecked == 0
}

// awaits says whether a resource leads to a cluster that is late, or is a listener whose routes do and are new: without them
// it would warm as long. Then it is withheld.
func (r *run) awaits(key server.Key, have string) bool {
	if len(r.late) == 0 {
		return false
	}
	awaits := false
	walk(r.want.All(key.TypeURL)[key.Name].ProtoReflect(), func(text string) {
		if _, late := r.late[text]; late {
			awaits = true
		}
	})
	if routes := (server.Key{TypeURL: resource.RouteType, Name: key.Name}); key.TypeURL == resource.ListenerType && r.withheld[routes] {
		awaits = true
	}
	if awaits && (key.TypeURL == resource.ListenerType || have == "") {
		r.withheld[key] = true
	}
	return awaits
}

// dropUnready removes the clusters that nobody wants any more and that Envoy has not acknowledged: no traffic was led to
// what is new of them, and as long as they are not ready Envoy acknowledges no other. Which of them may go already is for
// may to say. It returns whether there were any.
func (r *run) dropUnready(may func(name string) bool) bool {
	srv := r.publisher.server
	held := srv.Held(r.node, resource.ClusterType)
	var names []string
	for name, version := range srv.Versions(r.node, resource.ClusterType) {
		if r.want.Clusters[name] == nil && held[name] != version && may(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return false
	}
	slices.Sort(names)
	srv.Update(r.node, resource.ClusterType, nil, names)
	r.result.Removed += len(names)
	return true
}
