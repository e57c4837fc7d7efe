package publish

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/octavia-envoy/octavia-envoy/xds/server"
)

const (
	// longestStay bounds how long an endpoint that is to go stays because nobody is there in its place yet. A first result comes
	// within the timeout of a check; staySlack is for Envoy to tell of it.
	longestStay, staySlack = 10 * time.Second, time.Second
	// firstLook and longestLook bound the time between two looks at the checks.
	firstLook, longestLook = 5 * time.Millisecond, 100 * time.Millisecond
	// askWithin is for one answer about the checks.
	askWithin = 2 * time.Second
)

// Checked is how Envoy's health checks of a cluster's endpoints stand.
type Checked struct {
	// Healthy is how many get traffic; Unchecked how many have had no result yet, and get none for that reason.
	Healthy, Unchecked uint64
}

// Checks asks an amphora how its Envoy's health checks stand.
type Checks interface {
	// Checked returns that by cluster, in underscores for colons as statistics have them, asked after the call began.
	Checked(ctx context.Context, node string) (map[string]Checked, error)
}

// stay is a cluster whose former endpoints stay until one of the new has been checked.
type stay struct {
	*replacement
	cluster string
	// final are the endpoints as they are wanted; until is when they come, whatever checks say.
	final *server.Resource
	until time.Time
}

// keepServing looks for clusters of which no endpoint that Envoy has found healthy would remain: new ones get no traffic before
// their first check. There the former endpoints stay beside the new ones, until relieve.
func (r *run) keepServing(ctx context.Context) error {
	if r.publisher.Checks == nil {
		return nil
	}
	srv, now := r.publisher.server, time.Now()
	have := srv.Versions(r.node, resource.EndpointType)
	stays := map[string]*stay{}
	for name, cluster := range r.want.Clusters {
		service := edsName(cluster)
		version, had := have[service]
		res := r.resources[resource.EndpointType][service]
		if len(cluster.GetHealthChecks()) == 0 || !had || res == nil || res.Version == version {
			continue
		}
		message, err := srv.Resource(r.node, server.Key{TypeURL: resource.EndpointType, Name: service}).Message()
		if err != nil {
			return fmt.Errorf("read the endpoints %s: %w", service, err)
		}
		former, _ := message.(*endpointv3.ClusterLoadAssignment)
		due := r.state.leaving[service]
		replaced := newReplacement(former, r.want.Endpoints[service], func(place string) bool {
			at, leaves := due[place]
			return !leaves || now.Before(at)
		})
		if replaced == nil {
			continue
		}
		patience := min(cluster.GetHealthChecks()[0].GetTimeout().AsDuration()+staySlack, longestStay)
		stays[service] = &stay{replacement: replaced, cluster: name, final: res, until: now.Add(patience)}
	}
	if len(stays) == 0 {
		return nil
	}
	checked, err := r.checked(ctx)
	for service, s := range stays {
		if err == nil && !s.needed(checked[statName(s.cluster)]) {
			continue
		}
		res, err := server.NewResource(resource.EndpointType, s.both)
		if err != nil {
			return err
		}
		r.stays[service] = s
		r.resources[resource.EndpointType][service] = res
		r.state.stay(service, s)
	}
	return nil
}

// stay notes when each of the former endpoints has to go. Who was to go before goes when it was to go then.
func (s *state) stay(service string, stay *stay) {
	due := map[string]time.Time{}
	for _, place := range stay.former {
		if due[place] = stay.until; s.leaving[service] != nil {
			if before, leaves := s.leaving[service][place]; leaves {
				due[place] = before
			}
		}
		if due[place].Before(stay.until) {
			stay.until = due[place]
		}
	}
	s.leaving[service] = due
}

// relieved is the phase of relieve, where there is something for it to do.
func (r *run) relieved(ctx context.Context) error {
	if len(r.stays) == 0 {
		return nil
	}
	return r.phase(ctx, phaseRelieve, r.publisher.Deadlines.Relieve, r.relieve)
}

// relieve takes the former endpoints away as soon as one of the new serves, or all of them have been checked, or it is time.
func (r *run) relieve(ctx context.Context) error {
	for wait := firstLook; len(r.stays) > 0; wait = min(2*wait, longestLook) {
		checked, err := r.checked(ctx)
		now := time.Now()
		var done []string
		for service, s := range r.stays {
			is, told := checked[statName(s.cluster)]
			if !now.Before(s.until) || err == nil && told && s.over(is) {
				done = append(done, service)
			}
		}
		if len(done) > 0 {
			if err := r.take(ctx, done); err != nil {
				return err
			}
			continue
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// take sends the endpoints of these names as they are wanted.
func (r *run) take(ctx context.Context, services []string) error {
	for _, service := range services {
		key := server.Key{TypeURL: resource.EndpointType, Name: service}
		delete(r.state.pending, key)
		r.resources[resource.EndpointType][service] = r.stays[service].final
	}
	if err := r.set(ctx, resource.EndpointType); err != nil {
		return err
	}
	for _, service := range services {
		delete(r.stays, service)
		delete(r.state.leaving, service)
	}
	return r.settle(ctx, resource.EndpointType)
}

func (r *run) checked(ctx context.Context) (map[string]Checked, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	return r.publisher.Checks.Checked(ctx, r.node)
}

// statName is how statistics name a cluster.
func statName(cluster string) string { return strings.ReplaceAll(cluster, ":", "_") }

// forgetLeft forgets endpoints that were to go from clusters that are not there any more.
func (r *run) forgetLeft() {
	maps.DeleteFunc(r.state.leaving, func(service string, _ map[string]time.Time) bool {
		return r.want.Endpoints[service] == nil
	})
}
