package parity

import (
	"context"
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// worst is how many differences a run makes small: each takes seconds, and one cause shows often.
const worst = 8

// slow is what is worth a line of the log, for those who make this test faster.
const slow = 2 * time.Second

// TestParity is the whole comparison.
func TestParity(t *testing.T) {
	seed, count, each := number(t, "PARITY_SEED", 1), number(t, "PARITY_COUNT", 10), number(t, "PARITY_EXCHANGES", 20)
	t.Logf("PARITY_SEED=%d PARITY_COUNT=%d PARITY_EXCHANGES=%d", seed, count, each)
	t.Logf("the capabilities refuse, so not compared: %v", missing(accepted()))
	b := newBench(t)
	counts := map[string]int{}
	requests := 0
	var failures []failure
	for first := 0; first < count; first += batchSize {
		var lbs []*model.LoadBalancer
		var generators []*generator
		for i := first; i < min(first+batchSize, count); i++ {
			g := newGenerator(uint64(seed), uint64(i))
			lbs, generators = append(lbs, g.loadBalancer()), append(generators, g)
		}
		sites, stop := b.batch(lbs)
		for i, s := range sites {
			exchanges := each
			if slices.ContainsFunc(pools(s.lb), hasDead) {
				exchanges = min(each, 4) // HAProxy waits a second before each of three retries
			}
			var trials []*trial
			for range exchanges {
				x := generators[i].exchange(s.lb)
				requests += max(len(x.Requests), len(x.Records))
				began := time.Now()
				tried := s.try(t.Context(), x)
				if took := time.Since(began); took > slow {
					t.Logf("load balancer %d: %s for %s", first+i, took.Round(time.Second), x)
				}
				trials = append(trials, tried)
				failures = failed(failures, first+i, once(counts), s, tried, tried.explain(counts))
			}
			for _, x := range spreadable(trials) {
				began := time.Now()
				tried, found := spread(t.Context(), s, x)
				if took := time.Since(began); took > slow {
					t.Logf("load balancer %d: %s for the spread of %s", first+i, took.Round(time.Second), x)
				}
				failures = failed(failures, first+i, spread, s, tried, found)
			}
		}
		stop()
	}
	t.Logf("%d requests to each; allowed differences:", requests)
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%7d %s", counts[name], name)
	}
	b.report(failures)
}

// once is the probe of a single exchange.
func once(counts map[string]int) probe {
	return func(ctx context.Context, s *site, x *exchange) (*trial, []difference) {
		t := s.try(ctx, x)
		return t, t.explain(counts)
	}
}

// failure is a difference that nothing allows, before it is made small.
type failure struct {
	number      int
	probe       probe
	trial       *trial
	config      string
	differences []difference
}

func failed(all []failure, number int, p probe, s *site, tried *trial, found []difference) []failure {
	if len(found) == 0 {
		return all
	}
	return append(all, failure{number, p, tried, s.config, found})
}

// report makes the failures small, one of each kind, and fails the test.
func (b *bench) report(failures []failure) {
	kinds := map[string]int{}
	for _, f := range failures {
		kind := f.differences[0].kind()
		if kinds[kind]++; kinds[kind] > 1 || len(kinds) > worst {
			continue
		}
		t, found := b.shrink(b.t.Context(), f.probe, f.trial.lb, f.trial.exchange, f.differences[0].kind())
		if t == nil {
			b.t.Errorf("load balancer %d: a difference that does not show again by itself:\n%s", f.number, report(f.trial, f.config, f.differences))
			continue
		}
		config, err := b.renderer.render(t.lb)
		must(b.t, err)
		b.t.Errorf("load balancer %d, the smallest case:\n%s", f.number, report(t, config, found))
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		b.t.Errorf("%d times: %s", kinds[kind], kind)
	}
}

// kind tells differences of one cause from others, more or less.
func (d *difference) kind() string {
	if d.Where == "answer" {
		return d.Where + ": " + d.HAProxy + ", not " + d.Envoy
	}
	return d.Where
}

func pools(lb *model.LoadBalancer) []*model.Pool {
	var all []*model.Pool
	for i := range lb.Pools {
		all = append(all, &lb.Pools[i])
	}
	return all
}

func hasDead(p *model.Pool) bool {
	return slices.ContainsFunc(p.Members, func(m model.Member) bool { return m.ProtocolPort == deadPort })
}

func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	must(t, err)
	return n
}
