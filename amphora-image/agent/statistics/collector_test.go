package statistics

import (
	"context"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/envoyadmin"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/process"
	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
)

// fake is an Envoy whose answers a test sets.
type fake struct {
	stats      map[string]uint64
	histograms map[string]*envoyadmin.Histogram
	limits     map[string]uint64
	process    process.ID
	now        time.Time
	full       map[string]bool
	configured int
}

func (f *fake) Stats(context.Context, string) (map[string]uint64, error) {
	return maps.Clone(f.stats), nil
}

func (f *fake) Histograms(context.Context, string, string, string) (map[string]*envoyadmin.Histogram, error) {
	return f.histograms, nil
}

func (f *fake) ConnectionLimits(context.Context, []string) (map[string]uint64, error) {
	return f.limits, nil
}

func (f *fake) Listeners(context.Context) ([]string, error) {
	var names []string
	for name := range f.stats {
		if rest, ok := strings.CutPrefix(name, "listener."); ok && strings.HasSuffix(name, connectionsTotal) {
			names = append(names, strings.TrimSuffix(rest, "."+connectionsTotal)+":h3")
		}
	}
	return names, nil
}

func newFake() *fake {
	return &fake{process: process.ID{PID: 1, Start: 1, Boot: "b"}, now: time.Unix(1000, 0)}
}

func (f *fake) collector(t *testing.T, file string) *Collector {
	t.Helper()
	return New(Options{
		Envoy: f, Process: func() process.ID { return f.process }, Now: func() time.Time { return f.now }, File: file,
		Full: func(full map[string]bool) { f.full = full }, Configured: func() { f.configured++ },
	})
}

// serve sets the counters of a listener for HTTP.
func (f *fake) serve(id string, connections, in uint64) {
	if f.stats == nil {
		f.stats = map[string]uint64{}
	}
	f.stats["listener."+id+".downstream_cx_total"], f.stats["listener."+id+".downstream_cx_active"] = connections, 1
	f.stats["http."+id+".downstream_cx_rx_bytes_total"] = in
}

// next reads, when a report is due by time, and returns it.
func (f *fake) next(t *testing.T, c *Collector, mark uint64) *agentapiv1.StatisticsReport {
	t.Helper()
	f.now = f.now.Add(DefaultReportEvery)
	c.Read(t.Context())
	return c.Next(mark)
}

func one(t *testing.T, report *agentapiv1.StatisticsReport, id string) *agentapiv1.ListenerStatistics {
	t.Helper()
	for _, statistics := range report.GetListeners() {
		if statistics.GetListenerId() == id {
			return statistics
		}
	}
	return nil
}

func TestListenerThatComesBackGoesOn(t *testing.T) {
	f := newFake()
	file := filepath.Join(t.TempDir(), "counted.json")
	c := f.collector(t, file)
	f.serve("web", 10, 1000)
	f.serve("db", 1, 1)
	f.histograms = map[string]*envoyadmin.Histogram{"web": {Buckets: []envoyadmin.Bucket{{UpperBound: 1, Count: 3}, {UpperBound: 5, Count: 9}}, Sum: 20}}
	report := f.next(t, c, 1)
	if got := one(t, report, "web"); got.GetTotalConnections() != 10 || got.GetBytesIn() != 1000 || got.GetActiveConnections() != 1 ||
		len(got.GetRequestTime()) != 2 || got.GetRequestTimeSumMs() != 20 {
		t.Fatalf("first: %v", report)
	}
	if report := f.next(t, c, 2); report != nil {
		t.Errorf("nothing has changed, and it says %v", report)
	}

	// Gone: it is named until the controller knows that it has no connections any more.
	f.stats, f.histograms = nil, nil
	f.serve("db", 1, 1)
	report = f.next(t, c, 3)
	if got := one(t, report, "web"); got.GetTotalConnections() != 10 || got.GetActiveConnections() != 0 {
		t.Fatalf("gone: %v", report)
	}
	c.Acknowledged(3)
	f.serve("db", 2, 2)
	if report = f.next(t, c, 4); report == nil || one(t, report, "web") != nil {
		t.Fatalf("gone and known: %v", report)
	}

	// Another agent, and the listener is back. Fewer bytes tell, however many connections there are.
	c = f.collector(t, file)
	f.serve("web", 50, 7)
	f.histograms = map[string]*envoyadmin.Histogram{"web": {Buckets: []envoyadmin.Bucket{{UpperBound: 1, Count: 4}, {UpperBound: 5, Count: 4}}, Sum: 2}}
	report = f.next(t, c, 1)
	got := one(t, report, "web")
	if got.GetTotalConnections() != 60 || got.GetBytesIn() != 1007 || got.GetRequestTime()[0].GetCount() != 7 ||
		got.GetRequestTime()[1].GetCount() != 13 || got.GetRequestTimeSumMs() != 22 {
		t.Fatalf("back: %v", got)
	}

	// Back within a second: its bytes are fewer.
	f.serve("web", 51, 3)
	f.histograms["web"] = &envoyadmin.Histogram{Buckets: []envoyadmin.Bucket{{UpperBound: 1, Count: 5}, {UpperBound: 5, Count: 5}}, Sum: 3}
	got = one(t, f.next(t, c, 2), "web")
	if got.GetBytesIn() != 1010 || got.GetTotalConnections() != 61 {
		t.Fatalf("anew: %v", got)
	}
}

