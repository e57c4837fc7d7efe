package e2e

import (
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// TestClientCertificates has a listener that asks clients who they are, and some that are not who they should be.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	c := shared
	root, issuer := issuers(t)
	server := issuer.Issue(pki.Options{Names: []string{"www.example.com"}})
	people := pki.New(t, "e2e people")
	good := people.Issue(pki.Options{Client: true, Subject: pkix.Name{CommonName: "alice", Organization: []string{"Example"}}})
	revoked := people.Issue(pki.Options{Client: true, Names: []string{"mallory"}})
	expired := people.Issue(pki.Options{Client: true, Names: []string{"bob"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	foreign := pki.New(t, "e2e people").Issue(pki.Options{Client: true, Names: []string{"alice"}})
	ref, ca := c.bundle(t, server), c.text(t, "people", people.PEM())
	asking := func(name string, port int, how string, more ...fields) fields {
		return terminated(name, port, "web", ref, append(more, fields{
			"client_authentication": how, "client_ca_tls_container_ref": ca,
			"insert_headers": fields{
				"X-SSL-Client-Verify": "true", "X-SSL-Client-CN": "true", "X-SSL-Client-Has-Cert": "true", "X-SSL-Client-DN": "true", "X-SSL-Issuer": "true",
				"X-SSL-Client-SHA1": "true", "X-SSL-Client-Not-Before": "true", "X-SSL-Client-Not-After": "true",
			},
		})...)
	}
	// toWhom redirects the requests for a path that are of certain clients.
	toWhom := func(name string, rule fields) fields {
		return fields{"name": name, "action": "REDIRECT_TO_URL", "redirect_url": "https://www.example.com/" + name, "rules": []fields{
			{"type": "PATH", "compare_type": "EQUAL_TO", "value": "/" + name}, with(rule, fields{"compare_type": "EQUAL_TO"}),
		}}
	}
	s := c.populate(t, "e2e-mtls", []fields{
		asking("mandatory", 443, "MANDATORY", fields{"client_crl_container_ref": c.text(t, "revoked", people.CRL(revoked))}),
		asking("optional", 444, "OPTIONAL", fields{
			"client_crl_container_ref": c.text(t, "revoked", people.CRL(revoked)),
			"l7policies": []fields{
				toWhom("known", fields{"type": "SSL_CONN_HAS_CERT", "value": "True"}),
				toWhom("verified", fields{"type": "SSL_VERIFY_RESULT", "value": "0"}),
				toWhom("alice", fields{"type": "SSL_DN_FIELD", "key": "CN", "value": "alice"}),
				toWhom("bob", fields{"type": "SSL_DN_FIELD", "key": "CN", "value": "bob"}),
			},
		}),
		asking("none", 445, "NONE"),
	}, []fields{pool("web", "HTTP", []fields{c.member(1, 80)})})
	// With TLS 1.3 a client learns of its refusal only from the first answer: hence requests and not handshakes.
	try := func(port int, version uint16, client *pki.Certificate) (seen, error) {
		config := trusting(root, "www.example.com")
		config.MinVersion, config.MaxVersion = version, version
		if client != nil {
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				certificate := client.TLS() // whatever authorities the listener names
				return &certificate, nil
			}
		}
		response, body, err := tryAsk(t, c.tlsClient(t, config), "https://"+s.at(port)+"/request")
		if err != nil {
			return seen{}, err
		}
		if response.StatusCode != http.StatusOK {
			return seen{}, fmt.Errorf("answered %s: %s", response.Status, body)
		}
		return decodeSeen(t, body), nil
	}
	for _, test := range []struct {
		who                 string
		client              *pki.Certificate
		mandatory, optional bool
	}{
		{"nobody", nil, false, true},
		{"alice", &good, true, true},
		{"revoked", &revoked, false, false},
		{"expired", &expired, false, false},
		{"foreign", &foreign, false, false},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for port, taken := range map[int]bool{443: test.mandatory, 444: test.optional, 445: true} {
				request, err := try(port, version, test.client)
				what := fmt.Sprintf("%s at %d by %s", test.who, port, tls.VersionName(version))
				if taken != (err == nil) {
					t.Errorf("%s: %v", what, err)
				}
				if err != nil || port == 445 {
					continue
				}
				name, has := "", "0"
				if test.client != nil {
					name, has = test.who, "1"
				}
				got := []string{request.Headers.Get("X-SSL-Client-Verify"), request.Headers.Get("X-SSL-Client-Has-Cert"), request.Headers.Get("X-SSL-Client-CN")}
				if want := []string{"0", has, name}; !slices.Equal(got, want) {
					t.Errorf("%s: the member is told %q, not %q", what, got, want)
				}
			}
		}
	}
	// All that the member is told of alice, as HAProxy writes it.
	const short = "060102150405Z"
	request, err := try(443, tls.VersionTLS13, &good)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"X-SSL-Client-DN": "/O=Example/CN=alice", "X-SSL-Issuer": "/CN=e2e people",
		"X-SSL-Client-SHA1":       fmt.Sprintf("%X", sha1.Sum(good.Leaf.Raw)),
		"X-SSL-Client-Not-Before": good.Leaf.NotBefore.UTC().Format(short), "X-SSL-Client-Not-After": good.Leaf.NotAfter.UTC().Format(short),
	} {
		if got := request.Headers.Get(name); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	for path, want := range map[string][2]bool{"/known": {false, true}, "/verified": {true, true}, "/alice": {false, true}, "/bob": {false, false}} {
		for i, client := range []*pki.Certificate{nil, &good} {
			config := trusting(root, "www.example.com")
			if client != nil {
				config.Certificates = []tls.Certificate{client.TLS()}
			}
			response, _ := c.ask(t, c.tlsClient(t, config), "https://"+s.at(444)+path)
			if redirected := response.Header.Get("Location") != ""; redirected != want[i] {
				t.Errorf("%s, with a certificate %t: answered %s, %q", path, client != nil, response.Status, response.Header.Get("Location"))
			}
		}
	}
	s.byPrograms(t, root, map[string]*pki.Certificate{"nobody": nil, "alice": &good, "revoked": &revoked, "expired": &expired, "foreign": &foreign})

	// Alice's certificate is taken back: a new list under a new reference. Who is connected stays so.
	alice := good.TLS()
	config := trusting(root, "www.example.com")
	config.Certificates = []tls.Certificate{alice}
	open, before := c.keepAlive(t, s.at(443), config), c.versions(t, s.lb.ID)
	open.ask(t, "at first")
	s.put(t, "listener", "listeners/"+s.id(t, "listener mandatory"), fields{"client_crl_container_ref": c.text(t, "revoked, too", people.CRL(revoked, good))})
	eventually(t, patience, func() error {
		for range 6 {
			if _, err := try(443, tls.VersionTLS13, &good); err == nil {
				return errors.New("a revoked certificate is taken")
			}
		}
		return nil
	})
	if _, err := try(444, tls.VersionTLS13, &good); err != nil {
		t.Errorf("the other listener refuses, too: %v", err)
	}
	open.ask(t, "when its certificate is revoked")
	if got := changed(before, c.versions(t, s.lb.ID)); !slices.Equal(got, []string{"secret"}) {
		t.Errorf("the list changed %v", got)
	}
	// It is given back.
	s.put(t, "listener", "listeners/"+s.id(t, "listener mandatory"), fields{"client_crl_container_ref": c.text(t, "revoked, as before", people.CRL(revoked))})
	eventually(t, patience, func() error {
		for range 6 {
			if _, err := try(443, tls.VersionTLS13, &good); err != nil {
				return err
			}
		}
		return nil
	})
	s.allActive(t)
}

// byPrograms asks the listeners at 443, where a certificate is mandatory, and 444, where it is optional, as users do by curl
// and openssl.
func (s *tree) byPrograms(t *testing.T, root *pki.Authority, clients map[string]*pki.Certificate) {
	t.Helper()
	folder := t.TempDir()
	ca := writeFile(t, folder, "ca.pem", root.PEM())
	// What a client is told who does not get in; without a certificate it depends on the version (RFC 5246, 7.4.6, RFC 8446, 4.4.2.4).
	nobody := map[string]string{"1.2": "alert handshake failure", "1.3": "alert certificate required"}
	alerts := map[string]string{
		"revoked": "alert certificate revoked", "expired": "alert certificate expired", "foreign": "alert unknown ca",
	}
	for name, client := range clients {
		var curl, openssl []string
		if client != nil {
			certificate, key := writeFile(t, folder, name+".pem", client.PEM()), writeFile(t, folder, name+".key", client.KeyPEM())
			curl, openssl = []string{"--cert", certificate, "--key", key}, []string{"-cert", certificate, "-key", key}
		}
		for port, taken := range map[int]bool{443: name == "alice", 444: name == "alice" || name == "nobody"} {
			for _, version := range []string{"1.2", "1.3"} {
				alerts["nobody"] = nobody[version]
				what := fmt.Sprintf("%s at %d by TLS %s", name, port, version)
				stdout, stderr, err := s.asClient(t, append([]string{
					"curl", "--silent", "--show-error", "--fail", "--max-time", "20", "--resolve", fmt.Sprintf("www.example.com:%d:%s", port, s.lb.VIPAddress),
					"--cacert", ca, "--tlsv" + version, "--tls-max", version, fmt.Sprintf("https://www.example.com:%d/", port),
				}, curl...)...)
				if taken != (err == nil) || taken && strings.TrimSpace(stdout) != "member1" {
					t.Errorf("curl, %s: %s%s, error %v", what, stdout, stderr, err)
				}
				script := `printf 'GET / HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n' | exec openssl s_client -ign_eof "$@"`
				stdout, stderr, err = s.asClient(t, append([]string{
					"sh", "-c", script, "sh", "-connect", s.at(port), "-servername", "www.example.com", "-CAfile", ca,
					"-tls" + strings.ReplaceAll(version, ".", "_"),
				}, openssl...)...)
				answered := strings.Contains(stdout, "HTTP/1.1 200 OK") && strings.Contains(stdout, "Verify return code: 0 (ok)")
				if answered != taken || !taken && !strings.Contains(stderr, alerts[name]) {
					t.Errorf("openssl, %s: %s%s, error %v", what, stdout, stderr, err)
				}
			}
		}
	}
}

// asClient runs a program as one of the lab's client.
func (c *cloud) asClient(t *testing.T, command ...string) (stdout, stderr string, err error) {
	t.Helper()
	return c.try(t, "ip", append([]string{"netns", "exec", c.env["OE_CLIENT_NETNS"]}, command...)...)
}

// writeFile writes a file and returns its path.
func writeFile(t *testing.T, folder, name, content string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
