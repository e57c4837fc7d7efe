package translate

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/envoybin"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// checkedBy gives a pool a monitor of that type.
func checkedBy(kind string, p model.Pool, change ...func(*model.HealthMonitor)) model.Pool {
	p.HealthMonitor = &model.HealthMonitor{
		ID: "hm-" + p.ID, AdminStateUp: true, Type: kind, Delay: 1, Timeout: 1, MaxRetries: 1, MaxRetriesDown: 1,
		HTTPMethod: "GET", URLPath: checkPath, ExpectedCodes: "200",
	}
	for _, f := range change {
		f(p.HealthMonitor)
	}
	return p
}

// TestMonitorKinds has pools of two members whose monitors find one of them good, and sees that traffic goes to that one alone.
func TestMonitorKinds(t *testing.T) {
	authority := pki.New(t, "members")
	certificates := []tls.Certificate{authority.Issue(pki.Options{Names: []string{"member.example"}}).TLS()}
	answering := func(name string, status int) string {
		return server(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == checkPath {
				w.WriteHeader(status)
			}
			_, _ = io.WriteString(w, name)
		})
	}
	good := answering("good", http.StatusOK)
	secure := tlsMember(t, &tls.Config{Certificates: certificates}, false)
	secure2 := tlsMember(t, &tls.Config{Certificates: certificates}, true)
	oldTLS := tlsMember(t, &tls.Config{
		Certificates: certificates, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10,
	}, false)
	place := func(m *model.Member, address string) {
		at := netip.MustParseAddrPort(address)
		m.MonitorAddress, m.MonitorPort = at.Addr().String(), int(at.Port())
	}
	// elsewhere has two members that serve, the first of which is checked at a good place, the other at a bad one.
	elsewhere := func(kind string, p model.Pool, good, bad string, change ...func(*model.HealthMonitor)) model.Pool {
		place(&p.Members[0], good)
		place(&p.Members[1], bad)
		return checkedBy(kind, p, change...)
	}
	two := func(id, protocol string) model.Pool {
		return pool(id, protocol, answering("good", http.StatusNotFound), answering("bad", http.StatusNotFound))
	}
	encrypted := func(p model.Pool, alpn ...string) model.Pool {
		p.TLSEnabled, p.ALPNProtocols = true, alpn
		return p
	}
	named := func(h *model.HealthMonitor) { h.HTTPVersion, h.DomainName = 1.1, "www.example.org" }
	host := server(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "www.example.org" || r.Method != http.MethodPost {
			w.WriteHeader(http.StatusNotFound)
		}
	})
	notHost := server(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "www.example.org" {
			w.WriteHeader(http.StatusNotFound)
		}
	})
	pools := map[string]model.Pool{
		"code": checkedBy("HTTP", pool("code", "HTTP", good, answering("bad", http.StatusNoContent))),
		"codes": checkedBy("HTTP", pool("codes", "HTTP", answering("good", http.StatusNoContent), answering("bad", http.StatusPartialContent)),
			func(h *model.HealthMonitor) { h.ExpectedCodes = "200-204" }),
		"list": checkedBy("HTTP", pool("list", "HTTP", answering("good", http.StatusNotFound), answering("bad", http.StatusOK)),
			func(h *model.HealthMonitor) { h.ExpectedCodes = "301, 404" }),
		"name": elsewhere("HTTP", two("name", "HTTP"), host, notHost, named, func(h *model.HealthMonitor) { h.HTTPMethod = "POST" }),
		"tcp":  elsewhere("TCP", two("tcp", "HTTP"), good, dead(t)),
		"https": elsewhere("HTTPS", two("https", "HTTP"), secure, good, func(h *model.HealthMonitor) {
			h.URLPath = "/"
		}),
		"old":   elsewhere("HTTPS", two("old", "HTTP"), oldTLS, good),
		"hello": elsewhere("TLS-HELLO", two("hello", "HTTP"), secure, good),
	}
	lb := &model.LoadBalancer{}
	for _, id := range sortedKeys(pools) {
		lb.Listeners = append(lb.Listeners, listener(t, id, "HTTP", id))
		lb.Pools = append(lb.Pools, pools[id])
	}
	// Members that speak TLS alone: "good" is whoever answers at all, as one that is down is not asked.
	for id, p := range map[string]model.Pool{
		"tls":       checkedBy("HTTP", encrypted(pool("tls", "HTTP", secure))),
		"tls-https": checkedBy("HTTPS", encrypted(pool("tls-https", "HTTP", secure))),
		"tls-hello": checkedBy("TLS-HELLO", encrypted(pool("tls-hello", "HTTP", secure))),
		"tls-h2":    checkedBy("HTTP", encrypted(pool("tls-h2", "HTTP", secure2), "h2")),
		"tls-both":  checkedBy("HTTP", encrypted(pool("tls-both", "HTTP", secure2), "h2", "http/1.1")),
		"tls-tcp":   checkedBy("TCP", encrypted(pool("tls-tcp", "HTTP", secure2), "h2", "http/1.1")),
	} {
		lb.Listeners = append(lb.Listeners, listener(t, id, "HTTP", id))
		lb.Pools = append(lb.Pools, p)
	}
	divided := encrypted(pool("divided", "HTTP", secure, secure2), "h2", "http/1.1")
	place(&divided.Members[1], good) // in clear
	lb.Listeners = append(lb.Listeners, listener(t, "divided", "HTTP", "divided"))
	lb.Pools = append(lb.Pools, checkedBy("HTTP", divided))
	wrong := pool("wrong", "HTTP", good, secure)
	wrong.Members[1].MonitorPort = int(netip.MustParseAddrPort(good).Port())
	lb.Listeners = append(lb.Listeners, listener(t, "wrong", "HTTP", "wrong"))
	lb.Pools = append(lb.Pools, checkedBy("HTTP", encrypted(wrong))) // The first one speaks no TLS.
	serve(t, lb)
	expect := func(id string, want ...string) {
		t.Helper()
		at := slices.IndexFunc(lb.Listeners, func(l model.Listener) bool { return l.ID == id })
		testkit.Eventually(t, func() error {
			if got := answers(t, &lb.Listeners[at], 8, get); !slices.Equal(got, want) {
				return fmt.Errorf("%s: answered by %q, want %q", id, got, want)
			}
			return nil
		})
	}
	for id := range pools {
		expect(id, "good")
	}
	http1, http2 := `HTTP/1.1 "" from nobody by TLS 1.3`, `HTTP/2.0 "" from nobody by TLS 1.3`
	for id, want := range map[string][]string{
		"tls": {http1}, "tls-https": {http1}, "tls-hello": {http1}, "tls-h2": {http2}, "tls-both": {http2}, "tls-tcp": {http2},
		"divided": {http1, http2}, "wrong": {http1},
	} {
		expect(id, want...)
	}
}

