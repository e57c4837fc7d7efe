package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// tlsMember is a member of the test's own at a port of the lab's first: it answers who its client is and what was asked for,
// and in a header, Member, its port.
func (c *cloud) tlsMember(t *testing.T, port int, config *tls.Config) *httptest.Server {
	t.Helper()
	var listener net.Listener
	err := inNamespace(c.env["OE_MEMBER1_NETNS"], func() error {
		var err error
		listener, err = new(net.ListenConfig).Listen(context.WithoutCancel(t.Context()), "tcp", fmt.Sprintf("%s:%d", c.env["OE_MEMBER1_ADDRESS"], port))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, EnableHTTP2: true, TLS: config, Config: &http.Server{
		ReadHeaderTimeout: patience, ErrorLog: log.New(io.Discard, "", 0), // handshakes fail on purpose
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			client := "nobody"
			if len(r.TLS.PeerCertificates) > 0 {
				client = r.TLS.PeerCertificates[0].Subject.CommonName
			}
			w.Header().Set("Member", strconv.Itoa(port))
			_, _ = fmt.Fprintf(w, "%s asks %q by %s, %s", client, r.TLS.ServerName, r.Proto, tls.VersionName(r.TLS.Version))
		}),
	}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// TestReEncryption has members that speak TLS: with a certificate that is checked or not, and asking for the load balancer's.
func TestReEncryption(t *testing.T) {
	t.Parallel()
	c := shared
	root, issuer := issuers(t)
	insiders := pki.New(t, "e2e insiders")
	memberCertificate := insiders.Issue(pki.Options{Names: []string{"www.example.com"}})
	asks := &tls.Config{
		Certificates: []tls.Certificate{memberCertificate.TLS()}, ClientCAs: insiders.Pool(), ClientAuth: tls.VerifyClientCertIfGiven, MinVersion: tls.VersionTLS12,
	}
	demands := asks.Clone()
	demands.ClientAuth = tls.RequireAndVerifyClientCert
	const asking, demanding, foreign = 8443, 8444, 8445
	c.tlsMember(t, asking, asks)
	c.tlsMember(t, demanding, demands)
	c.tlsMember(t, foreign, &tls.Config{
		Certificates: []tls.Certificate{pki.New(t, "e2e insiders").Issue(pki.Options{Names: []string{"www.example.com"}}).TLS()}, MinVersion: tls.VersionTLS12,
	})
	us := insiders.Issue(pki.Options{Client: true, Subject: pkix.Name{CommonName: "the load balancer"}, RSA: 2048})
	ca, identity := c.text(t, "insiders", insiders.PEM()), c.bundle(t, us)
	ref := c.bundle(t, issuer.Issue(pki.Options{Names: []string{"www.example.com", "else.example.com"}}))
	encrypted := func(name string, port int, more fields) fields {
		// Octavia fails to fill in its defaults for the pools of a fully-populated create.
		return pool(name, "HTTP", []fields{c.member(1, port)}, fields{
			"tls_enabled": true, "tls_versions": []string{"TLSv1.2", "TLSv1.3"}, "tls_ciphers": "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256",
			"alpn_protocols": []string{"http/1.1"},
		}, more)
	}
	s := c.populate(t, "e2e-reencryption", []fields{
		terminated("unchecked", 443, "unchecked", ref),
		terminated("checked", 444, "checked", ref),
		terminated("identified", 445, "identified", ref),
		terminated("unidentified", 446, "unidentified", ref),
		terminated("foreign", 447, "foreign", ref),
		terminated("old", 448, "old", ref),
	}, []fields{
		encrypted("unchecked", foreign, fields{}),
		encrypted("checked", asking, fields{"ca_tls_container_ref": ca, "alpn_protocols": []string{"h2", "http/1.1"}}),
		encrypted("identified", demanding, fields{"ca_tls_container_ref": ca, "tls_container_ref": identity, "alpn_protocols": []string{"http/1.1"}}),
		encrypted("unidentified", demanding, fields{"ca_tls_container_ref": ca}),
		encrypted("foreign", foreign, fields{"ca_tls_container_ref": ca}),
		encrypted("old", asking, fields{"tls_versions": []string{"TLSv1.2"}, "tls_ciphers": "ECDHE-ECDSA-CHACHA20-POLY1305", "tls_container_ref": identity}),
	})
	ask := func(port int, name string) string {
		t.Helper()
		response, body := c.ask(t, c.tlsClient(t, trusting(root, name)), "https://"+s.at(port)+"/")
		return fmt.Sprint(response.StatusCode, " ", body)
	}
	for _, test := range []struct {
		port       int
		name, want string
	}{
		{443, "www.example.com", `200 nobody asks "www.example.com" by HTTP/1.1, TLS 1.3`},
		{444, "www.example.com", `200 nobody asks "www.example.com" by HTTP/2.0, TLS 1.3`},
		{444, "else.example.com", "503 "}, // the member has a certificate for another name
		{445, "www.example.com", `200 the load balancer asks "www.example.com" by HTTP/1.1, TLS 1.3`},
		{446, "www.example.com", "502 "}, // with TLS 1.3 it is refused after the handshake
		{447, "www.example.com", "503 "},
		{448, "www.example.com", `200 the load balancer asks "www.example.com" by HTTP/1.1, TLS 1.2`},
	} {
		if got := ask(test.port, test.name); !strings.HasPrefix(got, test.want) {
			t.Errorf("%d, %s: %s, not %s", test.port, test.name, got, test.want)
		}
	}
	// The load balancer gets another certificate, which the pool's members see from their next connections on.
	next := insiders.Issue(pki.Options{Client: true, Subject: pkix.Name{CommonName: "the next one"}})
	s.cli(t, "loadbalancer pool set --tls-container-ref "+c.bundle(t, next)+" [pool identified]")
	eventually(t, patience, func() error {
		if got := ask(445, "www.example.com"); !strings.Contains(got, "the next one") {
			return errors.New(got)
		}
		return nil
	})
	s.allActive(t)
}
