package integration

import (
	"context"
	"errors"
	"maps"
	"net"
	"strings"
	"testing"
	"time"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/publish"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// hanging is a member that takes connections and says nothing.
func hanging(t *testing.T, name string) model.Member {
	t.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var held []net.Conn
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			connection, err := socket.Accept()
			if err != nil {
				return
			}
			held = append(held, connection)
		}
	}()
	t.Cleanup(func() {
		_ = socket.Close()
		<-ended
		for _, connection := range held {
			_ = connection.Close()
		}
	})
	m := member(t, name)
	m.ProtocolPort = socket.Addr().(*net.TCPAddr).Port
	return m
}

// soon are deadlines for tests in which something is late for certain.
func soon() publish.Deadlines {
	return publish.Deadlines{Widen: 3 * time.Second, Warm: 3 * time.Second, Shift: 20 * time.Second, Narrow: 20 * time.Second}
}

// late publishes and fails the test unless a phase was not in time.
func (c *controller) late(node string, want *translate.Resources, phase string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), testkit.Patience)
	defer cancel()
	_, err := c.publisher.Publish(ctx, node, want)
	if !errors.Is(err, publish.ErrLate) || !strings.Contains(err.Error(), phase) {
		c.t.Fatalf("got %v, want %s to be late", err, phase)
	}
}

// A listener moves to a pool whose monitor's first check never ends. Envoy answers nothing about clusters meanwhile. The
// listener has to stay where it is, its neighbours have to go on, and the correction has to come through.
func TestPoolThatNeverWarms(t *testing.T) {
	for _, way := range []string{"the monitor goes", "the pool goes", "the member goes"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			c, _, _ := fixture(t)
			c.publisher.Deadlines = soon()
			l, neighbour, m1, m2 := listener(t, "l1", "p1"), listener(t, "l2", "p1"), member(t, "m1"), member(t, "m2")
			p1, p2 := pool("p1", m1), pool("p2", m2)
			c.accepted("amphora-1", translated(t, []model.Listener{l, neighbour}, p1, p2))
			traffic := startLoad(t, l)

			moved, fresh := l, listener(t, "l3", "stuck")
			moved.DefaultPoolID, neighbour.DefaultPoolID = "stuck", "p2"
			listeners := []model.Listener{moved, neighbour, fresh}
			want := func(monitored bool, members ...model.Member) *translate.Resources {
				resources := translated(t, listeners, p1, p2, pool("stuck", members...))
				if monitored {
					checks := httpHealthCheck()
					checks[0].Timeout = durationpb.New(time.Hour)
					resources.Clusters["stuck"].HealthChecks = checks
					// The idle timeout in there would end the check.
					resources.Clusters["stuck"].TypedExtensionProtocolOptions = nil
				}
				return resources
			}
			slow := hanging(t, "hangs")
			c.late("amphora-1", want(true, m2, slow), "widen")
			serves(t, l, "m1")
			serves(t, neighbour, "m2")
			if code, _ := fetch(t.Context(), newClient(t), fresh); code != 0 {
				t.Fatalf("a new listener without a pool that is ready answers %d", code)
			}
			// What needs no cluster comes into effect as long as that lasts.
			neighbour.DefaultPoolID = "p1"
			listeners[1] = neighbour
			c.late("amphora-1", want(true, m2, slow), "widen")
			serves(t, neighbour, "m1")
			neighbour.DefaultPoolID = "p2"
			listeners[1] = neighbour

			switch way {
			case "the monitor goes":
				c.accepted("amphora-1", want(false, m2))
				serves(t, l, "m2")
				serves(t, fresh, "m2")
			case "the member goes":
				c.accepted("amphora-1", want(true, m2))
				serves(t, l, "m2")
				serves(t, fresh, "m2")
			default:
				c.accepted("amphora-1", translated(t, []model.Listener{l, neighbour}, p1, p2))
				serves(t, l, "m1")
			}
			traffic.lossless(t)
			serves(t, neighbour, "m2")
		})
	}
}

