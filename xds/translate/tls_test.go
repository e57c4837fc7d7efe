package translate

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ocsp"
	"google.golang.org/protobuf/proto"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// secure returns a TERMINATED_HTTPS listener with its certificates, the default first.
func secure(t *testing.T, id, pool string, certificates ...pki.Certificate) model.Listener {
	t.Helper()
	l := listener(t, id, model.ProtocolTerminatedHTTPS, pool)
	l.DefaultTLSContainerRef, l.DefaultTLSContainer = "https://barbican/"+id, certificates[0].Container()
	for i, certificate := range certificates[1:] {
		l.SNIContainerRefs = append(l.SNIContainerRefs, fmt.Sprintf("https://barbican/%s/%d", id, i))
		l.SNIContainers = append(l.SNIContainers, certificate.Container())
	}
	return l
}

// shake does a handshake with a listener and asks for a page, without which a client of TLS 1.3 does not learn that its
// certificate was refused.
func shake(t *testing.T, l *model.Listener, config *tls.Config) (*tls.ConnectionState, error) {
	t.Helper()
	if config.RootCAs == nil {
		config.InsecureSkipVerify = true
	}
	dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second}, Config: config}
	connection, err := dialer.DialContext(t.Context(), "tcp", place(l))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	secured, ok := connection.(*tls.Conn)
	if !ok {
		t.Fatal("no TLS")
	}
	state := secured.ConnectionState()
	if state.NegotiatedProtocol == "h2" {
		return &state, nil
	}
	if _, err := io.WriteString(connection, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(connection)
	if !bytes.HasPrefix(answer, []byte("HTTP/1.1 ")) {
		return nil, errors.Join(errors.New("no answer"), err)
	}
	return &state, nil
}

