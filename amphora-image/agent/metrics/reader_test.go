package metrics

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/envoyadmin"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/process"
)

// fake is an Envoy with fixed answers.
type fake struct {
	stats     map[string]uint64
	listeners []string
	clusters  []envoyadmin.Cluster
	err       error

	reads atomic.Int64
}

func (f *fake) Stats(_ context.Context, filter string) (map[string]uint64, error) {
	f.reads.Add(1)
	found := map[string]uint64{}
	for name, value := range f.stats {
		if regexp.MustCompile(filter).MatchString(name) {
			found[name] = value
		}
	}
	return found, f.err
}

func (f *fake) Listeners(context.Context) ([]string, error) { return f.listeners, nil }

func (f *fake) Clusters(context.Context) ([]envoyadmin.Cluster, error) { return f.clusters, nil }

// lines reads the fake and returns the lines of the page that are no comment.
func lines(t *testing.T, r *reader) map[string]bool {
	t.Helper()
	reading, err := r.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text, err := reading.text()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		all[strings.TrimSpace(line)] = true
	}
	return all
}

func expect(t *testing.T, have map[string]bool, want ...string) {
	t.Helper()
	for _, line := range want {
		if !have[line] {
			t.Errorf("no line %s", line)
		}
	}
	if t.Failed() {
		t.Log(have)
	}
}

func absent(t *testing.T, have map[string]bool, texts ...string) {
	t.Helper()
	for line := range have {
		for _, text := range texts {
			if strings.Contains(line, text) && !strings.HasPrefix(line, "#") {
				t.Errorf("there is %s", line)
			}
		}
	}
}

// TestOnlyTheLoadBalancers leaves out what Envoy has for itself: its admin interface, the bootstrap's clusters and listeners
// that are draining. With them would go the controller's address.
func TestOnlyTheLoadBalancers(t *testing.T) {
	envoy := &fake{
		listeners: []string{"web", "web:h3"},
		stats: map[string]uint64{
			"listener.web.downstream_cx_total": 3, "listener.admin.downstream_cx_total": 100, "http.admin.downstream_rq_total": 100,
			"listener.gone.downstream_cx_total": 7, "cluster.octavia-envoy-controller.upstream_cx_total": 9,
			"cluster.blue.upstream_cx_total": 2, "cluster.blue.version": 1, "http.web.tracing.random_sampling": 1,
		},
		clusters: []envoyadmin.Cluster{
			{Name: "octavia-envoy-controller", Hosts: []envoyadmin.Host{{Address: "192.0.2.1:9180", Weight: 1}}},
			{Name: "octavia-envoy-metrics", Hosts: []envoyadmin.Host{{Weight: 1}}},
			{Name: "blue", Dynamic: true},
		},
	}
	have := lines(t, newReader(envoy, nil))
	expect(t, have, `octavia_listener_connections_total{listener="web"} 3`, "octavia_loadbalancer_connections_total 3",
		`octavia_pool_connection_attempts_total{pool="blue"} 2`, "octavia_loadbalancer_listeners 1")
	absent(t, have, "admin", "h3", "gone", "octavia-envoy", "192.0.2.1", "octavia_loadbalancer_cpu")
}

