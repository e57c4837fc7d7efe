package bench

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/store/storetest"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// fairness are small tenants beside others that are not.
type fairness struct {
	tenants, members, dead int
	// changes are how many the small tenants make in each of the rounds, one every so often.
	changes, rounds int
	every           time.Duration

	site     *site
	subjects []*subject
	big      *subject
	turn     int
	// large are how long the big tenant's changes took, from the call to the report.
	large []time.Duration
}

// neighbours are what the small tenants' changes cost beside whom.
type neighbours struct {
	name  string
	costs []cost
}

// The load balancers' numbers.
const bigNumber, firstDead = 1000, 2000

func (f *fairness) start(tb testing.TB, dsn string) {
	tb.Helper()
	var populate []order
	subjectOf := func(number int, s shape) *subject {
		populate = append(populate, order{Shape: s, First: number, Count: 1})
		return &subject{tree: s.tree(number), change: changeMember, typeURL: resource.EndpointType}
	}
	for i := range f.tenants {
		f.subjects = append(f.subjects, subjectOf(i, shape{Listeners: 1, Members: 10, Project: fmt.Sprintf("small %d", i)}))
	}
	f.big = subjectOf(bigNumber, shape{Listeners: 1, Members: f.members, Project: "big"})
	populate = append(populate, order{Shape: f.deadShape(), First: firstDead, Count: f.dead})
	f.site = startSite(tb, dsn, "", populate...)
	ca := authority(tb, f.site.dir)
	all := append([]*subject{f.big}, f.subjects...)
	for _, each := range all {
		f.site.agent.set(tb, each.tree)
		each.envoy = startFakeEnvoy(tb, ca, f.site.address, amphoraOf(each.tree.ID))
	}
	testkit.Until(tb, "all are in sync but the dead", func() bool { return f.site.program.do(tb, order{Do: "synced"}).Count == f.dead })
}

func (f *fairness) deadShape() shape { return shape{Listeners: 1, Members: 10, Project: "dead"} }

// round lets the small tenants make changes, one after the other.
func (f *fairness) round(tb testing.TB, into *neighbours) {
	tb.Helper()
	ticker := time.NewTicker(f.every)
	defer ticker.Stop()
	for range f.changes {
		f.turn++
		into.costs = append(into.costs, f.site.measure(tb, f.subjects[f.turn%len(f.subjects)], f.turn))
		<-ticker.C
	}
}

// beside is a round while the big tenant changes a member a second.
func (f *fairness) beside(tb testing.TB, into *neighbours) (changes int) {
	tb.Helper()
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			reports, begin := f.site.agent.done(f.big.tree.ID), time.Now()
			f.big.change(tb, f.site, f.big.tree, len(f.large))
			f.large = append(f.large, f.site.agent.await(tb, f.big.tree.ID, reports+1).Sub(begin))
			changes++
			select {
			case <-done:
				return
			case <-ticker.C:
			}
		}
	})
	f.round(tb, into)
	close(done)
	group.Wait()
	return changes
}

// kill changes the load balancers whose amphorae do not answer.
func (f *fairness) kill(tb testing.TB) {
	tb.Helper()
	for i := range f.dead {
		tree := f.deadShape().tree(firstDead + i)
		f.site.agent.set(tb, tree)
		changeMember(tb, f.site, tree, i)
	}
}

// measureFair returns the costs alone, alone again, beside the big tenant, and beside the dead amphorae.
func measureFair(tb testing.TB, dsn string, f *fairness) []*neighbours {
	tb.Helper()
	f.start(tb, dsn)
	alone, again, big := &neighbours{name: "alone"}, &neighbours{name: "alone again"}, &neighbours{name: fmt.Sprintf("beside %d members", f.members)}
	f.round(tb, &neighbours{}) // connections, caches
	f.site.profile(tb, "profile", "fair.cpu")
	changes := 0
	for range f.rounds {
		f.round(tb, alone)
		changes += f.beside(tb, big)
		f.round(tb, again)
	}
	f.site.profile(tb, "profile", "")
	big.name += fmt.Sprintf(" and %d changes", changes)
	dead := &neighbours{name: fmt.Sprintf("beside %d dead amphorae", f.dead)}
	f.kill(tb)
	for range f.rounds {
		f.round(tb, dead)
	}
	for i := range f.dead {
		require.Zero(tb, f.site.agent.done(loadBalancerID(firstDead+i)), "a dead amphora's change is done")
	}
	return []*neighbours{alone, again, big, dead}
}