// TestTLS is what clients see of TERMINATED_HTTPS listeners through the real Envoy.
func TestTLS(t *testing.T) {
	root := pki.New(t, "root")
	issuer := root.Intermediate("issuer")
	rsa := issuer.Issue(pki.Options{Names: []string{"default.example"}, RSA: 2048})
	ecdsa := issuer.Issue(pki.Options{Names: []string{"ecdsa.example", "*.wild.example"}})
	other := issuer.Issue(pki.Options{Names: []string{"other.example"}, RSA: 2048})
	twin := issuer.Issue(pki.Options{Names: []string{"default.example"}})
	member := server(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("X-Forwarded-Proto")+" "+r.Header.Get("X-Forwarded-Port"))
	})
	maxAge := 600
	plain := secure(t, "plain", "p", rsa)
	plain.ALPNProtocols = []string{"h2", "http/1.1"}
	plain.InsertHeaders = map[string]string{"X-Forwarded-Proto": "true"}
	plain.HSTSMaxAge, plain.HSTSIncludeSubdomains = &maxAge, true
	names := secure(t, "names", "p", rsa, ecdsa, other, twin)
	alike := secure(t, "alike", "p", rsa, other)
	old := secure(t, "old", "p", rsa)
	old.TLSVersions, old.TLSCiphers = []string{"TLSv1", "TLSv1.1", "TLSv1.2"}, "ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-GCM-SHA384"
	modern := secure(t, "modern", "p", rsa)
	modern.TLSVersions = []string{"TLSv1.3"}
	serve(t, &model.LoadBalancer{
		Listeners: []model.Listener{plain, names, alike, old, modern},
		Pools:     []model.Pool{pool("p", model.ProtocolHTTP, member)},
	})

	t.Run("chain, versions and headers", func(t *testing.T) {
		state, err := shake(t, &plain, &tls.Config{ServerName: "default.example", RootCAs: root.Pool()})
		if err != nil {
			t.Fatal(err)
		}
		if got := len(state.PeerCertificates); got != 2 || !state.PeerCertificates[1].Equal(issuer.Certificate) {
			t.Errorf("the chain has %d certificates", got)
		}
		if state.Version != tls.VersionTLS13 {
			t.Errorf("the version is %s", tls.VersionName(state.Version))
		}
		for _, http2 := range []bool{false, true} {
			client := &http.Client{Transport: &http.Transport{
				TLSClientConfig:   &tls.Config{ServerName: "default.example", RootCAs: root.Pool()},
				ForceAttemptHTTP2: http2,
			}}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+place(&plain), nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if string(body) != "https " || (response.ProtoMajor == 2) != http2 {
				t.Errorf("%s: the member saw %q", response.Proto, body)
			}
			if got := response.Header.Get("Strict-Transport-Security"); got != "max-age=600; includeSubDomains;" {
				t.Errorf("HSTS is %q", got)
			}
			client.CloseIdleConnections()
		}
	})
	t.Run("who is served", func(t *testing.T) {
		onlyRSA := []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
		for _, test := range []struct {
			on    *model.Listener
			name  string
			suite []uint16
			want  pki.Certificate
		}{
			{&names, "ecdsa.example", nil, ecdsa},
			{&names, "a.wild.example", nil, ecdsa},
			{&names, "other.example", nil, other},
			{&names, "default.example", nil, twin},
			{&names, "unknown.example", nil, rsa},
			{&names, "", nil, rsa},
			{&names, "", onlyRSA, rsa},
			{&alike, "", nil, rsa},
			{&alike, "unknown.example", nil, rsa},
			{&alike, "other.example", nil, other},
		} {
			config := &tls.Config{ServerName: test.name, CipherSuites: test.suite}
			if test.suite != nil {
				config.MaxVersion = tls.VersionTLS12
			}
			state, err := shake(t, test.on, config)
			if err != nil {
				t.Errorf("%s asked for %q: %v", test.on.ID, test.name, err)
			} else if got := state.PeerCertificates[0]; !got.Equal(test.want.Leaf) {
				t.Errorf("%s asked for %q (%v) serves %s with %s", test.on.ID, test.name, test.suite, got.Subject, got.PublicKeyAlgorithm)
			}
		}
	})
	t.Run("who has RSA alone", func(t *testing.T) {
		// Envoy goes by the signature algorithms of the client. Go's always have ECDSA, OpenSSL's go with its ciphers.
		client := exec.CommandContext(t.Context(), "openssl", "s_client", "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256",
			"-connect", place(&names), "-servername", "default.example")
		output, err := client.CombinedOutput()
		if err != nil || !bytes.Contains(output, []byte("Cipher is ECDHE-RSA-AES128-GCM-SHA256")) {
			t.Errorf("%v\n%s", err, output)
		}
	})
	t.Run("versions and ciphers", func(t *testing.T) {
		for _, test := range []struct {
			on        *model.Listener
			version   uint16
			suite     uint16
			want      bool
			protocols []string
			alpn      string
		}{
			{on: &old, version: tls.VersionTLS10, suite: tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, want: true},
			{on: &old, version: tls.VersionTLS11, suite: tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, want: true},
			{on: &old, version: tls.VersionTLS12, suite: tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, want: true},
			{on: &old, version: tls.VersionTLS12, suite: tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
			{on: &old, version: tls.VersionTLS13},
			{on: &modern, version: tls.VersionTLS13, want: true},
			{on: &modern, version: tls.VersionTLS12},
			{on: &plain, version: tls.VersionTLS12, want: true},
			{on: &plain, version: tls.VersionTLS11},
			{on: &plain, version: tls.VersionTLS13, want: true, protocols: []string{"h2", "http/1.1"}, alpn: "h2"},
			{on: &plain, version: tls.VersionTLS13, want: true, protocols: []string{"http/1.1"}, alpn: "http/1.1"},
			{on: &modern, version: tls.VersionTLS13, want: true, protocols: []string{"h2"}, alpn: ""},
		} {
			config := &tls.Config{MinVersion: test.version, MaxVersion: test.version, NextProtos: test.protocols}
			if test.suite != 0 {
				config.CipherSuites = []uint16{test.suite}
			}
			state, err := shake(t, test.on, config)
			what := fmt.Sprintf("%s, %s, %s, %v", test.on.ID, tls.VersionName(test.version), tls.CipherSuiteName(test.suite), test.protocols)
			if (err == nil) != test.want {
				t.Errorf("%s: %v", what, err)
			} else if err == nil && state.NegotiatedProtocol != test.alpn {
				t.Errorf("%s: ALPN is %q", what, state.NegotiatedProtocol)
			}
		}
	})
}

