package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// issuers are an authority, and one below it that issues the certificates of listeners.
func issuers(t *testing.T) (root, issuer *pki.Authority) {
	t.Helper()
	root = pki.New(t, "e2e root")
	return root, root.Intermediate("e2e issuer")
}

// handshake connects by TLS as a client of the lab does; the test's end closes the connection.
func (c *cloud) handshake(t *testing.T, address string, config *tls.Config) (*tls.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	raw, err := c.dial(ctx, "", "tcp", address)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = raw.Close() })
	connection := tls.Client(raw, config)
	return connection, connection.HandshakeContext(ctx)
}

// presented is what a listener answers a client with, the certificate and its issuers.
func (c *cloud) presented(t *testing.T, address string, config *tls.Config) ([]*x509.Certificate, error) {
	t.Helper()
	connection, err := c.handshake(t, address, config)
	if err != nil {
		return nil, err
	}
	return connection.ConnectionState().PeerCertificates, connection.Close()
}

// presents waits until all of a few handshakes in a row show the certificate: Envoy's workers take a change one by one.
func (c *cloud) presents(t *testing.T, address string, config *tls.Config, want pki.Certificate) {
	t.Helper()
	eventually(t, patience, func() error {
		for range 6 {
			chain, err := c.presented(t, address, config)
			if err != nil {
				return err
			}
			if !chain[0].Equal(want.Leaf) {
				return fmt.Errorf("%s shows %s, number %x", address, chain[0].Subject, chain[0].SerialNumber)
			}
		}
		return nil
	})
}

// trusting is a client that expects a name, and that knows an authority.
func trusting(root *pki.Authority, name string) *tls.Config {
	return &tls.Config{RootCAs: root.Pool(), ServerName: name, MinVersion: tls.VersionTLS12}
}

// tlsClient is an HTTP client over TLS; HTTP/2 is spoken where the configuration offers it alone.
func (c *cloud) tlsClient(t *testing.T, config *tls.Config) *http.Client {
	t.Helper()
	client := c.client(t)
	transport := client.Transport.(*http.Transport)
	transport.TLSClientConfig = config
	transport.ForceAttemptHTTP2 = slices.Contains(config.NextProtos, "h2")
	return client
}

// terminated is a TERMINATED_HTTPS listener for a fully-populated create.
func terminated(name string, port int, defaultPool, ref string, more ...fields) fields {
	return listener(name, "TERMINATED_HTTPS", port, defaultPool, append([]fields{{"default_tls_container_ref": ref}}, more...)...)
}

// sClient is what `openssl s_client` prints of a listener.
func (c *cloud) sClient(t *testing.T, address string, more ...string) string {
	t.Helper()
	script := `exec ip netns exec "$0" openssl s_client "$@" </dev/null`
	stdout, stderr, err := c.try(t, "sh", append([]string{"-c", script, c.env["OE_CLIENT_NETNS"], "-connect", address}, more...)...)
	if err != nil {
		t.Logf("openssl s_client %v: %v", more, err)
	}
	return stdout + stderr
}

