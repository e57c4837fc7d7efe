package integration

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/publish"
	"github.com/octavia-envoy/octavia-envoy/xds/server"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// badRegex makes a route that only Envoy finds out about: its protos' rules do not look into regular expressions.
func badRegex(resources *translate.Resources, name string) {
	routes := proto.CloneOf(resources.Routes[name])
	host := routes.GetVirtualHosts()[0]
	route := proto.CloneOf(host.GetRoutes()[0])
	route.Match = &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_SafeRegex{
		SafeRegex: &matcherv3.RegexMatcher{Regex: "/(unclosed"},
	}}
	host.Routes = append([]*routev3.Route{route}, host.GetRoutes()...)
	resources.Routes[name] = routes
}

func refusedBecause(t *testing.T, result publish.Result, typeURL, name, sentence string) {
	t.Helper()
	text, refused := result.Rejected[translate.Key{TypeURL: typeURL, Name: name}]
	if !refused || !strings.Contains(text, sentence) || len(result.Rejected) != 1 {
		t.Fatalf("refused %v, want %s with %q", result.Rejected, name, sentence)
	}
}

func TestRefusedListenerLeavesNeighboursAndHeals(t *testing.T) {
	c, e, _ := fixture(t)
	good, bad := listener(t, "l1", "p1"), listener(t, "l2", "p1")
	p := pool("p1", member(t, "m1"))
	want := func() *translate.Resources { return translated(t, []model.Listener{good, bad}, p) }

	broken := want()
	broken.Listeners["l2"].Address = broken.Listeners["l1"].GetAddress()
	refusedBecause(t, c.publish("amphora-1", broken), resource.ListenerType, "l2", "duplicate address")
	serves(t, good, "m1")
	if n := c.metric("nacks_total", "listener"); n != 1 || e.stat("listener_manager.lds.update_rejected") != 1 {
		t.Fatalf("%v NACKs", n)
	}

	c.accepted("amphora-1", want())
	serves(t, good, "m1")
	serves(t, bad, "m1")
}

// A refused route keeps the former one, and what that refers to, although the load balancer has it no longer.
func TestRefusedRouteKeepsTheLastGoodOne(t *testing.T) {
	c, _, _ := fixture(t)
	l, other := listener(t, "l1", "p1"), listener(t, "l2", "p2")
	m1, m2 := member(t, "m1"), member(t, "m2")
	c.accepted("amphora-1", translated(t, []model.Listener{l, other}, pool("p1", m1), pool("p2", m1)))
	traffic := startLoad(t, l)

	l.DefaultPoolID, other.DefaultPoolID = "p3", "p4"
	moved := func() *translate.Resources {
		return translated(t, []model.Listener{l, other}, pool("p3", m2), pool("p4", m2))
	}
	broken := moved()
	badRegex(broken, "l1")
	refusedBecause(t, c.publish("amphora-1", broken), resource.RouteType, "l1", "missing )")
	serves(t, l, "m1")
	serves(t, other, "m2")

	// What was taken back is what a restarted controller or Envoy starts from; trying again is refused again.
	refusedBecause(t, c.publish("amphora-1", broken), resource.RouteType, "l1", "missing )")
	serves(t, l, "m1")

	before := c.metric("nacks_total", "route")
	c.accepted("amphora-1", moved())
	serves(t, l, "m2")
	serves(t, other, "m2")
	traffic.lossless(t)
	if n := c.metric("nacks_total", "route") - before; n != 0 {
		t.Fatalf("%v NACKs of the corrected route", n)
	}
}