// TestTLSClients is who gets in with what certificate.
func TestTLSClients(t *testing.T) {
	ours, theirs := pki.New(t, "clients"), pki.New(t, "others")
	served := pki.New(t, "servers").Issue(pki.Options{Names: []string{"x.example"}})
	client := func(authority *pki.Authority, options pki.Options) *pki.Certificate {
		options.Names, options.Client = []string{"client"}, true
		certificate := authority.Issue(options)
		return &certificate
	}
	good, revoked := client(ours, pki.Options{}), client(ours, pki.Options{})
	ask := func(id, how string, list bool) model.Listener {
		l := secure(t, id, "", served)
		l.ClientAuthentication, l.ClientCATLSContainerRef, l.ClientCATLSContainer = how, "https://barbican/ca", model.PEM(ours.PEM())
		if list {
			l.ClientCRLContainerRef, l.ClientCRLContainer = "https://barbican/crl", model.PEM(ours.CRL(*revoked))
		}
		return l
	}
	none, optional, mandatory, unlisted := ask("none", "NONE", false), ask("optional", "OPTIONAL", true), ask("mandatory", "MANDATORY", true),
		ask("unlisted", "MANDATORY", false)
	serve(t, &model.LoadBalancer{Listeners: []model.Listener{none, optional, mandatory, unlisted}})
	for name, test := range map[string]struct {
		certificate *pki.Certificate
		in          []*model.Listener
	}{
		"nothing": {nil, []*model.Listener{&none, &optional}},
		"good":    {good, []*model.Listener{&none, &optional, &mandatory, &unlisted}},
		"revoked": {revoked, []*model.Listener{&none, &unlisted}},
		"foreign": {client(theirs, pki.Options{}), []*model.Listener{&none}},
		"expired": {client(ours, pki.Options{NotAfter: time.Now().Add(-time.Minute)}), []*model.Listener{&none}},
	} {
		for _, l := range []*model.Listener{&none, &optional, &mandatory, &unlisted} {
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				config := &tls.Config{MaxVersion: version}
				if test.certificate != nil {
					// Whatever authorities the listener names.
					config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
						certificate := test.certificate.TLS()
						return &certificate, nil
					}
				}
				_, err := shake(t, l, config)
				want := false
				for _, in := range test.in {
					want = want || in == l
				}
				if (err == nil) != want {
					t.Errorf("%s at %s by %s: %v", name, l.ID, tls.VersionName(version), err)
				}
			}
		}
	}
}

// TestStapling is what clients get stapled. A late response costs them the staple and nobody the connection.
func TestStapling(t *testing.T) {
	authority := pki.New(t, "root")
	now := time.Now()
	stapled := func(id string, status int, from, until time.Time) (model.Listener, []byte) {
		certificate := authority.Issue(pki.Options{Names: []string{id}})
		l := secure(t, id, "", certificate)
		l.DefaultTLSContainer.OCSPResponse = authority.OCSP(certificate, status, from, until)
		return l, l.DefaultTLSContainer.OCSPResponse
	}
	good, response := stapled("good", ocsp.Good, now.Add(-time.Hour), now.Add(time.Hour))
	endless, _ := stapled("endless", ocsp.Good, now.Add(-time.Hour), time.Time{})
	late, _ := stapled("late", ocsp.Good, now.Add(-2*time.Hour), now.Add(-time.Hour))
	certificate := authority.Issue(pki.Options{Names: []string{"must"}, MustStaple: true})
	must := secure(t, "must", "", certificate)
	must.DefaultTLSContainer.OCSPResponse = authority.OCSP(certificate, ocsp.Good, now.Add(-time.Hour), now.Add(time.Hour))
	serve(t, &model.LoadBalancer{Listeners: []model.Listener{good, late, must, endless}})
	for _, test := range []struct {
		on   *model.Listener
		want []byte
	}{{&good, response}, {&late, nil}, {&endless, nil}, {&must, must.DefaultTLSContainer.OCSPResponse}} {
		state, err := shake(t, test.on, &tls.Config{})
		if err != nil {
			t.Errorf("%s: %v", test.on.ID, err)
		} else if !bytes.Equal(state.OCSPResponse, test.want) {
			t.Errorf("%s staples %d bytes, not %d", test.on.ID, len(state.OCSPResponse), len(test.want))
		}
	}
}

