package translate

import (
	"slices"
	"sync/atomic"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// part is what comes of one listener or pool. Each is translated by itself: what it sees is in its inputs, and nothing else
// can be seen there. So one whose inputs are those of the translation before need not be translated again.
type part struct {
	inputs   fingerprint
	made     []*made
	problems []error
	notes    []Note
	// used are the clusters that a listener sends traffic to.
	used []string

	// Of a pool: whether it can be served, and then the parts of a servedPool. They hold nothing of the tree that they come
	// from, which would stay in memory with them.
	served, backups, monitored bool
	endpoints                  []*endpointv3.LocalityLbEndpoints
}

// parts are those of a load balancer, by listener and pool.
type parts map[model.Ref]*part

// made is a resource, and what follows from its bytes.
type made struct {
	key     Key
	owner   model.Ref
	message proto.Message
	// references are what it names; unreadable is why that cannot be said.
	references []reference
	unreadable error
	// wire is what is sent, once somebody has asked for it.
	wire atomic.Pointer[Wire]
}

// assembly is the translation of a whole load balancer from its parts.
type assembly struct {
	*translation
	inputs        fingerprint
	before, parts parts
	// prints are those of the known pools.
	prints map[string]poolPrints
}

// poolPrints are the fingerprints of a pool without its members, and with them.
type poolPrints struct{ head, whole fingerprint }

func (a *assembly) addPools(pools []model.Pool) {
	a.prints = make(map[string]poolPrints, len(pools))
	for _, pool := range sorted(pools, func(p *model.Pool) string { return p.ID }) {
		head := fingerprintOf(withoutMembers(pool))
		prints := poolPrints{head: head, whole: fingerprintOf(head, pool.Members)}
		again := a.known[pool.ID] != nil
		ref := model.Ref{Kind: model.KindPool, ID: pool.ID}
		p := a.part(ref, fingerprintOf(a.inputs, prints.whole, again), func(alone *translation) { alone.pool(pool, again) })
		if again {
			continue
		}
		a.known[pool.ID], a.prints[pool.ID] = pool, prints
		if p.served {
			served := &servedPool{Pool: pool, endpoints: p.endpoints, backups: p.backups}
			if p.monitored {
				served.monitor = &monitor{HealthMonitor: pool.HealthMonitor, pool: pool}
			}
			a.pools[pool.ID] = served
		}
	}
}

// addListeners adds the listeners, each of which sees the pools that it and its policies refer to, and of these the members only
// where it depends on them.
func (a *assembly) addListeners(listeners []model.Listener) {
	claims := claims{ids: map[string]bool{}, ports: map[portOf]bool{}}
	for _, listener := range sorted(listeners, func(l *model.Listener) string { return l.ID }) {
		taken := claims.claim(listener)
		known, pools := map[string]*model.Pool{}, map[string]*servedPool{}
		inputs := []any{a.inputs, listener, taken}
		for _, id := range poolIDs(listener) {
			pool, served := a.known[id], a.pools[id]
			if pool == nil {
				continue
			}
			seen := a.prints[id].whole
			if !dependsOnMembers(listener, pool) {
				seen, pool = a.prints[id].head, withoutMembers(pool)
				if served != nil {
					served = &servedPool{Pool: pool}
				}
			}
			known[id] = pool
			if served != nil {
				pools[id] = served
			}
			// Whether a pool can be served may be due to members that the listener does not see.
			inputs = append(inputs, id, seen, served != nil)
		}
		ref := model.Ref{Kind: model.KindListener, ID: listener.ID}
		a.part(ref, fingerprintOf(inputs...), func(alone *translation) {
			alone.known, alone.pools = known, pools
			alone.listener(listener, taken)
		})
	}
}

// poolIDs are those of the pools that a listener and its policies refer to, each once.
func poolIDs(listener *model.Listener) []string {
	ids := []string{listener.DefaultPoolID}
	for i := range listener.L7Policies {
		ids = append(ids, listener.L7Policies[i].RedirectPoolID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// dependsOnMembers reports whether the members of a pool are in the resources of a listener that refers to it: in a cluster of
// its own, or in its routes.
func dependsOnMembers(listener *model.Listener, pool *model.Pool) bool {
	return !readsRequests(listener) || connectTimeout(listener) != model.DefaultTimeoutMemberConnect || byCookie(pool)
}

func withoutMembers(pool *model.Pool) *model.Pool {
	head := *pool
	head.Members = nil
	return &head
}

// part translates a listener or pool, unless it can be taken from before, and adds what comes of it.
func (a *assembly) part(ref model.Ref, inputs fingerprint, work func(alone *translation)) *part {
	p := a.before[ref]
	if p == nil || p.inputs != inputs {
		alone := newTranslation(a.facts)
		work(alone)
		p = alone.asPart(inputs)
		if pool := alone.pools[ref.ID]; ref.Kind == model.KindPool && pool != nil {
			p.served, p.backups, p.monitored, p.endpoints = true, pool.backups, pool.monitor != nil, pool.endpoints
		}
	}
	a.parts[ref] = p
	for _, made := range p.made {
		a.out.put(made)
	}
	a.problems = append(a.problems, p.problems...)
	a.out.Notes = append(a.out.Notes, p.notes...)
	for _, name := range p.used {
		a.used[name] = true
	}
	return p
}

// asPart makes a part of what was translated alone.
func (t *translation) asPart(inputs fingerprint) *part {
	p := &part{inputs: inputs, problems: t.problems, notes: t.out.Notes}
	for name := range t.used {
		p.used = append(p.used, name)
	}
	for _, typeURL := range TypeURLs() {
		for name, message := range t.out.All(typeURL) {
			key := Key{typeURL, name}
			m := &made{key: key, owner: t.out.Owners[key], message: message}
			m.references, m.unreadable = references(message)
			p.made = append(p.made, m)
		}
	}
	return p
}

// put adds a resource.
func (r *Resources) put(m *made) {
	switch message := m.message.(type) {
	case *listenerv3.Listener:
		r.Listeners[m.key.Name] = message
	case *routev3.RouteConfiguration:
		r.Routes[m.key.Name] = message
	case *clusterv3.Cluster:
		r.Clusters[m.key.Name] = message
	case *endpointv3.ClusterLoadAssignment:
		r.Endpoints[m.key.Name] = message
	case *tlsv3.Secret:
		r.Secrets[m.key.Name] = message
	}
	r.Owners[m.key] = m.owner
	r.made[m.key] = m
}
