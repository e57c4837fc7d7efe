package agent_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/octavia-envoy/octavia-envoy/driver/amphora/amphoratest"
	octavia "github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/server"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// TestMetricsOfTheRest reads what is left: UDP, redirects, limits, and a member that is down.
func TestMetricsOfTheRest(t *testing.T) {
	m := newMachine(t, 0)
	m.start()
	m.waitFor("a running Envoy", running)
	echo, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		buffer := make([]byte, 100)
		for {
			size, from, err := echo.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = echo.WriteTo(append(buffer[:size:size], '!'), from)
		}
	}()
	web := member(t, "m1", func(http.ResponseWriter, *http.Request) {})
	down := web
	down.ID, down.Address = "m2", "127.0.0.2"
	dns := octavia.Member{
		ID: "m3", Address: "127.0.0.1", ProtocolPort: echo.LocalAddr().(*net.UDPAddr).Port, Weight: 1, AdminStateUp: true,
	}
	lb := &octavia.LoadBalancer{
		Pools: []octavia.Pool{
			{ID: "blue", Protocol: "HTTP", Members: []octavia.Member{web, down}},
			{ID: "names", Protocol: "UDP", Members: []octavia.Member{dns}},
		},
		Listeners: []octavia.Listener{
			{ID: "web", Protocol: "HTTP", DefaultPoolID: "blue", ConnectionLimit: 1, L7Policies: []octavia.L7Policy{{
				ID: "policy", AdminStateUp: true, Position: 1, Action: octavia.L7ActionRedirectToURL, RedirectURL: "http://elsewhere.example/",
				Rules: []octavia.L7Rule{{
					ID: "rule", AdminStateUp: true, Type: octavia.L7TypePath, CompareType: octavia.L7CompareEqualTo, Value: "/moved",
				}},
			}}},
			{ID: "dns", Protocol: "UDP", DefaultPoolID: "names", ConnectionLimit: octavia.UnlimitedConnections},
			{ID: "metrics", Protocol: "PROMETHEUS", ConnectionLimit: octavia.UnlimitedConnections},
		},
	}
	for i := range lb.Pools {
		lb.Pools[i].LBAlgorithm, lb.Pools[i].AdminStateUp = octavia.AlgorithmRoundRobin, true
	}
	for i := range lb.Listeners {
		lb.Listeners[i].AdminStateUp, lb.Listeners[i].ProtocolPort = true, freePort(t)
	}
	m.publish(lb)
	m.fail("m2", lb)
	prom := &lb.Listeners[2]
	testkit.Eventually(t, func() error { _, _, err := scrape(t, prom); return err })

	if code, _, _, err := ask(t, http.MethodGet, &lb.Listeners[0], "/moved"); err != nil || code != http.StatusFound {
		t.Fatalf("answered %d, %v", code, err)
	}
	var first net.Conn
	defer func() { _ = first.Close() }()
	testkit.Eventually(t, func() (err error) { // the second one is closed while the first one counts
		if first != nil {
			_ = first.Close() // it came before the one that asked for /moved had gone
		}
		if first, err = net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", lb.Listeners[0].ProtocolPort)); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := ask(t, http.MethodGet, &lb.Listeners[0], "/"); err == nil {
			return errors.New("two connections at once")
		}
		return nil
	})
	client, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", lb.Listeners[1].ProtocolPort))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	answered := make([]byte, 100)
	_ = client.SetDeadline(time.Now().Add(testkit.Patience))
	if _, err := client.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if size, err := client.Read(answered); err != nil || size != 6 {
		t.Fatalf("over UDP: %d bytes, %v", size, err)
	}

	want := map[string]float64{
		"octavia_member_status pool=blue member=m1 state=UP":           1,
		"octavia_member_status pool=blue member=m2 state=UP":           0,
		"octavia_member_status pool=blue member=m2 state=DOWN":         1,
		"octavia_pool_active_members pool=blue":                        1,
		"octavia_listener_intercepted_requests_total listener=web":     1,
		"octavia_listener_http_responses_total listener=web code=3xx":  1,
		"octavia_listener_sessions_total listener=dns":                 1,
		"octavia_listener_connections_total listener=dns":              1,
		"octavia_listener_current_sessions listener=dns":               1,
		"octavia_listener_bytes_in_total listener=dns":                 5,
		"octavia_listener_bytes_out_total listener=dns":                6,
		"octavia_listener_http_requests_total listener=dns":            -1,
		"octavia_pool_bytes_in_total pool=names:dns":                   5,
		"octavia_pool_bytes_out_total pool=names:dns":                  6,
		"octavia_pool_sessions_total pool=names:dns":                   -1,
		"octavia_member_status pool=names:dns member=m3 state=UP":      1,
		"octavia_member_sessions_total pool=names:dns member=m3":       -1,
		"octavia_listener_connections_total listener=metrics code=2xx": -1,
	}
	testkit.Eventually(t, func() error {
		families, _, err := scrape(t, prom)
		if err != nil {
			return err
		}
		for series, number := range want {
			words := strings.Fields(series)
			if got := value(families, words[0], words[1:]...); got != number {
				err = errors.Join(err, fmt.Errorf("%s is %v, want %v", series, got, number))
			}
		}
		if got := value(families, "octavia_listener_denied_connections_total", "listener=web"); got < 1 {
			err = errors.Join(err, fmt.Errorf("%v connections above the limit", got))
		}
		return err
	})
}