// TestTerminatedHTTPS does with TLS what a user does, all by the CLI: store a certificate, make a listener, rotate it.
func TestTerminatedHTTPS(t *testing.T) {
	t.Parallel()
	c := shared
	root, issuer := issuers(t)
	certificate := issuer.Issue(pki.Options{Names: []string{"www.example.com"}, RSA: 2048})
	ref := strings.TrimSpace(c.run(t, c.env["OPENSTACK"], "secret", "store", "--name", "e2e-www", "--payload-content-type", "application/octet-stream",
		"--payload-content-encoding", "base64", "--payload", c.opensslBundle(t, certificate), "-f", "value", "-c", "Secret href"))
	t.Cleanup(func() {
		if err := c.unstore(t, ref); err != nil {
			t.Error(err)
		}
	})
	s := c.populate(t, "e2e-tls", nil, []fields{pool("web", "HTTP", []fields{c.member(1, 80)})})
	s.cli(t, "loadbalancer listener create --name web --protocol TERMINATED_HTTPS --protocol-port 443 --default-pool [pool web] "+
		"--default-tls-container-ref "+ref+" --insert-headers X-Forwarded-Proto=true --hsts-max-age 31536000 --hsts-include-subdomains [lb]")
	s.allActive(t)
	chain, err := c.presented(t, s.at(443), trusting(root, "www.example.com"))
	if err != nil || len(chain) != 2 || !chain[0].Equal(certificate.Leaf) || !chain[1].Equal(issuer.Certificate) {
		t.Fatalf("the chain is %v, error %v", subjects(chain), err)
	}
	shown := c.sClient(t, s.at(443), "-servername", "www.example.com", "-showcerts")
	for _, want := range []string{"0 s:CN = www.example.com", "1 s:CN = e2e issuer", "Protocol  : TLSv1.3", "TLS_AES_"} {
		if !strings.Contains(strings.ReplaceAll(shown, "New, TLSv1.3", "Protocol  : TLSv1.3"), want) {
			t.Errorf("openssl s_client shows no %q:\n%s", want, shown)
		}
	}
	for _, protocol := range []string{"h2", "http/1.1"} {
		config := trusting(root, "www.example.com")
		config.NextProtos = []string{protocol}
		client := c.tlsClient(t, config)
		response, body := c.ask(t, client, "https://"+s.at(443)+"/")
		if response.StatusCode != http.StatusOK || response.TLS.NegotiatedProtocol != protocol || strings.TrimSpace(body) != "member1" {
			t.Errorf("%s answers %s by %q: %s", protocol, response.Status, response.TLS.NegotiatedProtocol, body)
		}
		if got := response.Header.Get("Strict-Transport-Security"); got != "max-age=31536000; includeSubDomains;" {
			t.Errorf("HSTS is %q", got)
		}
		if got := c.asSeen(t, client, "https://"+s.at(443)).Headers.Get("X-Forwarded-Proto"); got != "https" {
			t.Errorf("the member is told of %q", got)
		}
	}
	if code, _, err := c.fetch(t, c.client(t), s.at(443)); err == nil {
		t.Errorf("plain HTTP is answered %d", code)
	}
	s.cli(t, "loadbalancer listener set --hsts-max-age 60 [listener web]")
	eventually(t, patience, func() error {
		response, _, err := tryAsk(t, c.tlsClient(t, trusting(root, "www.example.com")), "https://"+s.at(443)+"/")
		if err != nil {
			return err
		}
		if got := response.Header.Get("Strict-Transport-Security"); !strings.HasPrefix(got, "max-age=60;") {
			return fmt.Errorf("HSTS is %q", got)
		}
		return nil
	})
	s.allActive(t)
}

func subjects(chain []*x509.Certificate) []string {
	var all []string
	for _, certificate := range chain {
		all = append(all, certificate.Subject.String())
	}
	return all
}

