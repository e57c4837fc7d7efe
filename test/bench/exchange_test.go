package bench

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// exchanged is a load balancer with a real Envoy of its own that serves, of whose pool one member is exchanged by a batch update
// with all members, as the Kubernetes integrations do it. All others have weight 0, so that an answer tells which one it is.
type exchanged struct {
	name, address string
	site          *site
	envoy         *realEnvoy
	tree          *model.LoadBalancer
	costs         []exchangeCost
}

// exchangeCost is what one exchange took: the call, from its end until a request on a new connection is answered by the new member
// and until the report to Octavia, and the CPU time of the controller and of Envoy.
type exchangeCost struct{ accept, live, done, cpu, envoy time.Duration }

func startExchanged(tb testing.TB, name string, members int, backend netip.AddrPort) *exchanged {
	tb.Helper()
	s := shape{Listeners: 1, Members: members, Port: freePorts(tb, 1), Last: backend}
	e := &exchanged{name: name, address: fmt.Sprintf("127.0.0.1:%d", s.Port), tree: s.tree(0)}
	e.site, e.envoy = startOurs(tb, s, 0, nil)
	e.site.agent.set(tb, e.tree)
	return e
}

func (e *exchanged) measure(tb testing.TB, backend netip.AddrPort, answer string, turn int) exchangeCost {
	tb.Helper()
	pool := &e.tree.Pools[0]
	member := &pool.Members[len(pool.Members)-1]
	member.ID = id(kindMember, 0xffff, turn)
	member.Address, member.ProtocolPort = backend.Addr().String(), int(backend.Port())
	e.site.agent.set(tb, e.tree)
	reports := e.site.agent.done(e.tree.ID)
	used, usedByEnvoy, begin := testkit.CPU(tb, e.site.program.pid), testkit.CPU(tb, e.envoy.pid), time.Now()
	accepted := e.site.call(tb, http.MethodPut, "/v1/pools/"+pool.ID+"/members", map[string]any{"members": pool.Members})
	live := answers(tb, e.address, answer)
	done := e.site.agent.await(tb, e.tree.ID, reports+1)
	return exchangeCost{
		accept: accepted.Sub(begin), live: live.Sub(accepted), done: done.Sub(accepted),
		cpu: testkit.CPU(tb, e.site.program.pid) - used, envoy: testkit.CPU(tb, e.envoy.pid) - usedByEnvoy,
	}
}

// measureExchange exchanges a member of pools of so many, in turns; the first size is there twice.
func measureExchange(tb testing.TB, turns int, sizes []int) []*exchanged {
	tb.Helper()
	names := []string{"one", "two"}
	backends := []netip.AddrPort{startBackend(tb, names[0]), startBackend(tb, names[1])}
	all := []*exchanged{startExchanged(tb, fmt.Sprintf("%d members", sizes[0]), sizes[0], backends[0])}
	all = append(all, startExchanged(tb, "the same twice", sizes[0], backends[0]))
	for _, size := range sizes[1:] {
		all = append(all, startExchanged(tb, fmt.Sprintf("%d members", size), size, backends[0]))
	}
	largest := all[len(all)-1].site
	largest.profile(tb, "profile", "exchange.cpu")
	defer largest.profile(tb, "profile", "")
	for turn := 1; turn <= turns+2; turn++ {
		for k := range all {
			each := all[(turn+k)%len(all)]
			c := each.measure(tb, backends[turn%2], names[turn%2], turn)
			if turn > 2 { // connections, caches
				each.costs = append(each.costs, c)
			}
		}
	}
	return all
}

func showExchange(tb testing.TB, all []*exchanged) {
	tb.Helper()
	of := []func(exchangeCost) time.Duration{
		func(c exchangeCost) time.Duration { return c.accept },
		func(c exchangeCost) time.Duration { return c.live },
		func(c exchangeCost) time.Duration { return c.done },
		func(c exchangeCost) time.Duration { return c.cpu },
		func(c exchangeCost) time.Duration { return c.envoy },
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%-20s %9s %9s %9s %9s %9s   ratios to %s\n", "", "accept ms", "live ms", "done ms", "CPU ms", "Envoy's", all[0].name)
	for _, each := range all {
		fmt.Fprintf(&text, "%-20s", each.name)
		var ratios strings.Builder
		for _, what := range of {
			value := func(c exchangeCost) float64 { return milliseconds(what(c)) }
			fmt.Fprintf(&text, " %9.2f", median(each.costs, value))
			fmt.Fprintf(&ratios, " %.2f", median(each.costs, value)/median(all[0].costs, value))
		}
		text.WriteString("  " + ratios.String() + "\n")
	}
	tb.Logf("\n%s", text.String())
}

// BenchmarkExchange is goal 1 as a user has it: what it costs to give one of many members another address while Envoy serves.
func BenchmarkExchange(b *testing.B) {
	all := measureExchange(b, 40*b.N, []int{10, 1000, 10_000})
	showExchange(b, all)
	first, last := all[0], all[len(all)-1]
	ratio := func(of func(exchangeCost) float64) float64 { return median(last.costs, of) / median(first.costs, of) }
	b.ReportMetric(ratio(func(c exchangeCost) float64 { return float64(c.cpu) }), "cpu-ratio")
	b.ReportMetric(ratio(func(c exchangeCost) float64 { return float64(c.live) }), "live-ratio")
	b.ReportMetric(0, "ns/op")
}

func TestExchange(t *testing.T) {
	all := measureExchange(t, 2, []int{2, 6})
	showExchange(t, all)
	for _, each := range all {
		require.Len(t, each.costs, 2)
		for _, c := range each.costs {
			require.Positive(t, c.live, "an answer by the new member comes after the call was accepted")
		}
	}
}
