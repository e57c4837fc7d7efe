package bench

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/driver/certs"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// fleet is one fake Envoy a load balancer.
type fleet struct {
	envoys []*fakeEnvoy
	stop   func()
}

func startFleet(tb testing.TB, authority *certs.Authority, address string, count int) *fleet {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	f := &fleet{stop: sync.OnceFunc(func() { cancel(); group.Wait() })}
	tb.Cleanup(f.stop)
	for number := range count {
		envoy := newFakeEnvoy(amphoraOf(loadBalancerID(number)))
		f.envoys = append(f.envoys, envoy)
		config := amphoraTLS(tb, authority, envoy.node)
		group.Go(func() { envoy.run(ctx, address, config) })
	}
	return f
}

func (f *fleet) totals() totals {
	var sum totals
	for _, envoy := range f.envoys {
		t := envoy.totals()
		sum.Resources, sum.Bytes, sum.Messages, sum.NACKs = sum.Resources+t.Resources, sum.Bytes+t.Bytes, sum.Messages+t.Messages, sum.NACKs+t.NACKs
	}
	return sum
}

// connected counts those that have had a stream since a time.
func (f *fleet) connected(since time.Time) int {
	count := 0
	for _, envoy := range f.envoys {
		if envoy.totals().Connected.After(since) {
			count++
		}
	}
	return count
}

// wait looks every so often whether it is so, for as long as a fleet may take.
func wait(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(10 * time.Minute); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("not yet: %s", what)
		}
	}
}

// figures are what a fleet costs a program.
type figures struct {
	Heap, Stacks, Resident, Goroutines float64       // MiB
	Sync                               time.Duration // from the first connection to the last resource
	CPU                                time.Duration // for that
}

func (f figures) String() string {
	return fmt.Sprintf("heap %.0f + stacks %.0f MiB, resident %.0f MiB, %.0f goroutines; all connected and in sync after %.1f s, %.1f CPU s",
		f.Heap, f.Stacks, f.Resident, f.Goroutines, f.Sync.Seconds(), f.CPU.Seconds())
}

func (p *program) figures(tb testing.TB) figures {
	tb.Helper()
	values := p.do(tb, order{Do: "memory"}).Values
	now := resident(tb, p.pid)
	return figures{Heap: values["heap"], Stacks: values["stacks"], Resident: now, Goroutines: values["goroutines"]}
}

// fleetResult is what BenchmarkFleet finds.
type fleetResult struct {
	ours, bare, restarted figures
	// populated is how long it took to write all load balancers to the store.
	populated time.Duration
	// restored and restart are how long after the start of the process the store had been read, and all were in sync.
	restored, restart time.Duration
	// repeated is what the restart pushed.
	repeated totals
	// nacks are the refusals a second of one bad listener.
	nacks float64
	// change is the cost of a change with all others connected.
	change []cost
}

// fleetShape is the load balancer of which there are many.
func fleetShape() shape { return shape{Listeners: 1, Members: 10} }

func measureFleet(tb testing.TB, dsn string, count, changes int, observe time.Duration) fleetResult {
	tb.Helper()
	var r fleetResult
	load := order{Do: "populate", Shape: fleetShape(), Count: count}
	dir := testkit.SocketDir(tb)
	agent := startDriverAgent(tb, dir)
	tree := fleetShape().tree(0)
	agent.set(tb, tree)
	s := &site{dir: dir, agent: agent, program: startProgram(tb, "controller", settings{Dir: dir, DSN: dsn})}
	begin := time.Now()
	s.program.do(tb, load)
	r.populated = time.Since(begin)
	s.address = s.program.do(tb, order{Do: "serve"}).Address
	s.calls = unixClient(tb, filepath.Join(dir, apiSocket))
	ca := authority(tb, dir)

	used, begin := testkit.CPU(tb, s.program.pid), time.Now()
	f := startFleet(tb, ca, s.address, count)
	s.inSync(tb, f, begin)
	took, spent := time.Since(begin), testkit.CPU(tb, s.program.pid)-used
	r.ours = s.program.figures(tb)
	r.ours.Sync, r.ours.CPU = took, spent
	s.profile(tb, "heap", fmt.Sprintf("fleet-%d.heap", count))

	// A change while all are connected.
	one := &subject{tree: tree, envoy: f.envoys[0], change: changeMember, typeURL: resource.EndpointType}
	for turn := range changes {
		r.change = append(r.change, s.measure(tb, one, turn))
	}

	// A restart.
	before := f.totals()
	s.program.stop()
	begin = time.Now()
	s.program = startProgram(tb, "controller", settings{Dir: dir, DSN: dsn, Address: s.address})
	s.profile(tb, "profile", fmt.Sprintf("restart-%d.cpu", count))
	s.started = s.program.do(tb, order{Do: "serve"})
	r.restored = time.Since(begin)
	s.inSync(tb, f, begin)
	r.restart, spent = time.Since(begin), testkit.CPU(tb, s.program.pid)
	s.profile(tb, "profile", "")
	r.restarted = s.program.figures(tb)
	r.restarted.Sync, r.restarted.CPU = r.restart, spent
	after := f.totals()
	r.repeated = totals{Resources: after.Resources - before.Resources, Messages: after.Messages - before.Messages}

	r.nacks = s.refused(tb, f.envoys[0], tree, observe)

	f.stop()
	s.program.stop()
	r.bare = bareFigures(tb, dir, ca, load)
	return r
}

