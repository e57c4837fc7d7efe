package integration

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// withHTTP3 is translated, of a load balancer whose flavor asks for HTTP/3.
func withHTTP3(t *testing.T, listeners []model.Listener, pools ...model.Pool) *translate.Resources {
	t.Helper()
	resources, err := translate.LoadBalancer(&model.LoadBalancer{
		ID: "lb", AdminStateUp: true, VIPAddress: "127.0.0.1", Listeners: listeners, Pools: pools,
		Flavor: map[string]any{"http3": true},
	})
	must(t, err)
	return resources
}

// TestRotationOverHTTP3 replaces a certificate: a new connection gets the new one, an open one lives on, and nothing but
// the secret is sent. What is counted is one with what comes over TCP.
func TestRotationOverHTTP3(t *testing.T) {
	c, e, _ := fixture(t)
	authority := pki.New(t, "CA")
	l, p := listener(t, "l", "p"), pool("p", member(t, "m"))
	l.Protocol, l.DefaultTLSContainerRef = model.ProtocolTerminatedHTTPS, "https://barbican/0"
	rotate := func() pki.Certificate {
		certificate := authority.Issue(pki.Options{Names: []string{"x.example"}})
		l.DefaultTLSContainer = certificate.Container()
		c.accepted("amphora-1", withHTTP3(t, []model.Listener{l}, p))
		return certificate
	}
	first := rotate()
	open := clientHTTP3(t, authority)
	asks(t, open, l, first)
	before := c.sent()
	second := rotate()
	if diff := cmp.Diff(map[string]float64{"secret": 1}, since(before, c.sent())); diff != "" {
		t.Errorf("what was sent (-want +got):\n%s", diff)
	}
	asks(t, clientHTTP3(t, authority), l, second)
	asks(t, open, l, first)
	must(t, askOnce(fmt.Sprintf("127.0.0.1:%d", l.ProtocolPort), &tls.Config{RootCAs: authority.Pool(), ServerName: "x.example"}))
	testkit.Until(t, "2 connections and 3 requests of HTTP/3, and one of TCP, are counted", func() bool {
		return e.stat("listener.l.downstream_cx_total") == 3 && e.stat("http.l.downstream_rq_total") == 4
	})
}

// TestUDPListenerTakesThePortOfHTTP3 adds a user's UDP listener at the port of HTTP/3, and removes it again: both are
// accepted at once, and clients over TCP see nothing of it.
func TestUDPListenerTakesThePortOfHTTP3(t *testing.T) {
	c, _, _ := fixture(t)
	authority := pki.New(t, "CA")
	certificate := authority.Issue(pki.Options{Names: []string{"x.example"}})
	l, p := listener(t, "l", "p"), pool("p", member(t, "m"))
	l.Protocol, l.DefaultTLSContainerRef, l.DefaultTLSContainer = model.ProtocolTerminatedHTTPS, "https://barbican/0", certificate.Container()
	udp := model.Listener{ID: "udp", Protocol: model.ProtocolUDP, ProtocolPort: l.ProtocolPort, AdminStateUp: true, ConnectionLimit: -1}
	c.accepted("amphora-1", withHTTP3(t, []model.Listener{l}, p))
	asks(t, clientHTTP3(t, authority), l, certificate)
	connection := dialTLS(t, fmt.Sprintf("127.0.0.1:%d", l.ProtocolPort), &tls.Config{RootCAs: authority.Pool(), ServerName: "x.example"})
	for range 2 {
		with := withHTTP3(t, []model.Listener{l, udp}, p)
		if with.Listeners["udp"] == nil || len(with.Listeners) != 2 {
			t.Fatalf("there are %d listeners", len(with.Listeners))
		}
		c.accepted("amphora-1", with)
		c.accepted("amphora-1", withHTTP3(t, []model.Listener{l}, p))
		asks(t, clientHTTP3(t, authority), l, certificate)
	}
	must(t, ask(connection))
}

// TestAllowedCIDRsOverHTTP3 changes who is allowed: it holds for new connections as soon as it is acknowledged, and open ones
// live on, as over TCP.
func TestAllowedCIDRsOverHTTP3(t *testing.T) {
	c, _, _ := fixture(t)
	authority := pki.New(t, "CA")
	first, second := authority.Issue(pki.Options{Names: []string{"x.example"}}), authority.Issue(pki.Options{Names: []string{"x.example"}})
	l, p := listener(t, "l", "p"), pool("p", member(t, "m"))
	l.Protocol, l.DefaultTLSContainerRef, l.DefaultTLSContainer = model.ProtocolTerminatedHTTPS, "https://barbican/0", first.Container()
	allow := func(cidrs ...string) {
		l.AllowedCIDRs = cidrs
		c.accepted("amphora-1", withHTTP3(t, []model.Listener{l}, p))
	}
	allow()
	open := clientHTTP3(t, authority)
	asks(t, open, l, first)
	l.DefaultTLSContainer = second.Container() // It tells a new connection.
	for range 2 {
		allow("192.0.2.0/24")
		closed := clientHTTP3(t, authority)
		closed.QUICConfig = &quic.Config{HandshakeIdleTimeout: time.Second} // Envoy says nothing to who is not allowed.
		if response, err := get(t, closed, l); err == nil {
			t.Errorf("who is not allowed gets in: %s", response.Status)
		}
		asks(t, open, l, first)
		allow("192.0.2.0/24", "127.0.0.0/8")
		asks(t, clientHTTP3(t, authority), l, second)
	}
	asks(t, open, l, first)
}

func clientHTTP3(t *testing.T, authority *pki.Authority) *http3.Transport {
	t.Helper()
	transport := &http3.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool(), ServerName: "x.example"}}
	t.Cleanup(func() { _ = transport.Close() })
	return transport
}

func get(t *testing.T, transport *http3.Transport, l model.Listener) (*http.Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("https://127.0.0.1:%d/", l.ProtocolPort), nil)
	must(t, err)
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response, err
}

// asks fails the test unless a page comes by HTTP/3 and its server has that certificate.
func asks(t *testing.T, transport *http3.Transport, l model.Listener, want pki.Certificate) {
	t.Helper()
	response, err := get(t, transport, l)
	must(t, err)
	if response.StatusCode != http.StatusOK || response.ProtoMajor != 3 {
		t.Errorf("it answers %s by %s", response.Status, response.Proto)
	}
	if got := response.TLS.PeerCertificates[0]; !got.Equal(want.Leaf) {
		t.Error("it has another certificate")
	}
}