func sortedKeys[V any](all map[string]V) []string {
	keys := make([]string, 0, len(all))
	for key := range all {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// TestMonitorsOfProxyPools sees how checks of PROXY pools begin: as HAProxy's, with the header at the members' own ports and without it
// elsewhere.
func TestMonitorsOfProxyPools(t *testing.T) {
	var mu sync.Mutex
	begins := map[string]map[string]bool{}
	member := func(name string) string {
		begins[name] = map[string]bool{}
		return raw(t, func(c net.Conn) {
			line, _ := bufio.NewReader(c).ReadString('\n')
			mu.Lock()
			begins[name][strings.Join(strings.Fields(line + " - -")[:2], " ")] = true
			mu.Unlock()
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		})
	}
	lb := &model.LoadBalancer{Listeners: []model.Listener{listener(t, "web", "HTTP", "blue")}}
	p := pool("blue", "PROXY", member("own"), member("traffic"))
	at := netip.MustParseAddrPort(member("elsewhere"))
	p.Members[1].MonitorPort = int(at.Port())
	lb.Pools = []model.Pool{checkedBy("HTTP", p)}
	serve(t, lb)
	want := map[string]string{"own": "PROXY TCP4", "elsewhere": "GET " + checkPath, "traffic": "PROXY TCP4"}
	testkit.Eventually(t, func() error {
		_, _ = ask(t, &lb.Listeners[0], get)
		mu.Lock()
		defer mu.Unlock()
		for name, begin := range want {
			if len(begins[name]) != 1 || !begins[name][begin] {
				return fmt.Errorf("connections to %s begin with %v, want %q", name, begins[name], begin)
			}
		}
		return nil
	})
}

// TestBridge has Envoy ask the agent, which is the test, for what it cannot check itself: in clear, whatever the pool speaks, by the
// socket in its working directory, and about the place that is named for the member's checks.
func TestBridge(t *testing.T) {
	authority := pki.New(t, "members")
	secure := tlsMember(t, &tls.Config{Certificates: []tls.Certificate{authority.Issue(pki.Options{Names: []string{"m"}}).TLS()}}, true)
	good, bad := server(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "good") }),
		server(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "bad") })
	ping, old := checkedBy("PING", pool("ping", "HTTP", good, bad)), checkedBy("HTTP", pool("old", "HTTP", good, bad))
	ping.Members[1].MonitorAddress = "2001:db8::9"
	old.HealthMonitor.HTTPVersion, old.Members[1].MonitorPort = 1.0, 9
	encrypted := checkedBy("PING", pool("encrypted", "HTTP", secure))
	encrypted.TLSEnabled, encrypted.ALPNProtocols = true, []string{"h2", "http/1.1"}
	lb := &model.LoadBalancer{
		ID: "lb", VIPAddress: vip, AdminStateUp: true, Pools: []model.Pool{ping, old, encrypted},
		Listeners: []model.Listener{listener(t, "ping", "HTTP", "ping"), listener(t, "old", "HTTP", "old"), listener(t, "encrypted", "HTTP", "encrypted")},
	}
	config := writeStatic(t, translated(t, lb))
	socket, err := net.Listen("unix", filepath.Join(filepath.Dir(config), ProbeSocket))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	asked := map[string]bool{}
	agent := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked[r.Proto+" "+r.Method+" "+r.RequestURI+" of "+r.Host] = true
		mu.Unlock()
		if r.Host != good && r.Host != secure {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})}
	go func() { _ = agent.Serve(socket) }()
	t.Cleanup(func() { _ = agent.Close() })
	envoybin.Start(t, config)
	for i, want := range []string{"good", "good", `HTTP/2.0 "" from nobody by TLS 1.3`} {
		testkit.Eventually(t, func() error {
			connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", place(&lb.Listeners[i]))
			if err != nil {
				return err
			}
			_ = connection.Close()
			if got := answers(t, &lb.Listeners[i], 8, get); !slices.Equal(got, []string{want}) {
				return fmt.Errorf("%s: answered by %q, want %q", lb.Listeners[i].ID, got, want)
			}
			return nil
		})
	}
	mu.Lock()
	defer mu.Unlock()
	_, port, _ := net.SplitHostPort(bad)
	question := "/HTTP?codes=200&method=GET&path=%2Fhealth&timeout_ms=1000&version=1.0 of "
	for _, want := range []string{
		"/PING?timeout_ms=1000 of " + good, "/PING?timeout_ms=1000 of [2001:db8::9]:" + port, "/PING?timeout_ms=1000 of " + secure,
		question + good, question + "127.0.0.1:9",
	} {
		if !asked["HTTP/1.1 GET "+want] {
			t.Errorf("the agent was not asked %s, but %v", want, sortedKeys(asked))
		}
	}
}
