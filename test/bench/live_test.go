package bench

import (
	"fmt"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	octavia "github.com/octavia-envoy/octavia-envoy/test/haproxy"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// way is a way by which a change comes into effect.
type way struct {
	name string
	// address is that of the listener whose only member is exchanged.
	address string
	// change makes the tree the new state, and returns when the change was accepted and what of the time that follows is not
	// its own.
	change func(tb testing.TB, tree *model.LoadBalancer) (accepted time.Time, foreign func() time.Duration)
	// cpu is the time of all processes that take part.
	cpu func(tb testing.TB) time.Duration

	live, spent []time.Duration
}

// exchange makes a backend the only member of the last pool.
func exchange(tree *model.LoadBalancer, backend netip.AddrPort, turn int) {
	pool := &tree.Pools[len(tree.Pools)-1]
	member := pool.Members[0]
	member.ID = id(kindMember, 0xffff, turn)
	member.Address, member.ProtocolPort = backend.Addr().String(), int(backend.Port())
	pool.Members = []model.Member{member}
}

// answers waits until the answer is that, with a new connection for each question, and returns when it was.
func answers(tb testing.TB, address, want string) time.Time {
	tb.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		conn, err := dial(address)
		if err != nil {
			continue
		}
		body, err := conn.get("/")
		conn.Close()
		if err == nil && body == want {
			return time.Now()
		}
	}
	tb.Fatalf("%s never answered %q", address, want)
	return time.Time{}
}

// startWays runs all of them with a load balancer of so many listeners.
func startWays(tb testing.TB, listeners int, backend netip.AddrPort) []*way {
	tb.Helper()
	base := shape{Listeners: listeners, Members: 1, Backends: []netip.AddrPort{backend}}
	at := func() (shape, string) {
		s := base
		s.Port = freePorts(tb, listeners)
		return s, fmt.Sprintf("127.0.0.1:%d", s.Port+listeners-1)
	}
	s, address := at()
	site, envoy := startOurs(tb, s, 0, nil)
	site.agent.set(tb, s.tree(0))
	ports := s.Port
	ways := []*way{{
		name: "ours", address: address,
		change: func(tb testing.TB, tree *model.LoadBalancer) (time.Time, func() time.Duration) {
			tb.Helper()
			renumber(tree, ports)
			site.agent.set(tb, tree)
			pool := tree.Pools[len(tree.Pools)-1]
			spent := site.agent.spent()
			accepted := site.call(tb, http.MethodPut, "/v1/pools/"+pool.ID+"/members", map[string]any{"members": pool.Members})
			return accepted, func() time.Duration { return site.agent.spent() - spent }
		},
		cpu: func(tb testing.TB) time.Duration {
			return testkit.CPU(tb, site.program.pid) + testkit.CPU(tb, envoy.pid)
		},
	}}

	s, address = at()
	bareDir := testkit.SocketDir(tb)
	bare := startProgram(tb, "bare", settings{Dir: bareDir})
	bare.do(tb, order{Do: "populate", Shape: s, Count: 1})
	served := bare.do(tb, order{Do: "serve"})
	other := startRealEnvoy(tb, authority(tb, bareDir), served.Address, amphoraOf(loadBalancerID(0)), filepath.Join(bareDir, "admin"), 1)
	other.live(tb)
	calls, barePorts := unixClient(tb, filepath.Join(bareDir, "bare.sock")), s.Port
	ways = append(ways, &way{
		name: "bare", address: address,
		change: func(tb testing.TB, tree *model.LoadBalancer) (time.Time, func() time.Duration) {
			tb.Helper()
			renumber(tree, barePorts)
			return call(tb, calls, http.MethodPut, "/", tree), func() time.Duration { return 0 }
		},
		cpu: func(tb testing.TB) time.Duration { return testkit.CPU(tb, bare.pid) + testkit.CPU(tb, other.pid) },
	})

	s, address = at()
	h := startHAProxy(tb, octavia.StartRenderer(tb), s.tree(0), false)
	haproxyPorts := s.Port
	return append(ways, &way{
		name: "HAProxy", address: address,
		change: func(tb testing.TB, tree *model.LoadBalancer) (time.Time, func() time.Duration) {
			tb.Helper()
			renumber(tree, haproxyPorts)
			begin := time.Now()
			h.write(tb, tree)
			h.reload(tb)
			return begin, func() time.Duration { return 0 }
		},
		// Of those that ended the time is unknown, and of the renderer: they are not counted.
		cpu: h.cpu,
	})
}

func renumber(tree *model.LoadBalancer, port int) {
	for i := range tree.Listeners {
		tree.Listeners[i].ProtocolPort = port + i
	}
}

// measureLive lets each way exchange the member, in turns.
func measureLive(tb testing.TB, listeners, turns int) []*way {
	tb.Helper()
	names := []string{"one", "two"}
	backends := []netip.AddrPort{startBackend(tb, names[0]), startBackend(tb, names[1])}
	ways := startWays(tb, listeners, backends[0])
	tree := shape{Listeners: listeners, Members: 1, Backends: backends[:1]}.tree(0)
	for _, w := range ways {
		answers(tb, w.address, names[0])
	}
	for turn := 1; turn <= turns+1; turn++ {
		exchange(tree, backends[turn%2], turn)
		for k := range ways {
			w := ways[(turn+k)%len(ways)]
			before := w.cpu(tb)
			accepted, foreign := w.change(tb, tree)
			live := answers(tb, w.address, names[turn%2]).Sub(accepted) - foreign()
			if turn == 1 {
				continue // connections, caches
			}
			w.live = append(w.live, live)
			w.spent = append(w.spent, w.cpu(tb)-before)
		}
	}
	return ways
}

func showLive(tb testing.TB, listeners int, ways []*way) {
	tb.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "%d listeners   live ms: median, of all: least, most\n", listeners)
	for _, w := range ways {
		least, most := w.live[0], w.live[0]
		for _, d := range w.live {
			least, most = min(least, d), max(most, d)
		}
		fmt.Fprintf(&text, "%-12s %14.2f %14.2f %8.2f\n", w.name, median(w.live, milliseconds), milliseconds(least), milliseconds(most))
	}
	tb.Logf("\n%s", text.String())
}

// BenchmarkLive is goal 2: the time from an accepted call until requests are answered by it.
func BenchmarkLive(b *testing.B) {
	for _, listeners := range []int{1, 10, 100, 500} {
		b.Run(fmt.Sprintf("listeners=%d", listeners), func(b *testing.B) {
			ways := measureLive(b, listeners, 30*b.N)
			showLive(b, listeners, ways)
			ours, bare, reload := median(ways[0].live, milliseconds), median(ways[1].live, milliseconds), median(ways[2].live, milliseconds)
			b.ReportMetric(ours, "ms-ours")
			b.ReportMetric(ours/bare, "to-bare")
			b.ReportMetric(reload/ours, "reload-to-ours")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func TestLive(t *testing.T) {
	ways := measureLive(t, 2, 2)
	showLive(t, 2, ways)
	for _, w := range ways {
		require.Len(t, w.live, 2)
		for _, d := range w.live {
			require.Positive(t, d)
		}
	}
}