// TestServerNames has several certificates on a listener: what a client is shown depends on the name that it asks for, and
// on the signatures that it knows.
func TestServerNames(t *testing.T) {
	t.Parallel()
	c := shared
	root, issuer := issuers(t)
	site := issuer.Issue(pki.Options{Names: []string{"www.example.com"}, RSA: 2048})
	siteECDSA := issuer.Issue(pki.Options{Names: []string{"www.example.com"}})
	wildcard := issuer.Issue(pki.Options{Names: []string{"*.apps.example.com"}})
	other := issuer.Issue(pki.Options{Names: []string{"other.example.net", "more.example.net"}, RSA: 2048})
	// In the order in which users have it, and not in the one that clients need.
	keep(t, other)
	asContainer := c.container(t, "other", map[string]string{
		"certificate": other.PEM(), "private_key": other.KeyPEM(), "intermediates": root.PEM() + strings.Join(other.Intermediates(), ""),
	})
	s := c.populate(t, "e2e-sni", []fields{terminated("web", 443, "web", c.bundle(t, site), fields{
		"sni_container_refs": []string{c.bundle(t, siteECDSA), c.bundle(t, wildcard), asContainer},
	})}, []fields{pool("web", "HTTP", []fields{c.member(1, 80)})})
	// Those that say what they know: Envoy asks a client that has extensions of TLS 1.3 for its signatures alone, whatever
	// ciphers of TLS 1.2 it has, and Go's always has them.
	for cipher, want := range map[string]string{"ECDHE-RSA-AES128-GCM-SHA256": "rsaEncryption", "ECDHE-ECDSA-AES128-GCM-SHA256": "id-ecPublicKey"} {
		shown := c.sClient(t, s.at(443), "-servername", "www.example.com", "-tls1_2", "-cipher", cipher)
		if !strings.Contains(shown, "PKEY: "+want) || !strings.Contains(shown, "Cipher    : "+cipher) {
			t.Errorf("a client that knows %s sees:\n%s", cipher, shown)
		}
	}
	if shown := c.sClient(t, s.at(443), "-servername", "www.example.com", "-tls1_3", "-sigalgs", "RSA-PSS+SHA256"); !strings.Contains(shown, "PKEY: rsaEncryption") {
		t.Errorf("a client of TLS 1.3 that knows RSA alone sees:\n%s", shown)
	}
	const onlyRSA, onlyECDSA = tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
	for _, test := range []struct {
		name, verify string
		cipher       uint16 // of TLS 1.2; 0 for TLS 1.3
		want         pki.Certificate
	}{
		{"www.example.com", "", onlyECDSA, siteECDSA},
		{"www.example.com", "", 0, siteECDSA},
		{"a.apps.example.com", "", 0, wildcard},
		{"other.example.net", "", 0, other},
		{"more.example.net", "", onlyRSA, other},
		{"a.b.apps.example.com", "www.example.com", onlyRSA, site}, // a wildcard is for one label
		{"unknown.example.org", "www.example.com", onlyRSA, site},
		{"", "www.example.com", onlyRSA, site},
		{"", "www.example.com", 0, site},
	} {
		config := &tls.Config{ServerName: test.name, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} // verified below
		if test.cipher != 0 {
			config.MaxVersion, config.CipherSuites = tls.VersionTLS12, []uint16{test.cipher}
		}
		chain, err := c.presented(t, s.at(443), config)
		if err != nil {
			t.Errorf("%q, cipher %x: %v", test.name, test.cipher, err)
			continue
		}
		if !chain[0].Equal(test.want.Leaf) {
			t.Errorf("%q, cipher %x: shown %v", test.name, test.cipher, subjects(chain))
		}
		if len(chain) < 2 || !chain[1].Equal(issuer.Certificate) {
			t.Errorf("%q, cipher %x: the chain is %v", test.name, test.cipher, subjects(chain))
		}
		name := test.verify
		if name == "" {
			name = test.name
		}
		if err := verify(chain, root, name); err != nil {
			t.Errorf("%q, cipher %x: %v", test.name, test.cipher, err)
		}
	}
	// One more name comes, and one goes.
	added := issuer.Issue(pki.Options{Names: []string{"added.example.com"}})
	s.put(t, "listener", "listeners/"+s.id(t, "listener web"), fields{"sni_container_refs": []string{c.bundle(t, wildcard), c.bundle(t, added)}})
	c.presents(t, s.at(443), trusting(root, "added.example.com"), added)
	c.presents(t, s.at(443), trusting(root, "b.apps.example.com"), wildcard)
	if _, err := c.presented(t, s.at(443), trusting(root, "other.example.net")); !isHostname(err) {
		t.Errorf("a name that went is answered with error %v", err)
	}
	s.allActive(t)
}

func verify(chain []*x509.Certificate, root *pki.Authority, name string) error {
	options := x509.VerifyOptions{DNSName: name, Roots: root.Pool(), Intermediates: x509.NewCertPool()}
	for _, issuer := range chain[1:] {
		options.Intermediates.AddCert(issuer)
	}
	_, err := chain[0].Verify(options)
	return err
}

func isHostname(err error) bool {
	var wrong x509.HostnameError
	return errors.As(err, &wrong)
}