// TestBadCertificates are refused with a sentence, where Envoy would refuse the secret in its own words, or wait for ever.
func TestBadCertificates(t *testing.T) {
	authority := pki.New(t, "root")
	good, other := authority.Issue(pki.Options{Names: []string{"a"}}), authority.Issue(pki.Options{Names: []string{"b"}})
	small := authority.Issue(pki.Options{Names: []string{"a"}, RSA: 1024})
	for name, test := range map[string]struct {
		change func(l *model.Listener)
		want   string
	}{
		"another's key": {
			func(l *model.Listener) { l.DefaultTLSContainer.PrivateKey = other.KeyPEM() }, "cannot be used together: private key does not match",
		},
		"no key":  {func(l *model.Listener) { l.DefaultTLSContainer.PrivateKey = "" }, "cannot be used together: failed to find any PEM data"},
		"garbage": {func(l *model.Listener) { l.DefaultTLSContainer.Certificate = "-----" }, "cannot be used together: failed to find any PEM data"},
		"small":   {func(l *model.Listener) { l.DefaultTLSContainer = small.Container() }, "its RSA key has 1024 bits: Envoy needs 2048 at least"},
		"must staple": {
			func(l *model.Listener) {
				l.DefaultTLSContainer = authority.Issue(pki.Options{Names: []string{"a"}, MustStaple: true}).Container()
			},
			"must-staple",
		},
		"sni": {
			func(l *model.Listener) {
				l.SNIContainerRefs, l.SNIContainers = []string{"https://b/sni"}, []*model.TLSContainer{nil}
			},
			"sni_container_refs: what https://b/sni refers to could not be read",
		},
		"ca": {
			func(l *model.Listener) { l.ClientCATLSContainerRef, l.ClientCATLSContainer = "https://b/ca", "no PEM" },
			"client_ca_tls_container_ref: it holds no block of type CERTIFICATE",
		},
		"crl": {
			func(l *model.Listener) {
				l.ClientCATLSContainerRef, l.ClientCATLSContainer = "https://b/ca", model.PEM(authority.PEM())
				l.ClientCRLContainerRef, l.ClientCRLContainer = "https://b/crl", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"
			},
			"client_crl_container_ref: a block of it is no X509 CRL",
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := secure(t, "l", "", good)
			test.change(&l)
			lb := &model.LoadBalancer{ID: "lb", VIPAddress: vip, AdminStateUp: true, Listeners: []model.Listener{l}}
			res, err := LoadBalancer(lb)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v; want %q", err, test.want)
			}
			if err != nil && (strings.Contains(err.Error(), "BEGIN") || strings.Contains(err.Error(), "MII")) {
				t.Errorf("the error shows PEM: %v", err)
			}
			if len(res.Listeners)+len(res.Secrets) > 0 {
				t.Error("it is served all the same")
			}
		})
	}
}