func (s *site) profile(tb testing.TB, kind, file string) {
	tb.Helper()
	if profiles == "" {
		return
	}
	if file != "" {
		file = filepath.Join(profiles, file)
	}
	s.program.do(tb, order{Do: kind, File: file})
}

// inSync waits until all have connected since then and hold all that they shall.
func (s *site) inSync(tb testing.TB, f *fleet, since time.Time) {
	tb.Helper()
	wait(tb, "all are connected", func() bool { return f.connected(since) == len(f.envoys) })
	wait(tb, "all are in sync", func() bool { return s.program.do(tb, order{Do: "synced"}).Count == 0 })
}

// refused makes a listener that its Envoy refuses, and returns how often a second it did.
func (s *site) refused(tb testing.TB, envoy *fakeEnvoy, tree *model.LoadBalancer, observe time.Duration) float64 {
	tb.Helper()
	listener := &tree.Listeners[0]
	envoy.mu.Lock()
	envoy.refuses = listener.ID
	envoy.mu.Unlock()
	listener.ConnectionLimit = 1000
	s.agent.set(tb, tree)
	begin, reports := time.Now(), s.agent.done(tree.ID)
	s.call(tb, http.MethodPut, "/v1/listeners/"+listener.ID, map[string]any{"listener_id": listener.ID, "connection_limit": listener.ConnectionLimit})
	s.agent.await(tb, tree.ID, reports+1)
	time.Sleep(observe - time.Since(begin))
	return float64(envoy.totals().NACKs) / time.Since(begin).Seconds()
}

func bareFigures(tb testing.TB, dir string, ca *certs.Authority, load order) figures {
	tb.Helper()
	p := startProgram(tb, "bare", settings{Dir: dir})
	defer p.stop()
	p.do(tb, load)
	address := p.do(tb, order{Do: "serve"}).Address
	used, begin := testkit.CPU(tb, p.pid), time.Now()
	f := startFleet(tb, ca, address, load.Count)
	defer f.stop()
	// A cluster, its endpoints, a listener, its route, and the cluster of the metrics: as many as the controller's have.
	wait(tb, "all are connected", func() bool { return f.connected(begin) == len(f.envoys) })
	wait(tb, "all are in sync", func() bool {
		for _, envoy := range f.envoys {
			if envoy.got(resource.EndpointType) == 0 || envoy.got(resource.RouteType) == 0 {
				return false
			}
		}
		return true
	})
	took, spent := time.Since(begin), testkit.CPU(tb, p.pid)-used
	figures := p.figures(tb)
	figures.Sync, figures.CPU = took, spent
	return figures
}

func (r *fleetResult) show(tb testing.TB) {
	tb.Helper()
	tb.Logf("\ncontroller:  %s\nbare:        %s\nrestarted:   %s\npopulated in %.1f s; restored %.2f s after the start of the process, in sync %.2f s; pushed again: %d resources in %d messages\n"+
		"one change:  live %.2f ms, done %.2f ms, %.2f CPU ms; a bad listener: %.2f NACKs a second",
		r.ours, r.bare, r.restarted, r.populated.Seconds(), r.restored.Seconds(), r.restart.Seconds(), r.repeated.Resources, r.repeated.Messages,
		median(r.change, func(c cost) float64 { return milliseconds(c.live) }), median(r.change, func(c cost) float64 { return milliseconds(c.done) }),
		median(r.change, func(c cost) float64 { return milliseconds(c.cpu) }), r.nacks)
}

// BenchmarkFleet is goal 5: many load balancers at one controller.
func BenchmarkFleet(b *testing.B) {
	for _, database := range []string{"SQLite", "MariaDB"} {
		for _, count := range []int{1000, 3000, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", database, count), func(b *testing.B) {
				dsn := storetest.SQLite(b)
				if database == "MariaDB" {
					dsn = mariaDB(b)
				}
				r := measureFleet(b, dsn, count, 40, 20*time.Second)
				r.show(b)
				b.ReportMetric((r.ours.Heap+r.ours.Stacks)/(r.bare.Heap+r.bare.Stacks), "memory-ratio")
				b.ReportMetric(r.ours.Resident/r.bare.Resident, "resident-ratio")
				b.ReportMetric(r.restart.Seconds(), "s-restart")
				b.ReportMetric(float64(r.repeated.Resources), "pushed-again")
				b.ReportMetric(r.nacks, "NACKs/s")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

func mariaDB(tb testing.TB) string {
	tb.Helper()
	server, err := storetest.MariaDB()
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = server.Stop() })
	return server.DSN(tb)
}

func TestFleet(t *testing.T) {
	r := measureFleet(t, storetest.SQLite(t), 20, 2, time.Second)
	r.show(t)
	require.Zero(t, r.repeated.Resources, "a restart pushes nothing that did not change")
	require.Positive(t, r.nacks)
	require.Positive(t, r.bare.Heap)
}