// TestTLSParameters tries every version with every family of ciphers and every protocol on listeners of several settings.
func TestTLSParameters(t *testing.T) {
	t.Parallel()
	c := shared
	root, issuer := issuers(t)
	ref := c.bundle(t, issuer.Issue(pki.Options{Names: []string{"www.example.com"}, RSA: 2048}))
	web := func(port int, more fields) fields {
		return terminated(strconv.Itoa(port), port, "web", ref, more)
	}
	settings := []struct {
		name string
		more fields
		// versions and ciphers are what is taken; the first protocol is Envoy's choice among the client's.
		versions, ciphers []uint16
		protocols         []string
	}{
		{"Octavia's defaults", fields{}, []uint16{tls.VersionTLS12, tls.VersionTLS13}, []uint16{
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		}, []string{"h2", "http/1.1", "http/1.0"}},
		{
			"one cipher of TLS 1.2",
			fields{"tls_versions": []string{"TLSv1.2"}, "tls_ciphers": "ECDHE-RSA-CHACHA20-POLY1305", "alpn_protocols": []string{"http/1.1"}},
			[]uint16{tls.VersionTLS12},
			[]uint16{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256},
			[]string{"http/1.1"},
		},
		{
			"TLS 1.3",
			fields{"tls_versions": []string{"TLSv1.3"}, "alpn_protocols": []string{"h2"}},
			[]uint16{tls.VersionTLS13},
			nil,
			[]string{"h2"},
		},
		{
			"old clients",
			fields{
				"tls_versions": []string{"TLSv1", "TLSv1.1", "TLSv1.2"}, "alpn_protocols": []string{"http/1.1", "h2"},
				"tls_ciphers": "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-SHA:AES128-SHA",
			},
			[]uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12},
			[]uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_128_CBC_SHA},
			[]string{"http/1.1", "h2"},
		},
	}
	var listeners []fields
	for i, setting := range settings {
		listeners = append(listeners, web(443+i, setting.more))
	}
	s := c.populate(t, "e2e-tls-versions", listeners, []fields{pool("web", "HTTP", []fields{c.member(1, 80)})})
	tried, taken := 0, 0
	for i, setting := range settings {
		for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
			for _, cipher := range []uint16{
				tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
				tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
			} {
				modern := cipher == tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 || cipher == tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 ||
					cipher == tls.TLS_RSA_WITH_AES_128_GCM_SHA256
				if modern && version < tls.VersionTLS12 {
					continue // a client cannot offer it
				}
				for _, offered := range [][]string{nil, {"h2"}, {"http/1.1"}, {"http/1.1", "h2"}, {"spdy/3"}} {
					config := trusting(root, "www.example.com")
					config.MinVersion, config.MaxVersion, config.CipherSuites, config.NextProtos = version, version, []uint16{cipher}, offered
					what := fmt.Sprintf("%s: %s, %s, %v", setting.name, tls.VersionName(version), tls.CipherSuiteName(cipher), offered)
					good := slices.Contains(setting.versions, version) && (version == tls.VersionTLS13 || slices.Contains(setting.ciphers, cipher))
					connection, err := c.handshake(t, s.at(443+i), config)
					tried++
					if good != (err == nil) {
						t.Errorf("%s: taken %t, error %v", what, !good, err)
					}
					if err != nil {
						var refused *net.OpError
						if !good && !errors.As(err, &refused) && !strings.Contains(err.Error(), "EOF") {
							t.Errorf("%s: not refused by the listener: %v", what, err)
						}
						continue
					}
					taken++
					state := connection.ConnectionState()
					want := "" // of what both know, the one that the listener likes best
					for _, protocol := range setting.protocols {
						if slices.Contains(offered, protocol) {
							want = protocol
							break
						}
					}
					if state.NegotiatedProtocol != want || state.Version != version || version < tls.VersionTLS13 && state.CipherSuite != cipher {
						t.Errorf("%s: agreed on %q, %s, %s", what, state.NegotiatedProtocol, tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite))
					}
					_ = connection.Close()
				}
			}
		}
	}
	t.Logf("%d handshakes, %d taken", tried, taken)
}
