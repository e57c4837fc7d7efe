package integration

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

func loadBalancer(listeners []model.Listener, pools ...model.Pool) *model.LoadBalancer {
	return &model.LoadBalancer{ID: "lb", AdminStateUp: true, VIPAddress: "127.0.0.1", Listeners: listeners, Pools: pools}
}

// Two controllers on one store. An amphora that moves between them is sent nothing that it has, keeps what the other gave it,
// loses what the other removed, and is worked on where it is.
func TestMoveToAnotherReplica(t *testing.T) {
	s := startStack(t)
	w := &warming{}
	first := s.controller(w)
	way := startRelay(t, first.address)
	w.envoy = startEnvoy(t, s.ca, "lb", "lb", way.address())
	l, p1, p2 := listener(t, "l1", "p1"), pool("p1", member(t, "m1")), pool("p2", member(t, "m2"))
	s.change(loadBalancer([]model.Listener{l}, p1, pool("gone", member(t, "m3"))))
	s.active("lb")
	serves(t, l, "m1")
	// It begins with what is stored now, which will be old when the amphora comes.
	second := s.controller(w)
	traffic := startLoad(t, l)

	l.DefaultPoolID = "p2"
	s.change(loadBalancer([]model.Listener{l}, p1, p2))
	s.active("lb")
	if sent := second.sent(); len(sent) > 0 {
		t.Fatalf("the controller without the amphora sent %v", sent)
	}

	moved := func(to, from *replica) {
		t.Helper()
		before := to.sent()
		way.lead(to.address)
		testkit.Until(t, "the amphora has moved and said what it has", func() bool {
			return to.connected("lb") && to.server.Held("lb", resource.ListenerType) != nil &&
				to.server.Held("lb", resource.ClusterType) != nil && !from.connected("lb")
		})
		if sent := since(before, to.sent()); len(sent) > 0 {
			t.Fatalf("the move sent %v", sent)
		}
	}
	moved(second, first)
	serves(t, l, "m2")
	s.change(loadBalancer([]model.Listener{l}, p2))
	s.active("lb")
	if held := second.server.Held("lb", resource.ClusterType); len(held) != 1 {
		t.Fatalf("left: %v", held)
	}
	moved(first, second)
	l.DefaultPoolID = "p1"
	s.change(loadBalancer([]model.Listener{l}, p1))
	s.active("lb")
	serves(t, l, "m1")

	// A restarted Envoy finds everything at the replica that it comes to, though the other one gave it.
	traffic.lossless(t)
	way.lead(second.address)
	w.envoy.cancel()
	w.envoy = startEnvoy(t, s.ca, "lb", "lb", way.address())
	client := newClient(t)
	testkit.Until(t, "the listener serves", func() bool { _, body := fetch(t.Context(), client, l); return body == "m1" })
}

// A thousand changes in a row, while Envoy answers, come into effect by far fewer pushes: how many is a matter of how long they
// take. That it is bounded by time and not by their count is what TestBurstWhileHeld says.
func TestBurstOfChanges(t *testing.T) {
	s := startStack(t)
	w := &warming{}
	c := s.controller(w)
	w.envoy = startEnvoy(t, s.ca, "lb", "lb", c.address)
	l, members := listener(t, "l1", "p1"), []model.Member{member(t, "m1"), member(t, "m2")}
	p := pool("p1", members[0])
	s.change(loadBalancer([]model.Listener{l}, p))
	s.active("lb")
	before := c.metric("pushes_total", "endpoint")
	const changes = 1000
	for i := range changes {
		p.Members = []model.Member{members[(i+1)%2]}
		p.Members[0].Weight = 1 + i%100
		s.change(loadBalancer([]model.Listener{l}, p))
	}
	s.active("lb")
	serves(t, l, "m1")
	pushes := c.metric("pushes_total", "endpoint") - before
	t.Logf("%d changes were %v pushes", changes, pushes)
	if pushes > changes/2 {
		t.Errorf("%d changes were %v pushes", changes, pushes)
	}
}

// held is an Envoy that is found to be warm when the test says so.
type held struct{ asked, warm chan struct{} }

// Warm implements publish.Warming.
func (h *held) Warm(ctx context.Context, _ string) error {
	select {
	case h.asked <- struct{}{}:
	default:
	}
	select {
	case <-h.warm:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// What a burst sends is bounded by time, not by count: all changes that arrive while one is under way are one more, a hundred as
// well as a thousand, and it is the last state that arrives.
func TestBurstWhileHeld(t *testing.T) {
	t.Parallel()
	var costs []map[string]float64
	for _, changes := range []int{100, 1000} {
		s := startStack(t)
		h := &held{asked: make(chan struct{}, 1), warm: make(chan struct{})}
		c := s.controller(h)
		// As long as a slow machine may need for all the others while the first is under way.
		c.publisher.Deadlines.Warm = testkit.Patience
		startEnvoy(t, s.ca, "lb", "lb", c.address)
		l, members := listener(t, "l1", "p1"), []model.Member{member(t, "first"), member(t, "passing"), member(t, "last")}
		s.change(loadBalancer([]model.Listener{l}, pool("p1", members[0])))
		select {
		case <-h.asked:
		case <-time.After(testkit.Patience):
			t.Fatal("the first change is not under way")
		}
		for i := range changes - 1 {
			passing := members[1]
			passing.Weight = 1 + i%100
			s.change(loadBalancer([]model.Listener{l}, pool("p1", passing)))
		}
		s.change(loadBalancer([]model.Listener{l}, pool("p1", members[2])))
		close(h.warm)
		s.active("lb")
		serves(t, l, "last")
		pushes := map[string]float64{}
		for _, kind := range []string{"cluster", "endpoint", "listener", "route"} {
			pushes[kind] = c.metric("pushes_total", kind)
		}
		t.Logf("%d changes while one was under way were %v pushes", changes, pushes)
		costs = append(costs, pushes)
	}
	if !maps.Equal(costs[0], costs[1]) {
		t.Errorf("a hundred changes were %v pushes, a thousand %v", costs[0], costs[1])
	}
}

// Both sides of a connection on which nothing arrives any more notice by themselves, and the amphora comes back.
func TestHalfOpenConnection(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	w := &warming{}
	c := s.controller(w)
	way := startRelay(t, c.address)
	w.envoy = startEnvoy(t, s.ca, "lb", "lb", way.address())
	l, p := listener(t, "l1", "p1"), pool("p1", member(t, "m1"))
	s.change(loadBalancer([]model.Listener{l}, p))
	s.active("lb")
	before, accepted := c.sent(), way.count()
	way.swallow()
	// Envoy notices after keepaliveInterval and keepaliveTimeout, 15 s, the controller after pingAfter and pingTimeout, 20 s.
	testkit.Until(t, "the amphora has come back", func() bool { return way.count() > accepted && c.connected("lb") })
	p.Members = []model.Member{member(t, "m2")}
	s.change(loadBalancer([]model.Listener{l}, p))
	s.active("lb")
	serves(t, l, "m2")
	// Twice while the dead connection is not known to be dead. Of two that live, as in a hot restart, both want it.
	if sent := since(before, c.sent()); len(sent) != 1 || sent["endpoint"] > 2 {
		t.Fatalf("sent %v", sent)
	}
	testkit.Until(t, "the controller has let go of the dead connection", func() bool { return c.gauge("octavia_envoy_xds_streams") == 1 })
}