func TestLastWordIsHeardBeforeTheNextEpoch(t *testing.T) {
	f := newFake()
	file := filepath.Join(t.TempDir(), "counted.json")
	c := f.collector(t, file)
	f.serve("web", 10, 1000)
	c.Greet()
	if report := c.Next(1); report != nil {
		t.Errorf("before anything is read: %v", report)
	}
	first := f.next(t, c, 1)
	f.serve("web", 11, 1100)
	c.Read(t.Context()) // not reported
	f.process.PID, f.stats = 2, nil
	f.serve("web", 1, 10)
	last := f.next(t, c, 5)
	if !last.GetFinal() || last.GetEpoch() != first.GetEpoch() || one(t, last, "web").GetTotalConnections() != 11 ||
		one(t, last, "web").GetActiveConnections() != 0 {
		t.Fatalf("last word: %v", last)
	}
	if report := f.next(t, c, 5); report != nil {
		t.Errorf("before that is heard: %v", report)
	}
	c.Acknowledged(4) // of a heartbeat before it
	if report := f.next(t, c, 5); report != nil || len(c.ended) == 0 {
		t.Errorf("before that is heard: %v", report)
	}
	c.Greet() // the stream broke
	if report := c.Next(1); !report.GetFinal() || report.GetEpoch() != first.GetEpoch() {
		t.Errorf("again: %v", report)
	}

	// Envoys that end one after the other meanwhile are one epoch, since nobody has heard of them.
	for pid := 3; pid < 30; pid++ {
		f.process.PID = pid
		c.Read(t.Context())
	}
	c = f.collector(t, file) // and the agent, too
	c.Read(t.Context())
	c.Greet()
	if report := c.Next(1); !report.GetFinal() || report.GetEpoch() != first.GetEpoch() {
		t.Fatalf("after the agent: %v", report)
	}
	c.Acknowledged(1)
	merged := c.Next(2)
	if !merged.GetFinal() || one(t, merged, "web").GetTotalConnections() != 27 || one(t, merged, "web").GetBytesIn() != 270 {
		t.Fatalf("merged: %v", merged)
	}
	c.Acknowledged(2)
	if now := c.Next(3); now.GetFinal() || now.GetEpoch() == merged.GetEpoch() || one(t, now, "web").GetTotalConnections() != 1 {
		t.Fatalf("then: %v", now)
	}
	if len(c.ended) > 0 {
		t.Error("something is left")
	}
}

func TestFull(t *testing.T) {
	f := newFake()
	c := f.collector(t, "")
	f.serve("web", 0, 0)
	f.serve("db", 0, 0)
	f.limits = map[string]uint64{"web": 2}
	look := func(active, refused uint64, after time.Duration, want bool) {
		t.Helper()
		f.now = f.now.Add(after)
		f.stats["connection_limit.web.active_connections"], f.stats["connection_limit.web.limited_connections"] = active, refused
		c.Read(t.Context())
		if len(f.full) != 2 || f.full["db"] || f.full["web"] != want {
			t.Errorf("with %d connections and %d refused: %v, want %v", active, refused, f.full, want)
		}
	}
	look(1, 5, time.Second, false) // refused before anybody looked
	look(2, 5, time.Second, true)
	look(1, 5, time.Second, true)
	look(1, 5, fullFor, false)
	look(1, 6, time.Second, true) // full in between
	look(1, 6, fullFor, false)
	if f.configured != 1 {
		t.Errorf("configured %d times", f.configured)
	}
	f.limits = map[string]uint64{"web": 1}
	f.stats["listener_manager.listener_modified"] = 1
	look(1, 6, time.Second, true)
	if f.configured != 2 {
		t.Errorf("configured %d times", f.configured)
	}
}
