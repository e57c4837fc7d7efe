package bench

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"sigs.k8s.io/yaml"

	"github.com/octavia-envoy/octavia-envoy/store/storetest"
	octavia "github.com/octavia-envoy/octavia-envoy/test/haproxy"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// contender is a proxy that answers requests.
type contender struct {
	name    string
	address string
	cpu     func(testing.TB) time.Duration
	spent   time.Duration
	rounds  []float64 // CPU time of each round, in µs a request
	// logged counts its lines, where that is known.
	logged func() int64
}

// load is what the contenders are asked.
type load struct {
	connections, requests, rounds int
	anew                          bool // a connection for each request
}

// compareRequests gives all contenders the same requests, in turns.
func compareRequests(tb testing.TB, l load, contenders []*contender) {
	tb.Helper()
	for round := range l.rounds + 1 {
		for k := range contenders {
			c := contenders[(round+k)%len(contenders)]
			before := c.cpu(tb)
			require.NoError(tb, l.ask(c.address))
			spent := c.cpu(tb) - before
			if round > 0 { // connections, caches
				c.spent += spent
				c.rounds = append(c.rounds, float64(spent)/1e3/float64(l.requests))
			}
		}
	}
}

// ratio is the median over the rounds of what one contender cost against another.
func (c *contender) ratio(to *contender) float64 {
	var ratios []float64
	for i := range c.rounds {
		ratios = append(ratios, c.rounds[i]/to.rounds[i])
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}

// ask sends the requests over some connections.
func (l load) ask(address string) error {
	var left atomic.Int64
	left.Store(int64(l.requests))
	failed := make(chan error, l.connections)
	var group sync.WaitGroup
	for range l.connections {
		group.Go(func() {
			if err := l.askOne(address, &left); err != nil {
				failed <- err
			}
		})
	}
	group.Wait()
	close(failed)
	return <-failed
}

func (l load) askOne(address string, left *atomic.Int64) error {
	var conn *connection
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	for left.Add(-1) >= 0 {
		var err error
		if conn == nil {
			if conn, err = dial(address); err != nil {
				return err
			}
		}
		if _, err := conn.get("/"); err != nil {
			return err
		}
		if l.anew {
			conn.Close()
			conn = nil
		}
	}
	return nil
}

// connection speaks just enough HTTP/1.1 to cost little.
type connection struct {
	net.Conn
	reader *bufio.Reader
	// last is whether the answer said that no other follows.
	last bool
}

func dial(address string) (*connection, error) {
	conn, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return nil, err
	}
	return &connection{Conn: conn, reader: bufio.NewReader(conn)}, nil
}

var errStatus = errors.New("answered")

// get asks for a page and returns its body.
func (c *connection) get(path string) (string, error) {
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"); err != nil {
		return "", err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return "", err
	}
	c.last = response.Close
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%w %s", errStatus, response.Status)
	}
	return string(body), err
}

// startBackend is a member that answers with its name.
func startBackend(tb testing.TB, name string) netip.AddrPort {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) })}
	go func() { _ = server.Serve(listener) }()
	tb.Cleanup(func() { _ = server.Close() })
	return netip.MustParseAddrPort(listener.Addr().String())
}

// nextPort is where freePorts goes on: what it gave away may not be listened on yet.
var nextPort = 20_000

// freePorts returns the first of some ports in a row that nobody has.
func freePorts(tb testing.TB, count int) int {
	tb.Helper()
	for nextPort < 32_000 {
		port := nextPort
		nextPort += count
		free := true
		for i := range count {
			listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+i))
			if err != nil {
				free = false
				break
			}
			_ = listener.Close()
		}
		if free {
			return port
		}
	}
	tb.Fatal("no free ports")
	return 0
}

// startOurs runs an Envoy that has a load balancer from a controller, as an amphora does.
func startOurs(tb testing.TB, s shape, number int, flavor map[string]any) (*site, *realEnvoy) {
	tb.Helper()
	socket := filepath.Join(testkit.SocketDir(tb), "admin")
	site := startSite(tb, storetest.SQLite(tb), socket, order{Shape: s, First: number, Count: 1, Flavor: flavor})
	envoy := startRealEnvoy(tb, authority(tb, site.dir), site.address, amphoraOf(loadBalancerID(number)), socket, 1)
	testkit.Until(tb, "Envoy is in sync", func() bool { return site.program.do(tb, order{Do: "synced"}).Count == 0 })
	envoy.live(tb)
	return site, envoy
}

