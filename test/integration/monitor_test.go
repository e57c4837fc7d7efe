package integration

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// monitored gives a pool a monitor that asks every second; the timeout is in seconds.
func monitored(p model.Pool, timeout int) model.Pool {
	p.HealthMonitor = &model.HealthMonitor{
		ID: "hm", PoolID: p.ID, AdminStateUp: true, Type: model.HealthMonitorHTTP, Delay: 1, Timeout: timeout,
		MaxRetries: 1, MaxRetriesDown: 3, HTTPMethod: http.MethodGet, URLPath: "/", ExpectedCodes: "200",
	}
	return p
}

// hung is a member that accepts and never answers.
func hung(t *testing.T) model.Member {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return model.Member{
		ID: "hung", AdminStateUp: true, Weight: 1, Address: "127.0.0.1", ProtocolPort: l.Addr().(*net.TCPAddr).Port,
	}
}

// long is a timeout of checks, in seconds, that nothing here may wait for.
const long = translate.LongestCheck

// TestMonitorChangesLoseNothing puts a monitor on a pool, changes it, takes it away and detaches the pool, all under load, with a
// member beside the good one that never answers. Each change of a monitor replaces the cluster, which is when it had as
// many results of checks as it has members: the good one's second stands for that of the other, whose timeout nobody waits for.
func TestMonitorChangesLoseNothing(t *testing.T) {
	c, _, _ := fixture(t)
	var checks atomic.Int64
	good := handled(t, "good", func(_ http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.UserAgent(), "Envoy") {
			checks.Add(1)
		}
	})
	dead := hung(t)
	l := listener(t, "l1", "p1")
	c.accepted("amphora-1", translated(t, []model.Listener{l}, pool("p1", good)))
	traffic := startLoad(t, l)
	traffic.more(t, 25)
	step := func(what string, listeners []model.Listener, pools ...model.Pool) {
		t.Helper()
		began := time.Now()
		c.accepted("amphora-1", translated(t, listeners, pools...))
		took := time.Since(began)
		t.Logf("%s: %v", what, took.Round(time.Millisecond))
		if took >= long*time.Second {
			t.Errorf("%s waited for the member that never answers", what)
		}
		traffic.more(t, 50)
	}
	here := []model.Listener{l}
	step("a monitor", here, monitored(pool("p1", good), long))
	step("a member that never answers", here, monitored(pool("p1", good, dead), long))
	slower := monitored(pool("p1", good, dead), long)
	slower.HealthMonitor.MaxRetriesDown = 2
	step("another threshold", here, slower)
	step("another algorithm", here, func() model.Pool {
		p := monitored(pool("p1", good, dead), long)
		p.LBAlgorithm = model.AlgorithmLeastConnections
		return p
	}())
	l.DefaultPoolID = "p2"
	step("another pool", []model.Listener{l}, monitored(pool("p1", good, dead), long), monitored(pool("p2", good, dead), long))
	l.DefaultPoolID = "p1"
	step("and back", []model.Listener{l}, monitored(pool("p1", good, dead), long), monitored(pool("p2", good, dead), long))
	step("only the good one", []model.Listener{l}, monitored(pool("p1", good), long))
	down := monitored(pool("p1", good), long)
	down.HealthMonitor.AdminStateUp = false
	step("the monitor down", []model.Listener{l}, down)
	step("no monitor", []model.Listener{l}, pool("p1", good))
	traffic.lossless(t)
	if checks.Load() == 0 {
		t.Error("nobody was checked")
	}
}

// TestMonitorChangeKeepsWhatRuns changes a monitor while a request is half answered, on a connection that goes on after it.
func TestMonitorChangeKeepsWhatRuns(t *testing.T) {
	c, _, _ := fixture(t)
	release := make(chan struct{})
	slow := handled(t, "slow", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/half" {
			_, _ = io.WriteString(w, "one ")
			w.(http.Flusher).Flush()
			<-release
		}
		_, _ = io.WriteString(w, "two")
	})
	l := listener(t, "l1", "p1")
	c.accepted("amphora-1", translated(t, []model.Listener{l}, monitored(pool("p1", slow), long)))
	client := newClient(t)
	response, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/half", l.ProtocolPort))
	must(t, err)
	defer response.Body.Close()
	head := make([]byte, 4)
	_, err = io.ReadFull(response.Body, head)
	must(t, err)

	changed := monitored(pool("p1", slow), long)
	changed.HealthMonitor.MaxRetriesDown = 5
	c.accepted("amphora-1", translated(t, []model.Listener{l}, changed))
	c.accepted("amphora-1", translated(t, []model.Listener{l}, pool("p1", slow)))
	close(release)
	rest, err := io.ReadAll(response.Body)
	must(t, err)
	if got := string(head) + string(rest); got != "one two" {
		t.Fatalf("got %q", got)
	}
	if code, body := fetch(t.Context(), client, l); code != http.StatusOK || body != "two" {
		t.Fatalf("the connection answered %d %q next", code, body)
	}
}

// TestMonitoredMembersComeAndGo changes the members of a monitored pool under load: no cluster changes, so that nobody waits for
// the one that never answers.
func TestMonitoredMembersComeAndGo(t *testing.T) {
	c, _, _ := fixture(t)
	one, two, dead := member(t, "one"), member(t, "two"), hung(t)
	l := listener(t, "l1", "p1")
	here := []model.Listener{l}
	c.accepted("amphora-1", translated(t, here, monitored(pool("p1", one), long)))
	traffic := startLoad(t, l)
	client := newClient(t)
	answering := func(want ...string) {
		t.Helper()
		testkit.Eventually(t, func() error {
			seen := map[string]bool{}
			for range 8 {
				_, body := fetch(t.Context(), client, l)
				seen[body] = true
			}
			for name := range seen {
				if !slices.Contains(want, name) || len(seen) != len(want) {
					return fmt.Errorf("answered by %v, want %v", seen, want)
				}
			}
			return nil
		})
	}
	c.accepted("amphora-1", translated(t, here, monitored(pool("p1", one, dead), long)))
	c.accepted("amphora-1", translated(t, here, monitored(pool("p1", one, dead, two), long)))
	answering("one", "two")
	draining := two
	draining.Weight = 0
	c.accepted("amphora-1", translated(t, here, monitored(pool("p1", one, dead, draining), long)))
	answering("one")
	c.accepted("amphora-1", translated(t, here, monitored(pool("p1", one, dead, two), long)))
	answering("one", "two")
	c.accepted("amphora-1", translated(t, here, monitored(pool("p1", dead, two), long)))
	answering("two")
	traffic.lossless(t)
}
