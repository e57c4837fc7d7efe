package metrics

import (
	"context"
	"maps"
	"strings"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/envoyadmin"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// Envoy is what is asked for figures; *envoyadmin.Client is one.
type Envoy interface {
	Stats(ctx context.Context, filter string) (map[string]uint64, error)
	Listeners(ctx context.Context) ([]string, error)
	Clusters(ctx context.Context) ([]envoyadmin.Cluster, error)
}

// figures are what is known of one object, by the names that Series.Sum has.
type figures map[string]float64

// object is one that has metrics.
type object struct {
	// labels are the values for Kind.labels.
	labels  []string
	figures figures
}

// reading is everything at one time.
type reading map[Kind][]object

// Figures that are asked for beside those of the lists.
const (
	figureUnserved = "cluster.upstream_cx_none_healthy"
	figureAttempts = "cluster.upstream_cx_total"
)

// reader reads one Envoy. It is not safe for concurrent use.
type reader struct {
	envoy  Envoy
	usage  func() (Usage, bool)
	filter string
	totals totals
}

func newReader(envoy Envoy, usage func() (Usage, bool)) *reader {
	return &reader{envoy: envoy, usage: usage, filter: statFilter(figureUnserved, figureAttempts)}
}

// read asks Envoy three questions. The answers are a few milliseconds apart.
func (r *reader) read(ctx context.Context) (reading, error) {
	stats, err := r.envoy.Stats(ctx, r.filter)
	if err != nil {
		return nil, err
	}
	names, err := r.envoy.Listeners(ctx)
	if err != nil {
		return nil, err
	}
	clusters, err := r.envoy.Clusters(ctx)
	if err != nil {
		return nil, err
	}
	server, byListener, byCluster := split(stats)
	listeners := listenerObjects(names, byListener)
	pools, members := r.poolObjects(clusters, byCluster)
	whole := r.totals.add(listeners)
	maps.Copy(whole, server)
	whole["agent.listeners"] = float64(len(listeners))
	if r.usage != nil {
		if usage, ok := r.usage(); ok {
			whole["agent.cpu"], whole["agent.memory"] = usage.CPU, usage.Memory
		}
	}
	return reading{LoadBalancer: {{figures: whole}}, Listener: listeners, Pool: pools, Member: members}, nil
}

// split sorts statistics by the object in their names.
func split(stats map[string]uint64) (server figures, byListener, byCluster map[string]figures) {
	server, byListener, byCluster = figures{}, map[string]figures{}, map[string]figures{}
	for name, value := range stats {
		prefix, rest, _ := strings.Cut(name, ".")
		if prefix == "server" {
			server[name] = float64(value)
			continue
		}
		owners := byListener
		if prefix == "cluster" {
			owners = byCluster
		}
		owner, figure, _ := strings.Cut(rest, ".")
		if owners[owner] == nil {
			owners[owner] = figures{}
		}
		owners[owner][prefix+"."+figure] = float64(value)
	}
	return server, byListener, byCluster
}

// listenerObjects are the listeners that Envoy has; the second one for HTTP/3 has its statistics with the first. What is only
// draining has statistics, too, and so has the admin interface.
func listenerObjects(names []string, byListener map[string]figures) []object {
	objects := make([]object, 0, len(names))
	for _, name := range names {
		if translate.UseOfListener(name).HTTP3 {
			continue
		}
		known := figures{"agent.up": 1, "agent.down": 0}
		maps.Copy(known, byListener[name])
		objects = append(objects, object{labels: []string{name}, figures: known})
	}
	return objects
}
