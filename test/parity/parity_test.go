package parity

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

const (
	// worst is how many differences a run makes small: each takes seconds, and one cause shows often.
	worst = 8
	// workers is how many load balancers are asked at once: much of the time goes into waiting.
	workers = 8
)

// TestParity has the cases of testdata, connection limits, and the comparison of what is drawn.
func TestParity(t *testing.T) {
	b := newBench(t) // for both, as it takes seconds
	t.Run("cases", func(t *testing.T) { b.in(t).cases() })
	t.Run("connection limit", func(t *testing.T) { b.in(t).connectionLimit() })
	t.Run("random", func(t *testing.T) { b.in(t).random() })
}

// random compares with what is drawn from a seed.
func (b *bench) random() {
	t := b.t
	seed, first := number(t, "PARITY_SEED", 1), number(t, "PARITY_FIRST", 0)
	count, each := number(t, "PARITY_COUNT", 10), number(t, "PARITY_EXCHANGES", 20)
	t.Logf("PARITY_SEED=%d PARITY_FIRST=%d PARITY_COUNT=%d PARITY_EXCHANGES=%d", seed, first, count, each)
	t.Logf("the capabilities refuse, so not compared: %v", missing(accepted()))
	var all tally
	for start := first; start < first+count; start += batchSize {
		var lbs []*model.LoadBalancer
		var generators []*generator
		for i := start; i < min(start+batchSize, first+count); i++ {
			g := newGenerator(uint64(seed), uint64(i))
			lbs, generators = append(lbs, g.loadBalancer()), append(generators, g)
		}
		sites, stop := b.batch(lbs)
		tallies := make([]tally, len(sites))
		parallel(len(sites), func(i int) {
			tallies[i] = compareSite(t.Context(), sites[i], generators[i], each, start+i)
		})
		stop()
		for i := range tallies {
			all.add(&tallies[i])
		}
	}
	t.Logf("%d exchanges, %d requests to each; allowed differences:", all.exchanges, all.requests)
	for _, d := range differences() {
		t.Logf("%7d %s", all.used[d.name], d.name)
	}
	if os.Getenv("PARITY_WRITE_CASES") != "" {
		b.writeCases(all.shown)
	}
	b.report(all.failures)
}

// tally is what came of many exchanges.
type tally struct {
	exchanges, requests int
	// used counts differences by what allows them, and shown has a trial for each.
	used     map[string]int
	shown    map[string]*trial
	failures []failure
}

func (y *tally) add(other *tally) {
	y.exchanges, y.requests = y.exchanges+other.exchanges, y.requests+other.requests
	if y.used == nil {
		y.used, y.shown = map[string]int{}, map[string]*trial{}
	}
	for name, count := range other.used {
		y.used[name] += count
		y.shown[name] = other.shown[name]
	}
	y.failures = append(y.failures, other.failures...)
}

// parallel does something with each of so many, a few at once.
func parallel(count int, do func(i int)) {
	var wait sync.WaitGroup
	turns := make(chan struct{}, workers)
	for i := range count {
		turns <- struct{}{}
		wait.Go(func() {
			do(i)
			<-turns
		})
	}
	wait.Wait()
}

// compareSite sends as many exchanges to one load balancer, and what shows whether the same members serve.
func compareSite(ctx context.Context, s *site, g *generator, exchanges, number int) tally {
	result := tally{used: map[string]int{}, shown: map[string]*trial{}}
	if slices.ContainsFunc(s.lb.Pools, hasDead) {
		exchanges = min(exchanges, 5) // see exchange
	}
	fail := func(p probe, tried *trial, found []difference) {
		if len(found) > 0 {
			result.failures = append(result.failures, failure{number, p, tried, s.config, found})
		}
	}
	var trials []*trial
	for range exchanges {
		x := g.exchange(s.lb)
		result.exchanges++
		result.requests += max(len(x.Requests), len(x.Records))
		tried, found := once(ctx, s, x)
		for _, d := range tried.explain() {
			result.used[d]++
			result.shown[d] = tried
		}
		trials = append(trials, tried)
		fail(once, tried, found)
	}
	for _, x := range spreadable(trials) {
		tried, found := spread(ctx, s, x)
		fail(spread, tried, found)
	}
	return result
}

// once is the probe of a single exchange.
func once(ctx context.Context, s *site, x *exchange) (*trial, []difference) {
	t := s.try(ctx, x)
	return t, t.unexplained()
}

// failure is a difference that nothing allows, before it is made small.
type failure struct {
	number      int
	probe       probe
	trial       *trial
	config      string
	differences []difference
}

// report makes the failures small, one of each kind, and fails the test.
func (b *bench) report(failures []failure) {
	kinds := map[string]int{}
	for _, f := range failures {
		kind := f.differences[0].kind()
		if kinds[kind]++; kinds[kind] > 1 || len(kinds) > worst {
			continue
		}
		if os.Getenv("PARITY_SHRINK") == "0" {
			b.t.Errorf("load balancer %d:\n%s", f.number, report(f.trial, f.config, f.differences))
			continue
		}
		began := time.Now()
		t, found := b.shrink(b.t.Context(), f.probe, f.trial.lb, f.trial.exchange, f.differences[0].kind())
		if t == nil {
			b.t.Errorf("load balancer %d: a difference that does not show again by itself:\n%s", f.number, report(f.trial, f.config, f.differences))
			continue
		}
		config, err := b.renderer.Render(at(t.lb, 0, false))
		must(b.t, err)
		b.t.Errorf("load balancer %d, the smallest case, after %s:\n%s", f.number, time.Since(began).Round(time.Second), report(t, config, found))
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		b.t.Errorf("%d times: %s", kinds[kind], kind)
	}
}

// kind tells differences of one cause from others, more or less.
func (d *difference) kind() string {
	if d.Where == "answer" {
		return fmt.Sprintf("%s: %s, not %s", d.Where, d.HAProxy, d.Envoy)
	}
	return d.Where
}

// isDead reports whether nobody is at a member's address, or one that its pool may not take for it.
func isDead(m model.Member) bool { return m.ProtocolPort == deadPort || m.ProtocolPort > tlsPort }

func hasDead(p model.Pool) bool {
	return slices.ContainsFunc(p.Members, isDead)
}

func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		return otherwise
	}
	n, err := strconv.Atoi(value)
	must(t, err)
	return n
}