// fail tells Envoy that a member is down, as a health monitor would.
func (m *machine) fail(id string, lb *octavia.LoadBalancer) {
	m.t.Helper()
	resources, err := translate.LoadBalancer(lb)
	if err != nil {
		m.t.Fatal(err)
	}
	typeURL := amphoratest.TypeURL("endpoint")
	changed := map[string]*server.Resource{}
	for name, assignment := range resources.Endpoints {
		assignment = proto.CloneOf(assignment)
		for _, group := range assignment.GetEndpoints() {
			for _, endpoint := range group.GetLbEndpoints() {
				fields := endpoint.GetMetadata().GetFilterMetadata()[translate.MetadataNamespace].GetFields()
				if fields[translate.MetadataMember].GetStringValue() == id {
					endpoint.HealthStatus = 2 // UNHEALTHY (envoy.config.core.v3.HealthStatus)
				}
			}
		}
		if changed[name], err = server.NewResource(typeURL, assignment); err != nil {
			m.t.Fatal(err)
		}
	}
	m.Server.Update(m.config.AmphoraID, typeURL, changed, nil)
}

// TestScrapesCannotPileUp stops the agent and scrapes more than may wait. Those beyond are refused at once, and the others
// do not wait for ever; with the agent, all is as before. A dead agent takes nothing along but the metrics.
func TestScrapesCannotPileUp(t *testing.T) {
	m := newMachine(t, 0)
	command := m.start()
	m.waitFor("a running Envoy", running)
	lb := &octavia.LoadBalancer{Listeners: []octavia.Listener{{
		ID: "metrics", Protocol: "PROMETHEUS", AdminStateUp: true, ConnectionLimit: octavia.UnlimitedConnections, ProtocolPort: freePort(t),
	}}}
	m.publish(lb)
	prom := &lb.Listeners[0]
	testkit.Eventually(t, func() error { _, _, err := scrape(t, prom); return err })

	const scrapes, allowed = 60, 40 // 8 under way and 32 that wait
	if err := command.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	codes := make(chan int, scrapes)
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	for range scrapes {
		go func() {
			code, _, _, err := ask(t, http.MethodGet, prom, "/metrics")
			if err != nil {
				code = 0
			}
			codes <- code
		}()
	}
	counts := map[int]int{}
	for range scrapes {
		select {
		case code := <-codes:
			counts[code]++
		case <-ctx.Done():
			t.Fatalf("still waiting after %v", counts)
		}
	}
	if counts[http.StatusServiceUnavailable] < scrapes-allowed || counts[http.StatusGatewayTimeout] == 0 ||
		counts[http.StatusServiceUnavailable]+counts[http.StatusGatewayTimeout] != scrapes {
		t.Errorf("with a stopped agent: %v", counts)
	}
	if err := command.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() error { _, _, err := scrape(t, prom); return err })

	_ = command.Process.Kill()
	_ = command.Wait()
	if code, _, body, err := ask(t, http.MethodGet, prom, "/metrics"); err != nil || code != http.StatusServiceUnavailable ||
		strings.Contains(body, m.Dir) {
		t.Errorf("without an agent: %d, %v, %s", code, err, body)
	}
	m.start()
	testkit.Eventually(t, func() error { _, _, err := scrape(t, prom); return err })
}
