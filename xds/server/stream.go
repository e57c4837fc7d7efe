package server

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
)

// stream is one ADS stream of a node. It is both what go-control-plane's delta server asks for resources and what it
// tells of requests and responses, in this order, from one goroutine:
//
//	OnStreamDeltaRequest ─► CreateDeltaWatch ─► … ─► OnStreamDeltaResponse
type stream struct {
	server *Server
	node   *node
	// types are the types that were asked for on this stream; guarded, as all below, by node.mu.
	types map[string]*held
	// watches are the types on which nothing is on its way and more may be sent.
	watches map[string]*watch
	// last are the newest watches of each type, also when answered, and overdue the types whose answer is looked after, see
	// sendLate.
	last    map[string]*watch
	overdue map[string]*time.Timer
}

// watch is go-control-plane's wish to be told the next change of one type. It is answered once, but see sendLate.
type watch struct {
	request *discoveryv3.DeltaDiscoveryRequest
	answers chan cache.DeltaResponse
}

// held is what Envoy says that it holds of one type.
type held struct {
	// wildcard is whether it wants all, subscribed what it wants by name.
	wildcard   bool
	subscribed map[string]struct{}
	// told are the versions that were sent and Envoy may have, acked those that it confirmed.
	told, acked map[string]string
	// alone are resources to be sent each in a message of its own, to find the bad one.
	alone map[string]struct{}
	// inflight are the messages without an answer yet, by nonce.
	inflight map[string]sent
	// queued are the messages that are on their way to the stream, and not in inflight yet.
	queued int
	// greeted is whether anything was sent; Envoy ends its start only after a first answer, be it empty.
	greeted bool
}

// sent is one message to Envoy.
type sent struct {
	set     map[string]string
	removed []string
	at      time.Time
}

func newHeld() *held {
	return &held{
		subscribed: map[string]struct{}{},
		told:       map[string]string{},
		acked:      map[string]string{},
		alone:      map[string]struct{}{},
		inflight:   map[string]sent{},
	}
}

// wants says whether a resource is subscribed to.
func (h *held) wants(name string) bool {
	if h.wildcard {
		return true
	}
	_, ok := h.subscribed[name]
	return ok
}

func (s *Server) openStream(id string) *stream {
	n := s.nodes.lock(id)
	defer n.mu.Unlock()
	st := &stream{
		server: s, node: n, types: map[string]*held{},
		watches: map[string]*watch{}, last: map[string]*watch{}, overdue: map[string]*time.Timer{},
	}
	n.streams[st] = struct{}{}
	n.newest, n.connected, n.since = st, true, s.clock()
	n.broadcast()
	s.metrics.streams.Inc()
	return st
}

func (st *stream) close() {
	n := st.node
	n.mu.Lock()
	delete(n.streams, st)
	st.watches = nil
	for _, timer := range st.overdue {
		timer.Stop()
	}
	for _, h := range st.types {
		// The answers will never come.
		h.inflight = map[string]sent{}
	}
	if n.newest == st {
		n.connected, n.since = false, st.server.clock()
	}
	n.broadcast()
	n.mu.Unlock()
	st.server.metrics.streams.Dec()
	st.server.nodes.forget(n.id)
}

// CreateWatch answers state-of-the-world requests: with an error, see ads.go.
func (st *stream) CreateWatch(*cache.Request, cache.Subscription, chan cache.Response) (func(), error) {
	return nil, errors.New("only delta xDS is served")
}

// CreateDeltaWatch answers at once if there is something to tell, else when there will be. The subscription of
// go-control-plane is not used: what was asked for and told is in held, where resources that have to be sent again can
// be marked.
func (st *stream) CreateDeltaWatch(
	req *cache.DeltaRequest, _ cache.Subscription, answers chan cache.DeltaResponse,
) (func(), error) {
	n := st.node
	n.mu.Lock()
	defer n.mu.Unlock()
	typeURL := req.GetTypeUrl()
	w := &watch{request: req, answers: answers}
	st.last[typeURL] = w
	if !st.answer(typeURL, w, nil) {
		st.watches[typeURL] = w
	}
	// Called before the next request of the type, and before the channel is closed.
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if st.watches[typeURL] == w {
			delete(st.watches, typeURL)
		}
		if st.last[typeURL] == w {
			delete(st.last, typeURL)
		}
	}, nil
}

// OnDeltaStreamOpen is nothing to us: openStream has been called with the identity.
func (st *stream) OnDeltaStreamOpen(context.Context, int64, string) error { return nil }

// OnDeltaStreamClosed is nothing to us: close will be called.
func (st *stream) OnDeltaStreamClosed(int64, *corev3.Node) {}

// OnStreamDeltaRequest notes what Envoy has, wants, took and refused.
func (st *stream) OnStreamDeltaRequest(_ int64, req *discoveryv3.DeltaDiscoveryRequest) error {
	n := st.node
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.newest == st && req.GetNode().GetUserAgentName() != "" {
		n.info = req.GetNode()
	}
	typeURL := req.GetTypeUrl()
	h := st.types[typeURL]
	if h == nil {
		h = newHeld()
		st.types[typeURL] = h
		st.greet(typeURL, h, req)
	}
	st.settle(typeURL, h, req)
	st.subscribe(typeURL, h, req)
	n.broadcast()
	return nil
}

// OnStreamDeltaResponse notes what is on its way to Envoy.
func (st *stream) OnStreamDeltaResponse(
	_ int64, _ *discoveryv3.DeltaDiscoveryRequest, resp *discoveryv3.DeltaDiscoveryResponse,
) {
	n := st.node
	n.mu.Lock()
	defer n.mu.Unlock()
	h := st.types[resp.GetTypeUrl()]
	if h == nil {
		return
	}
	h.queued--
	message := sent{set: map[string]string{}, removed: resp.GetRemovedResources(), at: st.server.clock()}
	for _, res := range resp.GetResources() {
		message.set[res.GetName()] = res.GetVersion()
	}
	h.inflight[resp.GetNonce()] = message
	st.server.metrics.sent(resp)
	st.server.logger.Debug("sent", "amphora", n.id, "kind", Kind(resp.GetTypeUrl()), "nonce", resp.GetNonce(),
		"set", slices.Sorted(maps.Keys(message.set)), "removed", message.removed)
}
