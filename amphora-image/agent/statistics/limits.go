package statistics

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// fullFor is how long a listener counts as full after the last time that it was. Octavia's amphorae say it every 10 s, by the
// state of that moment.
const fullFor = 10 * time.Second

// limits tell whether listeners are at their connection limit.
type limits struct {
	of map[string]uint64
	// has are the ids of the listeners that Envoy has, without those that only drain.
	has     map[string]bool
	refused map[string]uint64
	until   map[string]time.Time
}

// full returns all listeners, and whether each is full: as many connections as it may have, or some refused since the last
// look.
func (l *limits) full(
	ctx context.Context, envoy Envoy, listeners map[string]map[string]family, anew bool, now time.Time,
) (map[string]bool, error) {
	limited := map[string]bool{}
	for id, families := range listeners {
		if families[ofLimit] != nil {
			limited[id] = true
		}
	}
	if anew || l.of == nil {
		of, err := envoy.ConnectionLimits(ctx, slices.Sorted(maps.Keys(limited)))
		if err != nil {
			return nil, err
		}
		names, err := envoy.Listeners(ctx)
		if err != nil {
			return nil, err
		}
		l.of, l.has = of, make(map[string]bool, len(names))
		for _, name := range names {
			l.has[translate.UseOfListener(name).Listener] = true
		}
	}
	if l.until == nil {
		l.until = map[string]time.Time{}
	}
	result, refused := make(map[string]bool, len(listeners)), map[string]uint64{}
	for id := range l.has {
		families := listeners[id]
		result[id] = false
		limit, limited := l.of[id]
		if !limited {
			delete(l.until, id)
			continue
		}
		refused[id] = families[ofLimit][limitRefused]
		before, seen := l.refused[id]
		if families[ofLimit][limitActive] >= limit || seen && refused[id] > before {
			l.until[id] = now.Add(fullFor)
		}
		result[id] = now.Before(l.until[id])
	}
	l.refused = refused
	return result, nil
}