// A listener that warms for ever leaves its former version in place, and its neighbours alone.
func TestSecretThatNeverComes(t *testing.T) {
	t.Parallel()
	c, _, _ := fixture(t)
	c.publisher.Deadlines = soon()
	authority := pki.New(t, "CA")
	tls := func(id string) model.Listener {
		l := listener(t, id, "p1")
		l.Protocol, l.DefaultTLSContainerRef = model.ProtocolTerminatedHTTPS, "https://barbican/"+id
		l.DefaultTLSContainer = authority.Issue(pki.Options{Names: []string{"x.example"}}).Container()
		return l
	}
	secured, neighbour := tls("l1"), listener(t, "l2", "p1")
	p1, p2 := pool("p1", member(t, "m1")), pool("p2", member(t, "m2"))
	want := func() *translate.Resources {
		return translated(t, []model.Listener{secured, neighbour}, p1, p2)
	}
	before := listener(t, "l3", "p1")
	c.accepted("amphora-1", translated(t, []model.Listener{before, neighbour}, p1, p2))
	missing := want()
	secrets := maps.Clone(missing.Secrets)
	missing.Secrets = map[string]*tlsv3.Secret{}
	c.late("amphora-1", missing, "warm")
	serves(t, neighbour, "m1")
	serves(t, before, "m1")

	neighbour.DefaultPoolID = "p2"
	missing = want()
	missing.Secrets = map[string]*tlsv3.Secret{}
	c.late("amphora-1", missing, "warm")
	serves(t, neighbour, "m2")

	healed := want()
	if len(secrets) == 0 || len(healed.Secrets) == 0 {
		t.Fatal("no secrets")
	}
	c.accepted("amphora-1", healed)
}

// While one pool warms, Envoy says nothing about the neighbours' clusters either, and takes them all the same.
func TestNeighboursOfAPoolThatNeverWarms(t *testing.T) {
	t.Parallel()
	c, _ := replacing(t)
	c.publisher.Deadlines = soon()
	l, neighbour, m1, m2 := listener(t, "l1", "p1"), listener(t, "l2", "p1"), member(t, "m1"), member(t, "m2")
	p1 := pool("p1", m1)
	c.accepted("amphora-1", translated(t, []model.Listener{l, neighbour}, p1))
	traffic := startLoad(t, neighbour)

	stuck := pool("stuck", hanging(t, "hangs"))
	l.DefaultPoolID = "stuck"
	want := func(pools ...model.Pool) *translate.Resources {
		resources := translated(t, []model.Listener{l, neighbour}, append(pools, p1, stuck)...)
		checks := httpHealthCheck()
		checks[0].Timeout = durationpb.New(time.Hour)
		resources.Clusters["stuck"].HealthChecks, resources.Clusters["stuck"].TypedExtensionProtocolOptions = checks, nil
		return resources
	}
	c.late("amphora-1", want(), "widen")
	// A later change has a new pool for the neighbour.
	neighbour.DefaultPoolID = "p2"
	c.late("amphora-1", want(checkedBy(model.HealthMonitorHTTP, pool("p2", m2))), "widen")
	serves(t, neighbour, "m2")
	serves(t, l, "m1")
	// It goes before Envoy has ever acknowledged it, and only after its traffic.
	neighbour.DefaultPoolID = "p3"
	c.late("amphora-1", want(pool("p3", member(t, "m3"))), "widen")
	serves(t, neighbour, "m3")

	l.DefaultPoolID = "p1"
	c.accepted("amphora-1", translated(t, []model.Listener{l, neighbour}, p1, pool("p3", member(t, "m3"))))
	if held := c.server.Held("amphora-1", resource.ClusterType); len(held) != 2 {
		t.Errorf("Envoy holds %v", held)
	}
	traffic.lossless(t)
}