func TestPoolsAndMembers(t *testing.T) {
	host := func(name string, change func(*envoyadmin.Host)) envoyadmin.Host {
		h := envoyadmin.Host{Address: "192.0.2.1:80", Name: name, Weight: 5, Stats: map[string]uint64{"rq_total": 4, "rq_active": 1}}
		change(&h)
		return h
	}
	good := func(*envoyadmin.Host) {}
	failed := func(h *envoyadmin.Host) { h.Failed = true }
	draining := func(h *envoyadmin.Host) { h.Draining, h.Weight = true, 1 }
	backup := func(h *envoyadmin.Host) { h.Priority = 1 }
	envoy := &fake{
		stats: map[string]uint64{
			"cluster.blue.upstream_cx_total":    0,
			"cluster.blue_slow.upstream_rq_2xx": 6, "cluster.blue_slow.upstream_cx_total": 2,
			"cluster.tcp_db.upstream_rq_total": 3, "cluster.udp_dns.upstream_rq_total": 0,
			"cluster.udp_dns.upstream_cx_tx_bytes_total": 11,
		},
		clusters: []envoyadmin.Cluster{
			{Name: "blue", Dynamic: true, Hosts: []envoyadmin.Host{host("blue/m1", good)}},
			{Name: "blue:slow", Dynamic: true, Hosts: []envoyadmin.Host{
				host("blue/m1", good), host("blue/m2", failed), host("blue/m3", draining), host("blue/m4", backup), host("unknown", good),
			}},
			{Name: "tcp:db", Dynamic: true, Hosts: []envoyadmin.Host{host("green/m2", failed), host("green/m3", draining)}},
			{Name: "udp:dns", Dynamic: true, Hosts: []envoyadmin.Host{host("names/m1", good)}},
			{Name: "tcp:empty", Dynamic: true},
			{Name: "empty", Dynamic: true},
		},
	}
	r := newReader(envoy, nil)
	have := lines(t, r)
	expect(t, have,
		`octavia_pool_status{pool="blue:slow",state="UP"} 1`, `octavia_pool_active_members{pool="blue:slow"} 2`,
		`octavia_pool_backup_members{pool="blue:slow"} 1`, `octavia_pool_http_responses_total{code="2xx",pool="blue:slow"} 6`,
		`octavia_pool_http_responses_total{code="5xx",pool="blue:slow"} 0`,
		`octavia_member_status{member="m1",pool="blue:slow",state="UP"} 1`, `octavia_member_weight{member="m1",pool="blue:slow"} 5`,
		`octavia_member_status{member="m2",pool="blue:slow",state="DOWN"} 1`,
		`octavia_member_status{member="m2",pool="blue:slow",state="UP"} 0`,
		`octavia_member_status{member="m3",pool="blue:slow",state="UP"} 1`, `octavia_member_weight{member="m3",pool="blue:slow"} 0`,
		`octavia_member_sessions_total{member="m1",pool="blue:slow"} 4`,
		`octavia_pool_status{pool="green:db",state="DOWN"} 1`, `octavia_pool_sessions_total{pool="green:db"} 3`,
		`octavia_pool_active_members{pool="green:db"} 0`,
		`octavia_pool_bytes_in_total{pool="names:dns"} 11`, `octavia_member_status{member="m1",pool="names:dns",state="UP"} 1`,
		`octavia_pool_status{pool="empty",state="UP"} 1`,
	)
	absent(t, have, `pool="blue"`, "unknown", `octavia_pool_sessions_total{pool="names:dns"}`,
		`octavia_member_sessions_total{member="m1",pool="names:dns"}`, `octavia_pool_http_responses_total{code="2xx",pool="green:db"}`)

	// What goes through the shared cluster brings it out.
	envoy.stats["cluster.blue.upstream_cx_total"] = 1
	expect(t, lines(t, r), `octavia_pool_connection_attempts_total{pool="blue"} 1`)
	envoy.clusters[0].Hosts[0].Name = "blue/m9" // another one at that address
	expect(t, lines(t, r), `octavia_member_sessions_total{member="m9",pool="blue"} 4`)
}

// TestTotalsOnlyGrow takes listeners away and brings them back.
func TestTotalsOnlyGrow(t *testing.T) {
	r := newReader(&fake{}, nil)
	for i, step := range []struct {
		listeners []string
		web, db   uint64
		total     string
	}{
		{[]string{"web", "db"}, 5, 10, "15"},
		{[]string{"web"}, 6, 10, "16"},         // db drains
		{[]string{"web", "db"}, 6, 11, "17"},   // and is back before it was gone
		{[]string{"web"}, 6, 12, "17"},         // what it counts while it drains comes with it
		{[]string{"web", "db"}, 7, 1, "19"},    // back after it was gone: 7 + 11 + 1
		{[]string{}, 7, 1, "19"},               // nothing left
		{[]string{"web", "db"}, 10, 2, "23"},   // 10 + 11 + 2
		{[]string{"web", "db"}, 0, 0, "11"},    // another Envoy
		{[]string{"web", "db"}, 1, 0, "12"},    // …
		{[]string{"web", "db"}, 1, 100, "112"}, // …
	} {
		r.envoy = &fake{listeners: step.listeners, stats: map[string]uint64{
			"listener.web.downstream_cx_total": step.web, "listener.db.downstream_cx_total": step.db,
		}}
		want := "octavia_loadbalancer_connections_total " + step.total
		if have := lines(t, r); !have[want] {
			t.Fatalf("step %d: no line %s in %v", i, want, have)
		}
	}
}