// Envoy stops at the first bad one of several routes in a message. All others have to be in effect nevertheless.
func TestRefusedRouteAmongManyIsFound(t *testing.T) {
	c, _, _ := fixture(t)
	m1, m2 := member(t, "m1"), member(t, "m2")
	var listeners []model.Listener
	for _, id := range []string{"la", "lb", "lc", "ld", "le", "lf"} {
		listeners = append(listeners, listener(t, id, "p1"))
	}
	c.accepted("amphora-1", translated(t, listeners, pool("p1", m1), pool("p2", m2)))
	for i := range listeners {
		listeners[i].DefaultPoolID = "p2"
	}
	broken := translated(t, listeners, pool("p1", m1), pool("p2", m2))
	badRegex(broken, "lc")
	refusedBecause(t, c.publish("amphora-1", broken), resource.RouteType, "lc", "missing )")
	for _, l := range listeners {
		serves(t, l, map[bool]string{true: "m1", false: "m2"}[l.ID == "lc"])
	}
}

func TestRefusedClusterIsUnavailableAlone(t *testing.T) {
	c, _, _ := fixture(t)
	good, bad := listener(t, "good", "p1"), listener(t, "bad", "p2")
	m := member(t, "m1")
	want := func() *translate.Resources {
		return translated(t, []model.Listener{good, bad}, pool("p1", m), pool("p2", m))
	}
	broken := want()
	broken.Clusters["p2"].HealthChecks = httpHealthCheck()
	broken.Clusters["p2"].HealthChecks[0].GetHttpHealthCheck().Path = "" // Refused by the rules of Envoy's proto.
	result := c.publish("amphora-1", broken)
	refusedBecause(t, result, resource.ClusterType, "p2", "HttpHealthCheckValidationError.Path: value length")
	if text := result.Rejected[translate.Key{TypeURL: resource.ClusterType, Name: "p2"}]; strings.Contains(text, "\n") {
		t.Fatalf("not a sentence: %q", text)
	}
	serves(t, good, "m1")
	if code, _ := fetch(t.Context(), newClient(t), bad); code != http.StatusServiceUnavailable {
		t.Fatalf("a route to a refused cluster answered %d, want 503", code)
	}
	c.accepted("amphora-1", want())
	serves(t, bad, "m1")
}

// What Envoy took from a message with a bad listener beside it, it does not count among what it holds when it reconnects.
// Back at the former version meanwhile, it would be believed to have that.
func TestGoodPartOfARefusalIsNotMistakenAfterReconnection(t *testing.T) {
	ca := testkit.NewAuthority(t)
	w := &warming{}
	c := startController(t, ca, w, "", nil)
	way := startRelay(t, c.address)
	w.envoy = startEnvoy(t, ca, "amphora-1", "amphora-1", way.address())
	l, bad, other := listener(t, "l1", "p1"), listener(t, "l2", "p1"), listener(t, "l3", "p1")
	p := pool("p1", member(t, "m1"))
	former := translated(t, []model.Listener{l, other}, p)
	c.accepted("amphora-1", translated(t, []model.Listener{l}, p))

	l.AllowedCIDRs = []string{"127.0.0.0/8"}
	broken := translated(t, []model.Listener{l, bad}, p)
	broken.Listeners["l2"].Address = broken.Listeners["l1"].GetAddress()
	refusedBecause(t, c.publish("amphora-1", broken), resource.ListenerType, "l2", "duplicate address")
	// Messages are in order: with the answer to this one, those that followed the refusal are answered.
	c.accepted("amphora-1", translated(t, []model.Listener{l, other}, p))

	way.lead("127.0.0.1:1")
	testkit.Until(t, "disconnected", func() bool { state, _ := c.server.NodeState("amphora-1"); return !state.Connected })
	done := testkit.Run(t, func(ctx context.Context) error {
		_, err := c.publisher.Publish(ctx, "amphora-1", former)
		return err
	})
	testkit.Until(t, "the former version is wanted", func() bool {
		res, err := server.NewResource(resource.ListenerType, former.Listeners["l1"])
		must(t, err)
		return c.server.Versions("amphora-1", resource.ListenerType)["l1"] == res.Version
	})
	way.lead(c.address)
	testkit.Eventually(t, func() error {
		diff, err := w.envoy.holds(c, "amphora-1", former)
		if err == nil && diff != "" {
			err = errors.New(diff)
		}
		return err
	})
	done()
}
