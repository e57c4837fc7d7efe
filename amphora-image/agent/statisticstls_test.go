package agent_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	octavia "github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// TestStatisticsOfTLS: bytes are those of HTTP, as HAProxy's, and a listener's second one over QUIC counts with it, as far as Envoy
// counts.
func TestStatisticsOfTLS(t *testing.T) {
	m := newMachine(t, 0)
	m.start()
	m.waitFor("a running Envoy", running)
	page := strings.Repeat("x", 5000)
	lb := site(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, page) })
	root := pki.New(t, "root")
	certificate := root.Issue(pki.Options{Names: []string{"x.example"}})
	lb.Flavor = map[string]any{"http3": true}
	lb.Listeners = append(lb.Listeners, octavia.Listener{
		ID: "tls", Protocol: octavia.ProtocolTerminatedHTTPS, DefaultPoolID: "blue", AdminStateUp: true, ProtocolPort: freePort(t),
		ConnectionLimit: octavia.UnlimitedConnections, DefaultTLSContainerRef: "https://b/1", DefaultTLSContainer: certificate.Container(),
		TLSVersions: []string{"TLSv1.2", "TLSv1.3"},
	})
	through := &lb.Listeners[3]
	m.publish(lb)
	m.listening(5)
	client := &tls.Config{ServerName: "x.example", RootCAs: root.Pool()}
	address := fmt.Sprintf("127.0.0.1:%d", through.ProtocolPort)

	var ofTLS traffic
	for range 3 {
		connection, err := tls.Dial("tcp", address, client)
		if err != nil {
			t.Fatal(err)
		}
		text := "GET /" + closing
		if _, err := io.WriteString(connection, text); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(connection)
		if err != nil {
			t.Fatal(err)
		}
		_ = connection.Close()
		ofTLS.connections++
		ofTLS.in += uint64(len(text))
		ofTLS.out += uint64(len(answer))
	}
	m.matches("tls", ofTLS)

	transport := &http3.Transport{TLSClientConfig: client}
	response, err := (&http.Client{Transport: transport, Timeout: testkit.Patience}).Get("https://" + address + "/")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil || string(body) != page {
		t.Fatalf("over HTTP/3: %d bytes, %v", len(body), err)
	}
	_ = transport.Close()
	testkit.Eventually(t, func() error {
		got := m.said.total("tls")
		in, out := got.GetBytesIn()-ofTLS.in, got.GetBytesOut()-ofTLS.out
		// Envoy 1.40 counts no bytes that come by QUIC, and with those that go what QUIC adds to them.
		if got.GetTotalConnections() != 4 || got.GetResponses_2Xx() != 4 || out < uint64(len(page)) || out > 3*uint64(len(page)) || in != 0 {
			return fmt.Errorf("with HTTP/3: %v", got)
		}
		return nil
	})
}

// TestErrorsOfRequests: what HAProxy counts as ereq, where Envoy can tell.
func TestErrorsOfRequests(t *testing.T) {
	m := newMachine(t, 0)
	m.start()
	m.waitFor("a running Envoy", running)
	lb := site(t, func(w http.ResponseWriter, request *http.Request) {
		if request.URL.Path == "/missing" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.Copy(io.Discard, request.Body)
	})
	web := &lb.Listeners[0]
	web.TimeoutClientData = 500
	lb.Pools = append(lb.Pools, octavia.Pool{ID: "empty", Protocol: "HTTP", LBAlgorithm: octavia.AlgorithmRoundRobin, AdminStateUp: true})
	web.L7Policies = []octavia.L7Policy{
		policy("reject", octavia.L7Policy{Action: octavia.L7ActionReject}),
		policy("none", octavia.L7Policy{Action: octavia.L7ActionRedirectToPool, RedirectPoolID: "empty"}),
	}
	m.publish(lb)
	m.listening(3)
	for _, test := range []struct {
		name, sends, status string
		errors              uint64
	}{
		{"good", "GET /" + closing, "200", 0},
		{"a member's 404", "GET /missing" + closing, "404", 0},
		{"rejected", "GET /reject" + closing, "403", 0},
		{"no member", "GET /none" + closing, "503", 0},
		{"no HTTP", "BLA\r\n\r\n", "400", 1},
		{"too long", "GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 100_000) + "\r\n\r\n", "400", 1},
		{"a bad chunk", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400", 1},
		{"headers that do not end", "GET / HTTP/1.1\r\nHost: x\r\n", "408", 1},
		{"a body that does not end", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc", "408", 1},
	} {
		before := m.said.total("web").GetRequestErrors()
		connections := m.said.total("web").GetTotalConnections()
		connection := dial(t, web)
		_ = connection.SetDeadline(time.Now().Add(testkit.Patience))
		_, _ = io.WriteString(connection, test.sends)
		answer := make([]byte, 12)
		if _, err := io.ReadFull(connection, answer); err != nil || string(answer[9:]) != test.status {
			t.Errorf("%s: answered %q, %v", test.name, answer, err)
		}
		_ = connection.(*net.TCPConn).Close()
		testkit.Eventually(t, func() error {
			got := m.said.total("web")
			if got.GetTotalConnections() != connections+1 || got.GetRequestErrors() != before+test.errors {
				return fmt.Errorf("%s: %d errors before, %v", test.name, before, got)
			}
			return nil
		})
	}
}

// policy is for requests of the path that is named as it is.
func policy(id string, of octavia.L7Policy) octavia.L7Policy {
	of.ID, of.AdminStateUp, of.Position = id, true, 1
	of.Rules = []octavia.L7Rule{{
		ID: "rule-" + id, AdminStateUp: true, Type: octavia.L7TypePath, CompareType: octavia.L7CompareEqualTo, Value: "/" + id,
	}}
	return of
}
