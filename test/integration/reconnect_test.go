package integration

import (
	"errors"
	"testing"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/publish"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

func TestRestartedControllerSendsNothing(t *testing.T) {
	c, e, ca := fixture(t)
	l := listener(t, "l1", "p1")
	want := translated(t, []model.Listener{l}, pool("p1", member(t, "m1")))
	c.accepted("amphora-1", want)
	traffic := startLoad(t, l)
	c.stop()

	again := startController(t, ca, &warming{e}, c.address, func(p *publish.Publisher) {
		must(t, p.Restore("amphora-1", want))
	})
	// It returns when Envoy has come back and holds all of it.
	again.accepted("amphora-1", want)
	if sent := again.sent(); len(sent) > 0 {
		t.Fatalf("the new controller sent %v", sent)
	}
	traffic.lossless(t)
}

// A controller dies between storing a change and publishing it: its successor has to publish it in phases, although it
// does not know what Envoy holds, and remove what only Envoy knows.
func TestRestartedControllerFinishesTheChange(t *testing.T) {
	for _, restored := range []string{"not restored", "old restored"} {
		t.Run(restored, func(t *testing.T) {
			c, e, ca := fixture(t)
			l, m1, m2 := listener(t, "l1", "p1"), member(t, "m1"), member(t, "m2")
			old := translated(t, []model.Listener{l}, pool("p1", m1))
			c.accepted("amphora-1", old)
			traffic := startLoad(t, l)
			c.stop()

			again := startController(t, ca, &warming{e}, c.address, func(p *publish.Publisher) {
				if restored == "old restored" {
					must(t, p.Restore("amphora-1", old))
				}
			})
			l.DefaultPoolID = "p2"
			again.accepted("amphora-1", translated(t, []model.Listener{l}, pool("p2", m2)))
			traffic.lossless(t)
			serves(t, l, "m2")
			if n := e.stat("cluster_manager.active_clusters"); n != 3 {
				t.Fatalf("%d clusters left, want the pool's, the controller's and that of the metrics", n)
			}
		})
	}
}

// A controller that knows nothing of the node says nothing: silence leaves everything as it is.
func TestUnknownNodeStaysSilent(t *testing.T) {
	c, _, ca := fixture(t)
	l := listener(t, "l1", "p1")
	c.accepted("amphora-1", translated(t, []model.Listener{l}, pool("p1", member(t, "m1"))))
	c.stop()
	again := startController(t, ca, nil, c.address, nil)
	testkit.Until(t, "Envoy said what it holds", func() bool {
		return len(again.server.Held("amphora-1", resource.ListenerType)) == 1
	})
	if sent := again.sent(); len(sent) > 0 {
		t.Fatalf("sent %v to an unknown node", sent)
	}
	serves(t, l, "m1")
}

func TestRestartedEnvoyGetsEverything(t *testing.T) {
	c, e, ca := fixture(t)
	l := listener(t, "l1", "p1")
	want := translated(t, []model.Listener{l}, pool("p1", member(t, "m1")))
	c.accepted("amphora-1", want)
	e.cancel()
	testkit.Until(t, "the stream is closed", func() bool {
		state, _ := c.server.NodeState("amphora-1")
		return !state.Connected
	})
	startEnvoy(t, ca, "amphora-1", "amphora-1", c.address)
	testkit.Until(t, "everything is acknowledged again", func() bool {
		state, _ := c.server.NodeState("amphora-1")
		for _, res := range state.Resources {
			if res.Acked != res.Version {
				return false
			}
		}
		return state.Connected && len(state.Resources) == 4
	})
	client := newClient(t)
	testkit.Until(t, "the listener serves", func() bool { _, body := fetch(t.Context(), client, l); return body == "m1" })
}

// What a node gets is decided by its certificate, whatever its bootstrap says.
func TestForeignNodeIDGetsItsOwn(t *testing.T) {
	ca := testkit.NewAuthority(t)
	w := &warming{}
	c := startController(t, ca, w, "", nil)
	victim, own := listener(t, "victim", "p1"), listener(t, "own", "p2")
	m := member(t, "m1")
	must(t, c.publisher.Restore("amphora-1", translated(t, []model.Listener{victim}, pool("p1", m))))
	w.envoy = startEnvoy(t, ca, "amphora-2", "amphora-1", c.address)
	c.accepted("amphora-2", translated(t, []model.Listener{own}, pool("p2", m)))
	serves(t, own, "m1")
	if code, _ := fetch(t.Context(), newClient(t), victim); code != 0 {
		t.Fatalf("the listener of another amphora answered %d", code)
	}
	if state, _ := c.server.NodeState("amphora-1"); state.Connected {
		t.Fatal("a foreign node id was believed")
	}
}

// A listener and its cluster go and come back with the same names of routes and endpoints. go-control-plane's caches
// leave a subscription to something known unanswered, and Envoy then waits for 15 s.
func TestSameNamesComeBack(t *testing.T) {
	c, e, _ := fixture(t)
	l, stays := listener(t, "l1", "p1"), listener(t, "l2", "p2")
	p1, p2 := pool("p1", member(t, "m1")), pool("p2", member(t, "m2"))
	client := newClient(t)
	for range 5 {
		c.accepted("amphora-1", translated(t, []model.Listener{l, stays}, p1, p2))
		// The sockets of a removed listener close a little later, and reset what the kernel gave them.
		testkit.Until(t, "the listener serves", func() bool { _, body := fetch(t.Context(), client, l); return body == "m1" })
		c.accepted("amphora-1", translated(t, []model.Listener{stays}, p2))
		serves(t, stays, "m2")
	}
	if n := e.fetchTimeouts(); n > 0 {
		t.Fatalf("Envoy gave up waiting for a resource %d times", n)
	}
}

// The same without phases, as fast as it goes: removal and return may reach Envoy while the former is under way.
func TestSameNamesComeBackAtOnce(t *testing.T) {
	c, e, _ := fixture(t)
	l, stays := listener(t, "l1", "p1"), listener(t, "l2", "p2")
	p1, p2 := pool("p1", member(t, "m1")), pool("p2", member(t, "m2"))
	both := func() *translate.Resources { return translated(t, []model.Listener{l, stays}, p1, p2) }
	c.accepted("amphora-1", both())
	for range 20 {
		c.server.Update("amphora-1", resource.ListenerType, nil, []string{"l1"})
		c.server.Update("amphora-1", resource.ClusterType, nil, []string{"p1"})
		must(t, c.publisher.Restore("amphora-1", both()))
	}
	c.accepted("amphora-1", both())
	// The sockets of a removed listener close a little later, and reset what the kernel gave them.
	client := newClient(t)
	testkit.Until(t, "the listener serves", func() bool { _, body := fetch(t.Context(), client, l); return body == "m1" })
	if n := e.fetchTimeouts(); n > 0 {
		t.Fatalf("Envoy gave up waiting for a resource %d times", n)
	}
}

// Envoy does not ask for endpoints that it has: neither when a cluster changes and keeps the name of its endpoints, nor
// when it returns to what it was while its successor warms. Each such change took 15 s.
func TestChangedClusterWarmsAtOnce(t *testing.T) {
	c, e, _ := fixture(t)
	l, p := listener(t, "l1", "p1"), pool("p1", member(t, "m1"))
	want := func(connectTimeout time.Duration) *translate.Resources {
		resources := translated(t, []model.Listener{l}, p)
		resources.Clusters["p1"].ConnectTimeout = durationpb.New(connectTimeout)
		resources.Clusters["p1"].HealthChecks = httpHealthCheck()
		return resources
	}
	c.accepted("amphora-1", want(time.Second))
	traffic := startLoad(t, l)
	c.accepted("amphora-1", want(2*time.Second))
	c.accepted("amphora-1", want(3*time.Second))

	// Superseded while it warms, by what was there before.
	older, begun := make(chan error, 1), c.metric("resources_sent_total", "cluster")
	go func() {
		_, err := c.publisher.Publish(t.Context(), "amphora-1", want(4*time.Second))
		older <- err
	}()
	testkit.Until(t, "the cluster was sent", func() bool { return c.metric("resources_sent_total", "cluster") > begun })
	c.accepted("amphora-1", want(3*time.Second))
	if err := <-older; !errors.Is(err, publish.ErrSuperseded) {
		t.Fatal(err)
	}
	traffic.lossless(t)
	if n := e.fetchTimeouts(); n > 0 {
		t.Fatalf("Envoy gave up waiting for endpoints %d times", n)
	}
}

// A listener gives its address to another one while no controller runs; the next one knows of the former no more than its name.
// Envoy would refuse the new one as long as the former is there.
func TestAddressIsTakenFromAnUnknownListener(t *testing.T) {
	for _, protocol := range []string{model.ProtocolUDP, model.ProtocolHTTP} {
		t.Run(protocol, func(t *testing.T) {
			c, e, ca := fixture(t)
			former := listener(t, "former", "p1")
			former.Protocol = protocol
			if protocol == model.ProtocolUDP {
				former.DefaultPoolID = "" // and no cluster to wait for
			}
			successor := former
			successor.ID = "successor"
			c.accepted("amphora-1", translated(t, []model.Listener{former}, pool("p1", member(t, "m1"))))
			c.stop()

			again := startController(t, ca, &warming{e}, c.address, nil)
			again.accepted("amphora-1", translated(t, []model.Listener{successor}, pool("p1", member(t, "m1"))))
			if held := again.server.Held("amphora-1", resource.ListenerType); len(held) != 1 || held["successor"] == "" {
				t.Errorf("Envoy holds %v", held)
			}
			if nacks := again.metric("nacks_total", "listener"); nacks > 0 {
				t.Errorf("%v messages were refused", nacks)
			}
		})
	}
}
