package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// quicClient speaks HTTP/3 from the lab's client, over one connection. How long an address may be silent before it counts
// as one where nobody is, is up to the test.
func (c *cloud) quicClient(t *testing.T, config *tls.Config, silence time.Duration) *http.Client {
	t.Helper()
	var socket net.PacketConn
	err := inNamespace(c.env["OE_CLIENT_NETNS"], func() error {
		var err error
		socket, err = new(net.ListenConfig).ListenPacket(context.WithoutCancel(t.Context()), "udp", c.env["OE_CLIENT_ADDRESS"]+":0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	carrier := &quic.Transport{Conn: socket}
	transport := &http3.Transport{
		TLSClientConfig: config, QUICConfig: &quic.Config{HandshakeIdleTimeout: silence},
		Dial: func(ctx context.Context, address string, config *tls.Config, options *quic.Config) (*quic.Conn, error) {
			place, err := net.ResolveUDPAddr("udp", address)
			if err != nil {
				return nil, err
			}
			return carrier.DialEarly(ctx, place, config, options)
		},
	}
	t.Cleanup(func() { _, _, _ = transport.Close(), carrier.Close(), socket.Close() })
	return &http.Client{Transport: transport, Timeout: patience}
}

// TestHTTP3 has a flavor with HTTP/3: a listener that answers over UDP, too, and says so; that gives the port to a UDP
// listener and takes it back; and of which nothing is left.
func TestHTTP3(t *testing.T) {
	t.Parallel()
	c := shared
	root, issuer := issuers(t)
	first := issuer.Issue(pki.Options{Names: []string{"www.example.com"}, RSA: 2048})
	sni := issuer.Issue(pki.Options{Names: []string{"sni.example.com"}})
	ref := c.bundle(t, first)
	s := c.populate(t, "e2e-http3", []fields{
		terminated("web", 443, "web", ref, lasting(), fields{
			"sni_container_refs": []string{c.bundle(t, sni)}, "hsts_max_age": 60,
			"insert_headers": fields{"X-Forwarded-For": "true", "X-Forwarded-Port": "true", "X-Forwarded-Proto": "true"},
		}),
		// It would get around the question for a certificate.
		terminated("asking", 444, "web", ref, fields{"client_authentication": "OPTIONAL", "client_ca_tls_container_ref": c.text(t, "people", root.PEM())}),
	}, []fields{pool("web", "HTTP", []fields{c.member(1, 80)})}, fields{"flavor_id": c.flavor(t, "e2e-http3", `{"http3": true}`)})
	client := trusting(root, "www.example.com")
	dial := func(name string) *http.Client { return c.quicClient(t, trusting(root, name), patience) }
	// offers is what the listener says of HTTP/3 over TCP.
	offers := func(port int) string {
		t.Helper()
		response, body := c.ask(t, c.tlsClient(t, client), "https://"+s.at(port)+"/")
		if response.StatusCode != http.StatusOK {
			t.Errorf("%d is answered %s: %s", port, response.Status, body)
		}
		return response.Header.Get("Alt-Svc")
	}
	asked := func(quic *http.Client, want pki.Certificate) {
		t.Helper()
		response, body := c.ask(t, quic, "https://"+s.at(443)+"/request")
		if response.StatusCode != http.StatusOK || response.ProtoMajor != 3 {
			t.Fatalf("answered %s by %s: %s", response.Status, response.Proto, body)
		}
		if !response.TLS.PeerCertificates[0].Equal(want.Leaf) || len(response.TLS.PeerCertificates) != 2 {
			t.Errorf("the chain is %v", subjects(response.TLS.PeerCertificates))
		}
		if got := response.Header.Get("Strict-Transport-Security"); got != "max-age=60;" {
			t.Errorf("HSTS is %q", got)
		}
		got := decodeSeen(t, body).Headers
		if got.Get("X-Forwarded-For") != c.env["OE_CLIENT_ADDRESS"] || got.Get("X-Forwarded-Port") != "443" || got.Get("X-Forwarded-Proto") != "https" {
			t.Errorf("the member is told %v", got)
		}
	}
	const offer = `h3=":443"; ma=86400`
	if got := offers(443); got != offer {
		t.Errorf("Alt-Svc is %q", got)
	}
	if got := offers(444); got != "" {
		t.Errorf("where certificates are asked for, Alt-Svc is %q", got)
	}
	open, overTCP := dial("www.example.com"), c.keepAlive(t, s.at(443), client)
	asked(open, first)
	overTCP.ask(t, "at first")
	asked(dial("sni.example.com"), sni)

	second := issuer.Issue(pki.Options{Names: []string{"www.example.com"}, RSA: 2048})
	s.put(t, "listener", "listeners/"+s.id(t, "listener web"), fields{"default_tls_container_ref": c.bundle(t, second)})
	c.presents(t, s.at(443), client, second)
	asked(dial("www.example.com"), second)
	asked(open, first)

	// A UDP listener is no conflict for Octavia, and no refusal of ours: it gets the port, and clients are not sent there.
	udp := c.mustCreate(t, s.lb.ID, "listener", "listeners", fields{"loadbalancer_id": s.lb.ID, "name": "udp", "protocol": "UDP", "protocol_port": 443})
	names := c.mustCreate(t, s.lb.ID, "pool", "pools", fields{"listener_id": udp.ID, "name": "udp", "protocol": "UDP", "lb_algorithm": "ROUND_ROBIN"})
	c.mustCreate(t, s.lb.ID, "member", "pools/"+names.ID+"/members", c.member(2, 53))
	if member, _ := tell(t, c.mustDial(t, "", "udp", s.at(443))); member != "member2" {
		t.Errorf("datagrams go to %q", member)
	}
	if got := offers(443); got != "" {
		t.Errorf("beside a UDP listener, Alt-Svc is %q", got)
	}
	overTCP.ask(t, "beside a UDP listener")
	if response, _, err := tryAsk(t, c.quicClient(t, client, time.Second), "https://"+s.at(443)+"/"); err == nil {
		t.Errorf("beside a UDP listener, HTTP/3 is answered %s", response.Status)
	}
	status, said := c.refusal(t, http.MethodPost, "listeners", fields{"listener": fields{"loadbalancer_id": s.lb.ID, "protocol": "UDP", "protocol_port": 443}})
	if status != http.StatusConflict || !strings.Contains(said, "is already using protocol UDP and protocol_port 443") { // Octavia's own words
		t.Errorf("another UDP listener is answered %d: %s", status, said)
	}
	s.do(t, http.MethodDelete, "listeners/"+udp.ID, nil)
	eventually(t, patience, func() error {
		response, _, err := tryAsk(t, c.quicClient(t, client, time.Second), "https://"+s.at(443)+"/")
		if err == nil && response.ProtoMajor != 3 {
			err = errors.New(response.Proto)
		}
		return err
	})
	if got := offers(443); got != offer {
		t.Errorf("after the UDP listener, Alt-Svc is %q", got)
	}
	overTCP.ask(t, "after the UDP listener")
	s.allActive(t)

	// It goes. Its socket drains, with the connections that are open.
	s.do(t, http.MethodDelete, "listeners/"+s.id(t, "listener web"), nil)
	for name := range c.versions(t, s.lb.ID) {
		if strings.Contains(name, s.id(t, "listener web")) {
			t.Errorf("%s is left", name)
		}
	}
	for _, amphora := range s.amphorae(t, s.lb.ID) {
		answer, err := s.admin(t, amphora).Do(t.Context(), http.MethodGet, "/listeners")
		if err != nil || strings.Contains(string(answer), ":443\n") || !strings.Contains(string(answer), ":444\n") {
			t.Errorf("Envoy has, error %v:\n%s", err, answer)
		}
	}
	if response, _, err := tryAsk(t, c.quicClient(t, client, time.Second), "https://"+s.at(443)+"/"); err == nil {
		t.Errorf("when the listener is gone, HTTP/3 is answered %s", response.Status)
	}
	s.look(t)
	s.allActive(t)
}