// TestWhatAChangeOfTLSTouches: a rotation touches the Secret alone, and nothing drains.
func TestWhatAChangeOfTLSTouches(t *testing.T) {
	authority := pki.New(t, "root")
	issue := func() *model.TLSContainer { return authority.Issue(pki.Options{Names: []string{"x"}}).Container() }
	first, sni := issue(), issue()
	base := func() *model.LoadBalancer {
		return &model.LoadBalancer{ID: "lb", VIPAddress: vip, AdminStateUp: true, Listeners: []model.Listener{{
			ID: "l", Protocol: model.ProtocolTerminatedHTTPS, ProtocolPort: 443, AdminStateUp: true, ConnectionLimit: -1,
			DefaultTLSContainerRef: "https://b/1", DefaultTLSContainer: first,
			SNIContainerRefs: []string{"https://b/2"}, SNIContainers: []*model.TLSContainer{sni},
			ClientAuthentication: "OPTIONAL", ClientCATLSContainerRef: "https://b/ca", ClientCATLSContainer: model.PEM(authority.PEM()),
		}}}
	}
	maxAge := 1
	for name, test := range map[string]struct {
		change func(l *model.Listener)
		want   []string
	}{
		"nothing": {func(*model.Listener) {}, nil},
		"another certificate": {
			func(l *model.Listener) { l.DefaultTLSContainerRef, l.DefaultTLSContainer = "https://b/9", issue() }, []string{"changed l/default"},
		},
		"another SNI certificate": {
			func(l *model.Listener) { l.SNIContainers = []*model.TLSContainer{issue()} }, []string{"changed l/sni/0"},
		},
		"a response to staple": {
			func(l *model.Listener) {
				stapled := *first
				stapled.OCSPResponse = []byte{1}
				l.DefaultTLSContainer = &stapled
			},
			[]string{"changed l/default"},
		},
		"other authorities": {
			func(l *model.Listener) { l.ClientCATLSContainer = model.PEM(pki.New(t, "another").PEM()) }, []string{"changed l/client-ca"},
		},
		"a revocation list": {
			func(l *model.Listener) {
				l.ClientCRLContainerRef, l.ClientCRLContainer = "https://b/crl", model.PEM(authority.CRL())
			},
			[]string{"changed l/client-ca"},
		},
		"HSTS (routes)": {func(l *model.Listener) { l.HSTSMaxAge = &maxAge }, []string{"changed l"}},
		"headers about clients (routes)": {
			func(l *model.Listener) {
				l.InsertHeaders = map[string]string{}
				for _, known := range clientHeaders() {
					l.InsertHeaders[known.header] = "true"
				}
			},
			[]string{"changed l"},
		},
		"a rule about certificates (routes)": {
			func(l *model.Listener) { l.L7Policies = clientPolicy(model.L7TypeSSLConnHasCert, "", "True") }, []string{"changed l"},
		},
		"a rule about the outcome (routes)": {
			func(l *model.Listener) { l.L7Policies = clientPolicy(model.L7TypeSSLVerifyResult, "", "0") }, []string{"changed l"},
		},
		"a rule about names (routes)": {
			func(l *model.Listener) { l.L7Policies = clientPolicy(model.L7TypeSSLDNField, "CN", "x") }, []string{"changed l"},
		},
		"an SNI certificate more": {
			func(l *model.Listener) {
				l.SNIContainerRefs = append(l.SNIContainerRefs, "https://b/3")
				l.SNIContainers = append(l.SNIContainers, issue())
			},
			[]string{"new l/sni/1", "changed l"},
		},
	} {
		tree := base()
		test.change(&tree.Listeners[0])
		want := map[string]bool{}
		for _, change := range test.want {
			want[change] = true
		}
		before, after := translated(t, base()), translated(t, tree)
		if diff := cmp.Diff(want, changes(before, after)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if strings.HasSuffix(name, "(routes)") && !proto.Equal(before.Listeners["l"], after.Listeners["l"]) {
			t.Errorf("%s changes the listener", name)
		}
	}
}

// clientPolicy is a policy that rejects by one rule.
func clientPolicy(kind, key, value string) []model.L7Policy {
	return []model.L7Policy{{ID: "p", AdminStateUp: true, Action: model.L7ActionReject, Position: 1, Rules: []model.L7Rule{{
		ID: "r", AdminStateUp: true, Type: kind, Key: key, CompareType: model.L7CompareEqualTo, Value: value,
	}}}}
}
