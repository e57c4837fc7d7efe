package agent_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	octavia "github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/server"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// publish gives the amphora's Envoy a load balancer, and takes away what it had before.
func (m *machine) publish(lb *octavia.LoadBalancer) {
	m.t.Helper()
	lb.ID, lb.VIPAddress, lb.AdminStateUp = m.config.LoadBalancerID, "127.0.0.1", true
	resources, err := translate.LoadBalancer(lb)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, typeURL := range translate.TypeURLs() {
		wanted := map[string]*server.Resource{}
		for name, message := range resources.All(typeURL) {
			if wanted[name], err = server.NewResource(typeURL, message); err != nil {
				m.t.Fatal(err)
			}
		}
		var gone []string
		for _, name := range m.published[typeURL] {
			if wanted[name] == nil {
				gone = append(gone, name)
			}
		}
		m.Server.Update(m.config.AmphoraID, typeURL, wanted, gone)
		m.published[typeURL] = nil
		for name := range wanted {
			m.published[typeURL] = append(m.published[typeURL], name)
		}
	}
}

// member is an HTTP server as a member of a pool.
func member(t *testing.T, id string, handler http.HandlerFunc) octavia.Member {
	t.Helper()
	backend := httptest.NewServer(handler)
	t.Cleanup(backend.Close)
	place := netip.MustParseAddrPort(backend.Listener.Addr().String())
	return octavia.Member{ID: id, Address: place.Addr().String(), ProtocolPort: int(place.Port()), Weight: 1, AdminStateUp: true}
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// scrape asks once, and holds the page against the format's rules.
func scrape(t *testing.T, l *octavia.Listener) (map[string]*dto.MetricFamily, string, error) {
	t.Helper()
	code, header, text, err := ask(t, http.MethodGet, l, "/metrics")
	if err != nil {
		return nil, "", err
	}
	if code != http.StatusOK || !strings.HasPrefix(header.Get("Content-Type"), "text/plain; version=0.0.4") {
		return nil, "", fmt.Errorf("answered %d, %s: %s", code, header.Get("Content-Type"), text)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("not Prometheus' format: %v\n%s", err, text)
	}
	return families, text, nil
}

func ask(t *testing.T, method string, l *octavia.Listener, path string) (int, http.Header, string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, fmt.Sprintf("http://127.0.0.1:%d%s", l.ProtocolPort, path), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, response.Header, string(body), err
}

// value is that of the one metric with these labels, each name=value; -1 when there is none.
func value(families map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	for _, metric := range families[name].GetMetric() {
		have := map[string]bool{}
		for _, pair := range metric.GetLabel() {
			have[pair.GetName()+"="+pair.GetValue()] = true
		}
		matches := len(have) == len(labels)
		for _, label := range labels {
			matches = matches && have[label]
		}
		if matches {
			return metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
		}
	}
	return -1
}

// TestMetricsAgreeWithTraffic makes known traffic through every kind of listener, and reads it back through a PROMETHEUS one.
func TestMetricsAgreeWithTraffic(t *testing.T) {
	m := newMachine(t, 0)
	m.start()
	m.waitFor("a running Envoy", running)

	var hold atomic.Bool
	held, release := make(chan struct{}), make(chan struct{})
	one := member(t, "m1", func(w http.ResponseWriter, request *http.Request) {
		if hold.Load() {
			held <- struct{}{}
			<-release
		}
		switch request.URL.Path {
		case "/missing":
			w.WriteHeader(http.StatusNotFound)
		case "/broken":
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	drained := member(t, "m2", func(http.ResponseWriter, *http.Request) { t.Error("a member of weight 0 is asked") })
	drained.Weight = 0
	spare := member(t, "m3", func(http.ResponseWriter, *http.Request) { t.Error("a backup is asked") })
	spare.Backup = true
	dead := octavia.Member{ID: "m4", Address: "127.0.0.1", ProtocolPort: freePort(t), Weight: 1, AdminStateUp: true}
	listeners := map[string]*octavia.Listener{}
	lb := &octavia.LoadBalancer{Pools: []octavia.Pool{
		{ID: "blue", Protocol: "HTTP", Members: []octavia.Member{one, drained, spare}},
		{ID: "tcp-pool", Protocol: "TCP", Members: []octavia.Member{one}},
		{ID: "dead", Protocol: "HTTP", Members: []octavia.Member{dead}},
		{ID: "empty", Protocol: "HTTP"},
	}}
	for i := range lb.Pools {
		lb.Pools[i].LBAlgorithm, lb.Pools[i].AdminStateUp = octavia.AlgorithmRoundRobin, true
	}
	lb.Listeners = []octavia.Listener{
		{ID: "web", Protocol: "HTTP", DefaultPoolID: "blue"},
		{ID: "impatient", Protocol: "HTTP", DefaultPoolID: "blue", TimeoutMemberConnect: 1234},
		{ID: "db", Protocol: "TCP", DefaultPoolID: "tcp-pool"},
		{ID: "down", Protocol: "HTTP", DefaultPoolID: "dead"},
		{ID: "closed", Protocol: "HTTP", DefaultPoolID: "blue", AllowedCIDRs: []string{"192.0.2.0/24"}},
		{ID: "metrics", Protocol: "PROMETHEUS"},
	}
	for i := range lb.Listeners {
		l := &lb.Listeners[i]
		l.AdminStateUp, l.ConnectionLimit, l.ProtocolPort = true, octavia.UnlimitedConnections, freePort(t)
		listeners[l.ID] = l
	}
	m.publish(lb)
	prom := listeners["metrics"]
	testkit.Eventually(t, func() error {
		families, text, err := scrape(t, prom)
		if err == nil && (value(families, "octavia_loadbalancer_listeners") != 6 || value(families, "octavia_member_weight", "pool=blue:impatient", "member=m2") != 0) {
			err = fmt.Errorf("not all listeners and members are there:\n%s", text)
		}
		return err
	})

	for path, status := range map[string]int{"/": 200, "/missing": 404, "/broken": 500} {
		for range 3 {
			if code, _, _, err := ask(t, http.MethodGet, listeners["web"], path); err != nil || code != status {
				t.Fatalf("%s answers %d, %v", path, code, err)
			}
		}
	}
	if code, _, _, err := ask(t, http.MethodGet, listeners["impatient"], "/"); err != nil || code != http.StatusOK {
		t.Fatalf("answered %d, %v", code, err)
	}
	if code, _, _, _ := ask(t, http.MethodGet, listeners["down"], "/"); code != http.StatusServiceUnavailable {
		t.Fatalf("a dead member answers %d", code)
	}
	if _, _, _, err := ask(t, http.MethodGet, listeners["closed"], "/"); err == nil {
		t.Fatal("a client outside of the CIDRs is let in")
	}
	sent, received := exchange(t, listeners["web"], "BAD\r\n\r\n")
	if !strings.HasPrefix(received, "HTTP/1.1 400 ") {
		t.Fatalf("a bad request is answered %q", received)
	}
	badBytes := [2]int{sent, len(received)}
	sent, received = exchange(t, listeners["db"], "GET /missing HTTP/1.0\r\n\r\n")
	if !strings.Contains(received, "404") {
		t.Fatalf("behind TCP: %q", received)
	}
	hold.Store(true)
	go func() { _, _, _, _ = ask(t, http.MethodGet, listeners["web"], "/") }()
	<-held
	defer close(release)

	want := map[string]float64{
		"octavia_listener_status listener=web state=UP":                  1,
		"octavia_listener_status listener=web state=DOWN":                0,
		"octavia_listener_http_requests_total listener=web":              11, // 9, the bad one, the one that is held
		"octavia_listener_http_responses_total listener=web code=2xx":    3,
		"octavia_listener_http_responses_total listener=web code=4xx":    4,
		"octavia_listener_http_responses_total listener=web code=5xx":    3,
		"octavia_listener_http_responses_total listener=web code=3xx":    0,
		"octavia_listener_connections_total listener=web":                11,
		"octavia_listener_sessions_total listener=web":                   11,
		"octavia_listener_current_sessions listener=web":                 1,
		"octavia_listener_request_errors_total listener=web":             1,
		"octavia_listener_denied_connections_total listener=closed":      1,
		"octavia_listener_connections_total listener=db":                 1,
		"octavia_listener_bytes_in_total listener=db":                    float64(sent),
		"octavia_listener_bytes_out_total listener=db":                   float64(len(received)),
		"octavia_listener_http_requests_total listener=db":               -1,
		"octavia_listener_http_responses_total listener=down code=5xx":   1,
		"octavia_pool_status pool=blue state=UP":                         1,
		"octavia_pool_active_members pool=blue":                          1,
		"octavia_pool_backup_members pool=blue":                          1,
		"octavia_pool_sessions_total pool=blue":                          10,
		"octavia_pool_current_sessions pool=blue":                        1,
		"octavia_pool_http_responses_total pool=blue code=2xx":           3,
		"octavia_pool_http_responses_total pool=blue code=4xx":           3,
		"octavia_pool_http_responses_total pool=blue code=5xx":           3,
		"octavia_pool_http_responses_total pool=blue code=1xx":           0,
		"octavia_pool_sessions_total pool=blue:impatient":                1,
		"octavia_pool_http_responses_total pool=blue:impatient code=2xx": 1,
		"octavia_pool_sessions_total pool=tcp-pool:db":                   1,
		"octavia_pool_bytes_in_total pool=tcp-pool:db":                   float64(sent),
		"octavia_pool_bytes_out_total pool=tcp-pool:db":                  float64(len(received)),
		"octavia_pool_http_responses_total pool=tcp-pool:db code=4xx":    -1,
		"octavia_pool_sessions_total pool=tcp-pool":                      -1, // nothing goes through it
		"octavia_pool_status pool=empty state=UP":                        1,
		"octavia_pool_active_members pool=empty":                         -1,
		"octavia_pool_sessions_total pool=dead":                          0,
		"octavia_member_status pool=blue member=m1 state=UP":             1,
		"octavia_member_status pool=blue member=m2 state=UP":             1,
		"octavia_member_weight pool=blue member=m1":                      1,
		"octavia_member_weight pool=blue member=m2":                      0,
		"octavia_member_sessions_total pool=blue member=m1":              10,
		"octavia_member_sessions_total pool=blue member=m2":              0,
		"octavia_member_sessions_total pool=blue:impatient member=m1":    1,
		"octavia_member_sessions_total pool=tcp-pool:db member=m1":       1,
		"octavia_member_current_sessions pool=blue member=m1":            1,
	}
	var page string
	testkit.Eventually(t, func() error {
		families, text, err := scrape(t, prom)
		if err != nil {
			return err
		}
		page = text
		for series, number := range want {
			words := strings.Fields(series)
			if got := value(families, words[0], words[1:]...); got != number {
				err = errors.Join(err, fmt.Errorf("%s is %v, want %v", series, got, number))
			}
		}
		if failed := value(families, "octavia_pool_connection_errors_total", "pool=dead"); failed < 1 {
			err = errors.Join(err, fmt.Errorf("%v failed connections to a dead member", failed))
		}
		if in := value(families, "octavia_listener_bytes_in_total", "listener=web"); in < float64(badBytes[0]) {
			err = errors.Join(err, fmt.Errorf("%v bytes of web", in))
		}
		whole := 0.0
		for _, metric := range families["octavia_listener_connections_total"].GetMetric() {
			whole += metric.GetCounter().GetValue()
		}
		if got := value(families, "octavia_loadbalancer_connections_total"); got != whole {
			err = errors.Join(err, fmt.Errorf("%v connections in all, want %v", got, whole))
		}
		for _, name := range []string{"octavia_loadbalancer_cpu", "octavia_loadbalancer_memory", "octavia_memory_pool_used_bytes"} {
			if got := value(families, name); got <= 0 {
				err = errors.Join(err, fmt.Errorf("%s is %v", name, got))
			}
		}
		return err
	})
	lint(t, page)
	for _, secret := range []string{"octavia-envoy", "admin", m.config.AmphoraID, m.Dir, "tls", "xds", "control_plane"} {
		if strings.Contains(page, secret) {
			t.Errorf("the page has %q:\n%s", secret, page)
		}
	}
	m.nothingElse(prom)
}

// nothingElse asks a PROMETHEUS listener for what it must not have.
func (m *machine) nothingElse(prom *octavia.Listener) {
	m.t.Helper()
	for _, request := range []string{
		"GET /", "GET /admin", "GET /stats", "GET /metrics/", "GET /metrics/../stats", "GET //metrics", "GET /Metrics",
		"GET /config_dump", "POST /metrics", "PUT /metrics", "DELETE /metrics", "OPTIONS /metrics", "POST /quitquitquit", "HEAD /",
	} {
		method, path, _ := strings.Cut(request, " ")
		code, _, body, err := ask(m.t, method, prom, path)
		if err != nil || code != http.StatusForbidden || strings.Contains(body, "octavia") {
			m.t.Errorf("%s: answered %d, %v: %s", request, code, err, body)
		}
	}
	if code, _, body, err := ask(m.t, http.MethodHead, prom, "/metrics"); err != nil || code != http.StatusOK || body != "" {
		m.t.Errorf("HEAD: answered %d, %v: %s", code, err, body)
	}
	if code, _, _, err := ask(m.t, http.MethodGet, prom, "/metrics?x=1"); err != nil || code != http.StatusOK {
		m.t.Errorf("with a query: answered %d, %v", code, err)
	}
}

// exchange sends bytes and reads to the end.
func exchange(t *testing.T, l *octavia.Listener, text string) (sent int, received string) {
	t.Helper()
	connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", l.ProtocolPort))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := io.WriteString(connection, text); err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(connection)
	if err != nil {
		t.Fatal(err)
	}
	return len(text), string(data)
}

// lint holds a page against Prometheus' conventions.
func lint(t *testing.T, page string) {
	t.Helper()
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
}