// quantile of what of is of each, in ms.
func (n *neighbours) quantile(q float64, of func(cost) time.Duration) float64 {
	var values []time.Duration
	for _, c := range n.costs {
		values = append(values, of(c))
	}
	slices.Sort(values)
	return milliseconds(values[min(int(q*float64(len(values))), len(values)-1)])
}

// Of a change until Envoy has it and until Octavia has the report, from the beginning of the call.
func toLive(c cost) time.Duration { return c.accept + c.live }
func toDone(c cost) time.Duration { return c.accept + c.done }

func showFair(tb testing.TB, all []*neighbours) {
	tb.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "%-42s %8s %8s %8s %8s %8s %8s   ratios to %s\n", "ms from the call", "live p50", "p99", "most", "done p50", "p99", "most", all[0].name)
	columns := func(n *neighbours) []float64 {
		var values []float64
		for _, of := range []func(cost) time.Duration{toLive, toDone} {
			for _, q := range []float64{.5, .99, 1} {
				values = append(values, n.quantile(q, of))
			}
		}
		return values
	}
	base := columns(all[0])
	for _, n := range all {
		fmt.Fprintf(&text, "%-42s", n.name)
		c := columns(n)
		for _, value := range c {
			fmt.Fprintf(&text, " %8.1f", value)
		}
		text.WriteString("  ")
		for i := range c {
			fmt.Fprintf(&text, " %.2f", c[i]/base[i])
		}
		text.WriteString("\n")
	}
	tb.Logf("\n%s", text.String())
}

// bound is what driver/reconcile promises to a small tenant's change beside the large one's, at a quantile, in ms: as long as
// alone, and once more as long as one change of the large one takes.
func (f *fairness) bound(alone *neighbours, q float64) float64 {
	return alone.quantile(q, toDone) + median(f.large, milliseconds)
}

// BenchmarkFair is what small tenants' changes take beside one with a large load balancer and beside one whose amphorae are dead.
func BenchmarkFair(b *testing.B) {
	f := &fairness{tenants: 10, members: 10_000, dead: 40, changes: 200, rounds: 4 * b.N, every: 50 * time.Millisecond}
	all := measureFair(b, storetest.SQLite(b), f)
	showFair(b, all)
	for i, name := range []string{"A/A", "big", "dead"} {
		b.ReportMetric(all[i+1].quantile(.5, toDone)/all[0].quantile(.5, toDone), name+"-p50-ratio")
		b.ReportMetric(all[i+1].quantile(.99, toDone)/all[0].quantile(.99, toDone), name+"-p99-ratio")
	}
	for _, q := range []float64{.5, .99} {
		bound, measured := f.bound(all[0], q), all[2].quantile(q, toDone)
		b.Logf("p%.0f beside %d members: %.1f ms, bound %.1f = alone %.1f + one change of the large one %.1f: %.2f of it",
			100*q, f.members, measured, bound, all[0].quantile(q, toDone), median(f.large, milliseconds), measured/bound)
		b.ReportMetric(measured/bound, fmt.Sprintf("p%.0f-of-bound", 100*q))
	}
	b.ReportMetric(0, "ns/op")
}

func TestFair(t *testing.T) {
	f := &fairness{tenants: 2, members: 20, dead: 40, changes: 4, rounds: 1, every: time.Millisecond}
	all := measureFair(t, storetest.SQLite(t), f)
	showFair(t, all)
	for _, n := range all {
		require.Len(t, n.costs, 4, n.name)
	}
	require.NotEmpty(t, f.large)
	require.Greater(t, f.bound(all[0], .5), all[0].quantile(.5, toDone))
}
