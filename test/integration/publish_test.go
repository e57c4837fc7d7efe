package integration

import (
	"maps"
	"strconv"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// fixture is a controller with one Envoy.
func fixture(t *testing.T) (*controller, *envoy, *testkit.Authority) {
	t.Helper()
	ca := testkit.NewAuthority(t)
	w := &warming{}
	c := startController(t, ca, w, "", nil)
	w.envoy = startEnvoy(t, ca, "amphora-1", "amphora-1", c.address)
	return c, w.envoy, ca
}

func TestPublishServesTraffic(t *testing.T) {
	for _, transport := range []string{"tcp", "unix"} {
		t.Run(transport, func(t *testing.T) {
			ca := testkit.NewAuthority(t)
			w := &warming{}
			c := startController(t, ca, w, "", nil)
			xds := map[string]string{"tcp": c.address, "unix": c.socket}[transport]
			w.envoy = startEnvoy(t, ca, "amphora-1", "amphora-1", xds)

			l := listener(t, "l1", "p1")
			c.accepted("amphora-1", translated(t, []model.Listener{l}, pool("p1", member(t, "m1"))))
			serves(t, l, "m1")
		})
	}
}

func TestEmptyLoadBalancerEndsEnvoysStart(t *testing.T) {
	c, e, _ := fixture(t)
	c.accepted("amphora-1", translate.NewResources())
	testkit.Until(t, "Envoy is live", func() bool {
		text, err := e.get(t.Context(), "/ready")
		return err == nil && text == "LIVE\n"
	})
}

func TestMemberChangeIsOnePushOfEndpoints(t *testing.T) {
	c, _, _ := fixture(t)
	l, first, second := listener(t, "l1", "p1"), member(t, "m1"), member(t, "m2")
	c.accepted("amphora-1", translated(t, []model.Listener{l}, pool("p1", first)))
	before := c.sent()

	c.accepted("amphora-1", translated(t, []model.Listener{l}, pool("p1", second)))

	if sent, want := since(before, c.sent()), map[string]float64{"endpoint": 1}; !maps.Equal(sent, want) {
		t.Fatalf("sent %v, want %v", sent, want)
	}
	serves(t, l, "m2")
}

func TestPublishAgainSendsNothing(t *testing.T) {
	c, _, _ := fixture(t)
	l, m := listener(t, "l1", "p1"), member(t, "m1")
	c.accepted("amphora-1", translated(t, []model.Listener{l}, pool("p1", m)))
	before := c.sent()
	result := c.accepted("amphora-1", translated(t, []model.Listener{l}, pool("p1", m)))
	if sent := since(before, c.sent()); len(sent) > 0 || result.Updated+result.Removed > 0 {
		t.Fatalf("sent %v, result %+v", sent, result)
	}
}

// A listener moves to a new pool and the old one goes, again and again, under load. All in one step lost 207 of 18,523
// requests here, and 7,741 of 23,107 when the ACK of a pool with a health monitor was taken for ready.
func TestMoveToNewPoolLosesNothing(t *testing.T) {
	for name, test := range map[string]struct {
		moves     int
		monitored bool
	}{
		"no health monitor": {moves: 20}, "health monitor": {moves: 6, monitored: true},
	} {
		t.Run(name, func(t *testing.T) {
			c, e, _ := fixture(t)
			l, members := listener(t, "l1", ""), []model.Member{member(t, "m0"), member(t, "m1")}
			want := func(i int) *translate.Resources {
				l.DefaultPoolID = "p" + strconv.Itoa(i)
				resources := translated(t, []model.Listener{l}, pool(l.DefaultPoolID, members[i%2]))
				if test.monitored {
					for _, cluster := range resources.Clusters {
						cluster.HealthChecks = httpHealthCheck()
					}
				}
				return resources
			}
			c.accepted("amphora-1", want(0))
			serves(t, l, "m0")
			traffic := startLoad(t, l)
			for i := 1; i <= test.moves; i++ {
				c.accepted("amphora-1", want(i))
				traffic.more(t, 25)
			}
			traffic.lossless(t)
			serves(t, l, "m0")
			if n := e.stat("cluster_manager.active_clusters"); n != 3 {
				t.Fatalf("%d clusters left, want the pool's, the controller's and that of the metrics", n)
			}
		})
	}
}

// httpHealthCheck makes a new cluster's members unfit until the first probe has been answered, which is after the ACK.
func httpHealthCheck() []*corev3.HealthCheck {
	return []*corev3.HealthCheck{{
		Timeout: durationpb.New(5 * time.Second), Interval: durationpb.New(100 * time.Millisecond),
		UnhealthyThreshold: wrapperspb.UInt32(3), HealthyThreshold: wrapperspb.UInt32(1),
		HealthChecker: &corev3.HealthCheck_HttpHealthCheck_{HttpHealthCheck: &corev3.HealthCheck_HttpHealthCheck{Path: slowPath}},
	}}
}

// What Envoy serves with after it has changed a listener in place is what it acknowledged.
func TestListenerChangedInPlaceIsInEffect(t *testing.T) {
	c, e, _ := fixture(t)
	l, p := listener(t, "l1", "p1"), pool("p1", member(t, "m1"))
	for i, cidrs := range [][]string{nil, {"127.0.0.0/8"}, {"127.0.0.0/8", "10.0.0.0/8"}, nil} {
		l.AllowedCIDRs = cidrs
		want := translated(t, []model.Listener{l}, p)
		c.accepted("amphora-1", want)
		if n := e.stat("listener_manager.listener_in_place_updated"); n != i {
			t.Fatalf("%d changes in place, want %d", n, i)
		}
		diff, err := e.holds(c, "amphora-1", want)
		must(t, err)
		if diff != "" {
			t.Fatalf("allowed CIDRs %v: what Envoy holds (-want +got):\n%s", cidrs, diff)
		}
	}
}