// startHand runs an Envoy with testdata/hand.yaml, what somebody would write who wants the same without a controller.
func startHand(tb testing.TB, port int, backends []netip.AddrPort) int {
	tb.Helper()
	text, err := os.ReadFile("testdata/hand.yaml")
	require.NoError(tb, err)
	var members strings.Builder
	for _, backend := range backends {
		fmt.Fprintf(&members, "            - {endpoint: {address: {socket_address: {address: %s, port_value: %d}}}}\n", backend.Addr(), backend.Port())
	}
	document := strings.NewReplacer("PORT", strconv.Itoa(port), "            MEMBERS\n", members.String()).Replace(string(text))
	asJSON, err := yaml.YAMLToJSON([]byte(document))
	require.NoError(tb, err)
	require.NoError(tb, protojson.Unmarshal(asJSON, new(bootstrapv3.Bootstrap)))
	file := filepath.Join(tb.TempDir(), "envoy.json")
	require.NoError(tb, os.WriteFile(file, asJSON, 0o600))
	return startStatic(tb, file)
}

// startContenders runs all that answer the same requests.
func startContenders(tb testing.TB) []*contender {
	tb.Helper()
	backends := []netip.AddrPort{startBackend(tb, "one"), startBackend(tb, "two")}
	base := shape{Listeners: 1, Members: 2, Backends: backends}
	var all []*contender
	add := func(name string, port int, pid int) {
		all = append(all, &contender{
			name: name, address: fmt.Sprintf("127.0.0.1:%d", port), cpu: func(tb testing.TB) time.Duration { return testkit.CPU(tb, pid) },
		})
	}
	for _, c := range []struct {
		name   string
		flavor map[string]any
	}{{"ours", nil}, {"ours again", nil}, {"ours, logging", map[string]any{"access_log": true}}} {
		s := base
		s.Port = freePorts(tb, 1)
		_, envoy := startOurs(tb, s, 0, c.flavor)
		add(c.name, s.Port, envoy.pid)
	}
	port := freePorts(tb, 1)
	add("hand-written", port, startHand(tb, port, backends))
	r := octavia.StartRenderer(tb)
	for _, logging := range []bool{false, true} {
		s := base
		s.Port = freePorts(tb, 1)
		h := startHAProxy(tb, r, s.tree(0), logging)
		name := "HAProxy"
		if logging {
			name = "HAProxy, logging"
		}
		all = append(all, &contender{name: name, address: fmt.Sprintf("127.0.0.1:%d", s.Port), cpu: h.cpu, logged: h.logged.Load})
	}
	for _, c := range all {
		testkit.Eventually(tb, func() error { return load{connections: 1, requests: 1}.ask(c.address) })
	}
	return all
}

func showRequests(tb testing.TB, all []*contender) {
	tb.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "%-20s %14s   ratio to %s\n", "", "µs a request", all[0].name)
	for _, c := range all {
		fmt.Fprintf(&text, "%-20s %14.1f   %.3f", c.name, median(c.rounds, func(v float64) float64 { return v }), c.ratio(all[0]))
		if c.logged != nil {
			fmt.Fprintf(&text, "   %d lines", c.logged())
		}
		text.WriteString("\n")
	}
	tb.Logf("\n%s", text.String())
}

// BenchmarkRequest is goal 4: the CPU time of a request at the configuration that we generate.
func BenchmarkRequest(b *testing.B) {
	for _, c := range []struct {
		name string
		load load
	}{
		{"kept", load{connections: 16, requests: 1000, rounds: 60}},
		{"kept, many", load{connections: 128, requests: 4000, rounds: 30}},
		{"anew", load{connections: 16, requests: 400, rounds: 30, anew: true}},
	} {
		b.Run(c.name, func(b *testing.B) {
			all := startContenders(b)
			c.load.rounds *= b.N
			compareRequests(b, c.load, all)
			showRequests(b, all)
			ours, again, logging, hand, plain, logged := all[0], all[1], all[2], all[3], all[4], all[5]
			b.ReportMetric(again.ratio(ours), "A/A")
			b.ReportMetric(ours.ratio(hand), "to-hand-written")
			b.ReportMetric(ours.ratio(plain), "to-HAProxy")
			b.ReportMetric(logging.ratio(logged), "to-HAProxy-both-logging")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func TestRequest(t *testing.T) {
	all := startContenders(t)
	compareRequests(t, load{connections: 2, requests: 20, rounds: 2}, all)
	showRequests(t, all)
	for _, c := range all {
		require.Positive(t, c.spent, c.name)
		if c.name == "HAProxy, logging" {
			testkit.Until(t, "a line a request", func() bool { return c.logged() >= 60 })
		}
	}
}