// TestReadsOnceASecond has many scrapes at once.
func TestReadsOnceASecond(t *testing.T) {
	envoy, now := &fake{listeners: []string{"web"}}, time.Unix(1, 0)
	handler := NewHandler(Options{Envoy: envoy, Now: func() time.Time { return now }})
	for range 2 {
		var group sync.WaitGroup
		for range 50 {
			group.Go(func() {
				if answer := get(handler, http.MethodGet, "/metrics"); answer.Code != http.StatusOK {
					t.Errorf("answered %d", answer.Code)
				}
			})
		}
		group.Wait()
	}
	if reads := envoy.reads.Load(); reads != 1 {
		t.Errorf("%d reads in one second", reads)
	}
	now = now.Add(freshFor)
	get(handler, http.MethodGet, "/metrics")
	if reads := envoy.reads.Load(); reads != 2 {
		t.Errorf("%d reads in two seconds", reads)
	}
}

// TestSlowReadingsRest lets a reading take a second.
func TestSlowReadingsRest(t *testing.T) {
	envoy, now := &fake{}, time.Unix(1, 0)
	handler := NewHandler(Options{Envoy: envoy, Now: func() time.Time {
		if envoy.reads.Load() == 1 {
			return now.Add(time.Second)
		}
		return now
	}})
	get(handler, http.MethodGet, "/metrics")
	now = now.Add(9 * time.Second)
	if get(handler, http.MethodGet, "/metrics"); envoy.reads.Load() != 1 {
		t.Error("a tenth of the time is exceeded")
	}
	now = now.Add(time.Second)
	if get(handler, http.MethodGet, "/metrics"); envoy.reads.Load() != 2 {
		t.Error("there is no other reading")
	}
}

func get(handler http.Handler, method, path string) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(method, path, http.NoBody))
	return answer
}

func TestAnswers(t *testing.T) {
	handler := NewHandler(Options{Envoy: &fake{}, Process: func() process.ID { return self(t) }})
	answer := get(handler, http.MethodGet, "/metrics")
	if kind := answer.Header().Get("Content-Type"); answer.Code != http.StatusOK || !strings.HasPrefix(kind, "text/plain; version=0.0.4") {
		t.Errorf("answered %d, %s", answer.Code, kind)
	}
	for _, want := range []string{"octavia_loadbalancer_cpu ", "octavia_loadbalancer_memory "} {
		if !strings.Contains(answer.Body.String(), "\n"+want) {
			t.Errorf("no %s in %s", want, answer.Body)
		}
	}
	for request, code := range map[string]int{
		"POST /metrics": http.StatusMethodNotAllowed, "GET /": http.StatusNotFound, "GET /metrics/x": http.StatusNotFound,
		"HEAD /metrics": http.StatusOK,
	} {
		method, path, _ := strings.Cut(request, " ")
		if answer := get(handler, method, path); answer.Code != code {
			t.Errorf("%s: answered %d", request, answer.Code)
		}
	}
}

// TestTroubleIsNotTold: where Envoy's socket is, is not for the user.
func TestTroubleIsNotTold(t *testing.T) {
	envoy := &fake{err: errors.New("dial unix /run/secret/admin.sock: connection refused")}
	answer := get(NewHandler(Options{Envoy: envoy}), http.MethodGet, "/metrics")
	body, _ := io.ReadAll(answer.Body)
	if answer.Code != http.StatusServiceUnavailable || strings.Contains(string(body), "secret") {
		t.Errorf("answered %d: %s", answer.Code, body)
	}
}

func self(t *testing.T) process.ID {
	t.Helper()
	id, err := process.Of(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestUsage spins, and sees it.
func TestUsage(t *testing.T) {
	now := time.Now()
	usage := usageOf(func() process.ID { return self(t) }, func() time.Time { return now })
	before, ok := usage()
	if !ok || before.Memory <= 0 || before.Memory > 100 {
		t.Fatalf("got %v, %v", before, ok)
	}
	for busy, x := self(t).CPU(), 0; self(t).CPU() < busy+50*time.Millisecond; x++ {
	}
	now = now.Add(100 * time.Millisecond)
	if after, ok := usage(); !ok || after.CPU <= 0 {
		t.Errorf("after 50 ms of work in 100 ms: %v, %v", after, ok)
	}
	if _, ok := usageOf(func() process.ID { return process.ID{} }, time.Now)(); ok {
		t.Error("no process has a usage")
	}
}
