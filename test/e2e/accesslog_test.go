package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// TestAccessLogOfTLS reads in an amphora's access log how clients came: by which TLS, asking for whom, and as whom.
func TestAccessLogOfTLS(t *testing.T) {
	t.Parallel()
	c := shared
	root, issuer := issuers(t)
	people := pki.New(t, "e2e people")
	alice := people.Issue(pki.Options{Client: true, Subject: pkix.Name{CommonName: "alice", Organization: []string{"Example"}}})
	asking := fields{"client_authentication": "OPTIONAL", "client_ca_tls_container_ref": c.text(t, "people", people.PEM())}
	s := c.populate(t, "e2e-tls-log", []fields{
		terminated("secure", 443, "web", c.bundle(t, issuer.Issue(pki.Options{Names: []string{"www.example.com", "*.shop.example.com"}})), asking),
		listener("plain", "HTTP", 80, "web"),
		listener("through", "HTTPS", 8443, "tls"),
	}, []fields{pool("web", "HTTP", c.members(80)), pool("tls", "HTTPS", []fields{c.member(1, 443)})},
		fields{"flavor_id": c.flavor(t, "e2e-tls-log", `{"access_log": true}`)})

	const secret = "hunter2"
	want := map[string]fields{} // by User-Agent
	visit := func(who, url string, config *tls.Config, more fields) {
		client := c.client(t)
		if config != nil {
			client = c.tlsClient(t, config)
		}
		response, body := c.ask(t, client, url+"/request?token="+secret, header("User-Agent", who))
		if response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s: %s", who, response.Status, body)
		}
		want[who] = with(fields{
			"path": "/request", "http_version": response.Proto, "status": float64(http.StatusOK), "tls_version": nil, "tls_cipher": nil, "tls_server_name": nil,
			"client_certificate_subject": nil, "client_certificate_serial": nil,
		}, more)
		if response.TLS != nil && more["tls_version"] == "TLSv1.3" {
			want[who]["tls_cipher"] = tls.CipherSuiteName(response.TLS.CipherSuite) // the client's choice goes by its processor
		}
	}
	secure := "https://" + s.at(443)
	visit("nobody over nothing", "http://"+s.at(80), nil, nil)
	modern := trusting(root, "www.example.com")
	modern.MinVersion, modern.NextProtos = tls.VersionTLS13, []string{"h2"}
	visit("nobody by TLS 1.3", secure, modern, fields{"tls_version": "TLSv1.3", "tls_server_name": "www.example.com", "http_version": "HTTP/2"})
	older := trusting(root, "a.shop.example.com")
	older.MaxVersion, older.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
	older.Certificates = []tls.Certificate{alice.TLS()}
	visit("alice by TLS 1.2", secure, older, fields{
		"tls_version": "TLSv1.2", "tls_cipher": "ECDHE-ECDSA-AES256-GCM-SHA384", "tls_server_name": "a.shop.example.com",
		"client_certificate_subject": "CN=alice,O=Example", "client_certificate_serial": hex.EncodeToString(alice.Leaf.SerialNumber.Bytes()),
	})
	nameless := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{alice.TLS()}}
	visit("alice without a name", secure, nameless, fields{
		"tls_version": "TLSv1.3", "client_certificate_subject": "CN=alice,O=Example",
		"client_certificate_serial": hex.EncodeToString(alice.Leaf.SerialNumber.Bytes()),
	})
	through, err := c.handshake(t, s.at(8443), &tls.Config{InsecureSkipVerify: true, ServerName: "through.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if err := through.Close(); err != nil {
		t.Fatal(err)
	}
	want["HTTPS"] = fields{
		"path": nil, "http_version": nil, "status": nil, "tls_version": nil, "tls_cipher": nil, "tls_server_name": "through.example.com",
		"client_certificate_subject": nil, "client_certificate_serial": nil,
	}

	file := filepath.Join(c.env["OE_AMPHORAE"], c.amphora(t, s.lb.ID), "log", "access.log")
	var text []byte
	eventually(t, patience, func() error {
		got := map[string]fields{}
		if text, err = os.ReadFile(file); err != nil {
			return err
		}
		for line := range bytes.Lines(text) {
			var all fields
			if err := json.Unmarshal(line, &all); err != nil {
				return fmt.Errorf("%q: %w", line, err)
			}
			who, ok := all["user_agent"].(string)
			if !ok {
				who, _ = all["listener_protocol"].(string)
			}
			got[who] = fields{}
			for name := range want["HTTPS"] {
				got[who][name] = all[name]
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("the log (-want +got):\n%s", diff)
		}
		return nil
	})
	if strings.Contains(string(text), secret) {
		t.Errorf("a query is in the log:\n%s", text)
	}
}
