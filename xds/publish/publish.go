package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/octavia-envoy/octavia-envoy/xds/server"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// ErrSuperseded is returned by a Publish in whose place a newer one for the same amphora runs.
var ErrSuperseded = errors.New("superseded by a newer configuration")

// Warming asks an amphora whether its Envoy is ready for what it has acknowledged.
type Warming interface {
	// Warm returns nil when no cluster and no listener of the node's Envoy is warming, after everything acknowledged so
	// far; an error when ctx ends before that.
	Warm(ctx context.Context, node string) error
}

// Server is what a Publisher needs of the xDS server; *server.Server implements it.
type Server interface {
	Update(node, typeURL string, set map[string]*server.Resource, remove []string)
	Revert(node string, key server.Key) (unknown bool)
	Resource(node string, key server.Key) *server.Resource
	Versions(node, typeURL string) map[string]string
	Held(node, typeURL string) map[string]string
	Rejections(node string) map[server.Key]server.Rejection
	Wait(ctx context.Context, node string, want map[server.Key]string, gone []server.Key) error
	WaitTold(ctx context.Context, node string, typeURLs ...string) error
	Adopt(node, typeURL string, all map[string]*server.Resource)
	RemoveNode(node string)
}

// Result is what came of a Publish.
type Result struct {
	// Rejected are the resources that Envoy refused, with its own sentence. The last good ones are in effect instead.
	Rejected map[translate.Key]string
	// Updated and Removed are the numbers of resources that were set and removed.
	Updated, Removed int
}

// Publisher publishes; one for all amphorae.
type Publisher struct {
	// Metrics may be set before the first Publish; nil measures nothing.
	Metrics *Metrics
	// Checks may be set before the first Publish. Without, no member waits until another one has been checked.
	Checks Checks
	// Deadlines are those of the phases; DefaultDeadlines at first.
	Deadlines Deadlines

	server  Server
	warming Warming
	logger  *slog.Logger

	mu    sync.Mutex
	nodes map[string]*state
}

// state is what has to be remembered of a node between two Publish calls.
type state struct {
	// turn holds one token: who has it publishes.
	turn chan struct{}
	// running has the turn and waiting is the newest that wants it; unfinished is since when no Publish has come to its end,
	// zero if the last one has. Guarded by Publisher.mu.
	running, waiting *holder
	unfinished       time.Time
	// count is how many have had the turn.
	count uint64

	// The rest belongs to who has the turn.

	// pending are versions that were given to the server and not seen acknowledged, by this or an interrupted Publish.
	pending map[server.Key]string
	// warm is whether Envoy was seen warm since a cluster or listener was last set.
	warm bool
	// told is whether Envoy said what it holds since this process knows the node.
	told bool
	// led are clusters that traffic was led to though Envoy had not acknowledged them, since another one was warming.
	led map[string]struct{}
	// leaving are endpoints that are not wanted any more and stay until another one has been checked: when they go at the
	// latest, by the name of the endpoints and address and port.
	leaving map[string]map[string]time.Time
}

// New makes a Publisher. Without warming an ACK is taken for ready.
func New(srv Server, warming Warming, logger *slog.Logger) *Publisher {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Publisher{Deadlines: DefaultDeadlines(), server: srv, warming: warming, logger: logger, nodes: map[string]*state{}}
}

// Publish brings want to the node and returns when its Envoy has acknowledged all and is warm, or refused some, which is
// no error but in the result. Of several for one node the newest runs, and the older return ErrSuperseded; but one that came
// in place of others that did not end is left some time to itself, so that changes that never cease come into effect.
//
// When ctx ends early, or a phase takes longer than its deadline, which is an ErrLate, what was set stays set, traffic goes
// where it is sure to be answered, and the next Publish goes on from there.
func (p *Publisher) Publish(ctx context.Context, node string, want *translate.Resources) (Result, error) {
	resources, err := marshal(want)
	if err != nil {
		return Result{}, fmt.Errorf("publish to amphora %s: %w", node, err)
	}
	st, ctx, done, err := p.turn(ctx, node)
	if err != nil {
		return Result{}, fmt.Errorf("publish to amphora %s: %w", node, err)
	}
	ended := false
	defer func() { done(ended) }()
	r := &run{
		publisher: p, state: st, node: node, want: want, resources: resources,
		result:   Result{Rejected: map[translate.Key]string{}},
		withheld: map[server.Key]bool{}, again: map[server.Key]time.Time{}, stays: map[string]*stay{},
	}
	if err := r.phases(ctx); err != nil {
		ended = errors.Is(err, ErrLate)
		return r.result, fmt.Errorf("publish to amphora %s: %w", node, err)
	}
	ended = true
	if r.result.Updated+r.result.Removed > 0 {
		p.logger.Info("published", "amphora", node, "updated", r.result.Updated, "removed", r.result.Removed,
			"rejected", len(r.result.Rejected))
	}
	return r.result, nil
}

// Remove forgets an amphora that is gone for good; a Publish to it that is under way ends.
func (p *Publisher) Remove(node string) {
	p.mu.Lock()
	if st := p.nodes[node]; st != nil {
		for _, publish := range []*holder{st.running, st.waiting} {
			if publish != nil {
				publish.cancel(server.ErrRemoved)
			}
		}
	}
	delete(p.nodes, node)
	p.mu.Unlock()
	p.server.RemoveNode(node)
}

// marshal makes each resource ready to be sent, by type and name.
func marshal(resources *translate.Resources) (map[string]map[string]*server.Resource, error) {
	all := map[string]map[string]*server.Resource{}
	for _, typeURL := range translate.TypeURLs() {
		byName := map[string]*server.Resource{}
		for name, message := range resources.All(typeURL) {
			wire, err := resources.Wire(translate.Key{TypeURL: typeURL, Name: name})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", server.Kind(typeURL), err)
			}
			byName[name] = server.Marshalled(typeURL, message, wire.Bytes, wire.Version)
		}
		all[typeURL] = byName
	}
	return all, nil
}
