package capabilities_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/driver/capabilities"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

const ref = "https://barbican.example/v1/containers/90000000-0000-4000-8000-000000000009"

// fill puts something good into each place that a tree has for a secret.
func fill(t *testing.T, lb *model.LoadBalancer) {
	t.Helper()
	places := lb.Secrets()
	if len(places) == 0 {
		return
	}
	authority := pki.New(t, "CA")
	for _, place := range places {
		switch {
		case place.IsCertificate():
			place.SetCertificate(authority.Issue(pki.Options{Names: []string{"www.example.org"}}).Container())
		case place.Role == model.RoleClientCRL || place.Role == model.RoleCRL:
			place.SetPEM(model.PEM(authority.CRL()))
		default:
			place.SetPEM(model.PEM(authority.PEM()))
		}
	}
}

// secure makes the tree's listener terminate TLS and its pool begin it again, with one of everything.
func secure(t *testing.T, lb *model.LoadBalancer) {
	t.Helper()
	age := 31536000
	l, p := &lb.Listeners[0], &lb.Pools[0]
	l.Protocol, l.DefaultTLSContainerRef, l.SNIContainerRefs = "TERMINATED_HTTPS", ref, []string{ref + "1", ref + "2"}
	l.ClientAuthentication, l.ClientCATLSContainerRef, l.ClientCRLContainerRef = "MANDATORY", ref, ref
	l.TLSVersions, l.TLSCiphers, l.ALPNProtocols = []string{"TLSv1.3", "TLSv1.2"}, "HIGH:!aNULL", []string{"h2", "http/1.1", "http/1.0"}
	l.HSTSMaxAge, l.HSTSIncludeSubdomains, l.HSTSPreload = &age, true, true
	p.TLSEnabled, p.TLSContainerRef, p.CATLSContainerRef, p.CRLContainerRef = true, ref, ref, ref
	p.TLSVersions, p.TLSCiphers, p.ALPNProtocols = []string{"TLSv1.2"}, "ECDHE-RSA-AES128-GCM-SHA256", []string{"http/1.1"}
	fill(t, lb)
}

// changed is a secure tree with a change of its listener or its pool.
func changed(t *testing.T, f func(l *model.Listener, p *model.Pool)) change {
	t.Helper()
	return func(lb *model.LoadBalancer) {
		secure(t, lb)
		f(&lb.Listeners[0], &lb.Pools[0])
	}
}

// tlsRefused is what is wrong with or not supported of TLS, with the sentence that the user reads.
func tlsRefused(t *testing.T) map[string]l7Refusal {
	t.Helper()
	const listener, pool = "listeners[0].", "pools[0]."
	const mismatch = " cannot be used: the certificate and its key cannot be used together: private key does not match public key."
	change := func(f func(l *model.Listener, p *model.Pool)) change { return changed(t, f) }
	authority := pki.New(t, "CA")
	issue := func(options pki.Options) *model.TLSContainer { return authority.Issue(options).Container() }
	named := pki.Options{Names: []string{"www.example.org"}}
	mixed, p224, ed := issue(named), issue(named), issue(named)
	mixed.PrivateKey = issue(pki.Options{}).PrivateKey
	p224.Certificate, p224.PrivateKey = odd(t, "P-224")
	ed.Certificate, ed.PrivateKey = odd(t, "Ed25519")
	garbage := model.PEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("no DER")}))
	negative := -1
	return map[string]l7Refusal{
		"no certificate": {
			func(lb *model.LoadBalancer) { lb.Listeners[0].Protocol = "TERMINATED_HTTPS" },
			listener + "default_tls_container_ref: A TERMINATED_HTTPS listener needs a certificate; give it default_tls_container_ref.",
			capabilities.Invalid,
		},
		"no client CA": {
			change(func(l *model.Listener, _ *model.Pool) {
				l.ClientAuthentication, l.ClientCATLSContainerRef, l.ClientCRLContainerRef = "OPTIONAL", "", ""
			}),
			listener + "client_authentication: Client certificates are held against client_ca_tls_container_ref, which is missing.",
			capabilities.Invalid,
		},
		"revocation list without CA": {
			change(func(l *model.Listener, _ *model.Pool) { l.ClientAuthentication, l.ClientCATLSContainerRef = "NONE", "" }),
			listener + "client_crl_container_ref: A revocation list belongs to client_ca_tls_container_ref, which is missing.",
			capabilities.Invalid,
		},
		"client authentication": {
			change(func(l *model.Listener, _ *model.Pool) { l.ClientAuthentication = "SOMETIMES" }),
			listener + `client_authentication: "SOMETIMES" is not a value of client_authentication in Octavia; supported are NONE, OPTIONAL and MANDATORY.`,
			capabilities.Invalid,
		},
		"HSTS of less than no time": {
			change(func(l *model.Listener, _ *model.Pool) { l.HSTSMaxAge = &negative }),
			listener + "hsts_max_age: hsts_max_age must be 0 or more seconds, not -1.",
			capabilities.Invalid,
		},
		"SSLv3": {
			change(func(l *model.Listener, _ *model.Pool) { l.TLSVersions = []string{"SSLv3", "TLSv1"} }),
			listener + `tls_versions: The TLS versions cannot be served: "SSLv3" is not supported: use TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3.`,
			capabilities.Unsupported,
		},
		"gap": {
			change(func(_ *model.Listener, p *model.Pool) { p.TLSVersions = []string{"TLSv1.1", "TLSv1.3"} }),
			pool + "tls_versions: The TLS versions cannot be served: TLSv1.2 is missing between TLSv1.1 and TLSv1.3: a gap is not supported, add it " +
				"or leave out one of the two.",
			capabilities.Unsupported,
		},
		"ciphers": {
			change(func(l *model.Listener, _ *model.Pool) { l.TLSCiphers = "DHE-RSA-AES128-GCM-SHA256:PSK" }),
			listener + "tls_ciphers: Of the ciphers none is supported for TLS 1.2 and below (DHE-RSA-AES128-GCM-SHA256, PSK); add for instance " +
				"ECDHE-RSA-AES128-GCM-SHA256 and ECDHE-ECDSA-AES128-GCM-SHA256.",
			capabilities.Unsupported,
		},
		"ALPN": {
			change(func(l *model.Listener, _ *model.Pool) { l.ALPNProtocols = []string{"h2", "h3"} }),
			listener + `alpn_protocols: "h3" is not a value of alpn_protocols in Octavia; supported are h2, http/1.1 and http/1.0.`,
			capabilities.Invalid,
		},
		"short RSA key": {
			change(func(l *model.Listener, _ *model.Pool) {
				l.DefaultTLSContainer = issue(pki.Options{Names: named.Names, RSA: 1024})
			}),
			listener + "default_tls_container_ref: " + ref + " cannot be used: its RSA key has 1024 bits: Envoy needs 2048 at least.",
			capabilities.Unsupported,
		},
		"Ed25519": {
			change(func(l *model.Listener, _ *model.Pool) { l.SNIContainers[1] = ed }),
			listener + "sni_container_refs: " + ref + "2 cannot be used: its key is neither RSA nor ECDSA, which are what Envoy has.",
			capabilities.Unsupported,
		},
		"small curve": {
			change(func(_ *model.Listener, p *model.Pool) { p.TLSContainer = p224 }),
			pool + "tls_container_ref: " + ref + " cannot be used: its key is on the curve P-224: Envoy has P-256, P-384 and P-521.",
			capabilities.Unsupported,
		},
		"nameless": {
			change(func(l *model.Listener, _ *model.Pool) { l.SNIContainers[0] = issue(pki.Options{}) }),
			listener + "sni_container_refs: " + ref + "1 cannot be used: it has no name: Envoy needs a subject alternative name or a common name.",
			capabilities.Unsupported,
		},
		"another's key": {
			change(func(l *model.Listener, _ *model.Pool) { l.DefaultTLSContainer = mixed }),
			listener + "default_tls_container_ref: " + ref + mismatch,
			capabilities.Unsupported,
		},
		"another's key to members": {
			change(func(_ *model.Listener, p *model.Pool) { p.TLSContainer = mixed }),
			pool + "tls_container_ref: " + ref + mismatch,
			capabilities.Unsupported,
		},
		"client CA without a certificate": {
			change(func(l *model.Listener, _ *model.Pool) { l.ClientCATLSContainer = "x" }),
			listener + "client_ca_tls_container_ref: " + ref + " cannot be used: it holds no block of type CERTIFICATE in PEM.",
			capabilities.Unsupported,
		},
		"garbage for a CA": {
			change(func(_ *model.Listener, p *model.Pool) { p.CATLSContainer += garbage }),
			pool + "ca_tls_container_ref: " + ref + " cannot be used: a block of it is no CERTIFICATE: x509: malformed certificate.",
			capabilities.Unsupported,
		},
		"certificates for a revocation list": {
			change(func(l *model.Listener, _ *model.Pool) { l.ClientCRLContainer = l.ClientCATLSContainer }),
			listener + "client_crl_container_ref: " + ref + " cannot be used: it holds no block of type X509 CRL in PEM.",
			capabilities.Unsupported,
		},
		"revocation list of members without CA": {
			change(func(_ *model.Listener, p *model.Pool) { p.CATLSContainerRef = "" }),
			pool + "crl_container_ref: A revocation list belongs to ca_tls_container_ref, which is missing.",
			capabilities.Invalid,
		},
		"unprintable reference": {
			change(func(l *model.Listener, _ *model.Pool) {
				l.SNIContainerRefs[0], l.SNIContainers[0] = "a\r\n\xff"+strings.Repeat("b", 200), mixed
			}),
			listener + "sni_container_refs: a???" + strings.Repeat("b", 124) + "…" + mismatch,
			capabilities.Unsupported,
		},
	}
}

// odd returns a self-signed certificate with a key that Envoy has not, and the key.
func odd(t *testing.T, kind string) (certificate, key string) {
	t.Helper()
	if kind == "P-224" {
		private, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
		require.NoError(t, err)
		return selfSigned(t, private.Public(), private)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return selfSigned(t, public, private)
}

func selfSigned(t *testing.T, public crypto.PublicKey, private crypto.Signer) (certificate, key string) {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"x"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
}

func TestTLSRefused(t *testing.T) {
	for name, test := range tlsRefused(t) {
		t.Run(name, func(t *testing.T) {
			lb := tree(t)
			test.change(lb)
			problems := capabilities.Check(lb)
			require.Equal(t, []string{test.want}, lines(problems))
			assert.Equal(t, test.kind, problems[0].Kind)
			assert.Less(t, len(problems[0].Message), 400)
		})
	}
}

// TestTLSAccepted checks what is served of TLS, one by one.
func TestTLSAccepted(t *testing.T) {
	authority, names := pki.New(t, "root").Intermediate("intermediate"), []string{"www.example.org"}
	for name, f := range map[string]func(l *model.Listener, p *model.Pool){
		"everything": func(*model.Listener, *model.Pool) {},
		"RSA": func(l *model.Listener, _ *model.Pool) {
			l.DefaultTLSContainer = authority.Issue(pki.Options{Names: names, RSA: 2048}).Container()
		},
		"intermediates": func(l *model.Listener, _ *model.Pool) {
			l.DefaultTLSContainer = authority.Issue(pki.Options{Names: names}).Container()
		},
		"a common name": func(l *model.Listener, _ *model.Pool) {
			l.DefaultTLSContainer = authority.Issue(pki.Options{Subject: pkix.Name{CommonName: "x"}}).Container()
		},
		"nameless to members": func(_ *model.Listener, p *model.Pool) { p.TLSContainer = authority.Issue(pki.Options{}).Container() },
		// Its response is asked for afterwards.
		"must-staple": func(l *model.Listener, _ *model.Pool) {
			l.DefaultTLSContainer = authority.Issue(pki.Options{Names: names, MustStaple: true}).Container()
		},
		// octavia-api hands over no bundle in PEM, and nothing at all when Barbican is down: it is read later.
		"unread": func(l *model.Listener, p *model.Pool) {
			l.DefaultTLSContainer, l.SNIContainers, l.ClientCATLSContainer, l.ClientCRLContainer = nil, nil, "", ""
			p.TLSContainer, p.CATLSContainer, p.CRLContainer = nil, "", ""
		},
		"optional":    func(l *model.Listener, _ *model.Pool) { l.ClientAuthentication = "OPTIONAL" },
		"nobody asks": func(l *model.Listener, _ *model.Pool) { l.ClientAuthentication = "" },
		"TLS 1.3 alone": func(l *model.Listener, _ *model.Pool) {
			l.TLSVersions, l.TLSCiphers = []string{"TLSv1.3"}, "DHE-RSA-AES128-GCM-SHA256" // which would be for TLS 1.2
		},
		"old versions": func(l *model.Listener, _ *model.Pool) { l.TLSVersions = []string{"TLSv1.1", "TLSv1", "TLSv1.2"} },
		"some ciphers": func(l *model.Listener, _ *model.Pool) {
			l.TLSCiphers = "DHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"
		},
		"PROXY": func(_ *model.Listener, p *model.Pool) { p.Protocol = "PROXYV2" },
	} {
		t.Run(name, func(t *testing.T) {
			lb := tree(t)
			changed(t, f)(lb)
			assert.Empty(t, lines(capabilities.Check(lb)))
		})
	}
}

// TestPartialTLS checks a change of a listener, or a pool, of which nothing else is known.
func TestPartialTLS(t *testing.T) {
	const badProtocol = `listeners[0].protocol: "" is not a value of protocol in Octavia; supported are HTTP, TCP, HTTPS, TERMINATED_HTTPS, UDP and PROMETHEUS.`
	for name, test := range map[string]struct {
		change change
		want   []string
	}{
		"a listener's certificate": {
			onListener(func(l *model.Listener) { l.Protocol, l.DefaultTLSContainerRef = "", ref }),
			[]string{badProtocol}, // which is no part of the change: package api leaves it out
		},
		"a listener's names": {
			onListener(func(l *model.Listener) { l.Protocol, l.SNIContainerRefs = "TERMINATED_HTTPS", []string{ref} }), []string{},
		},
		"client authentication": {
			onListener(func(l *model.Listener) { l.Protocol, l.ClientAuthentication = "TERMINATED_HTTPS", "MANDATORY" }), []string{},
		},
		"revocation": {
			onListener(func(l *model.Listener) { l.Protocol, l.ClientCRLContainerRef = "TERMINATED_HTTPS", ref }), []string{},
		},
		"a pool's certificate": {onPool(func(p *model.Pool) { p.TLSContainerRef = ref }), []string{}},
		"a pool's revocation":  {onPool(func(p *model.Pool) { p.TLSEnabled, p.CRLContainerRef = true, ref }), []string{}},
		"versions all the same": {
			onPool(func(p *model.Pool) { p.TLSEnabled, p.TLSVersions = true, []string{"SSLv3"} }),
			[]string{`pools[0].tls_versions: The TLS versions cannot be served: "SSLv3" is not supported: use TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3.`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			lb := tree(t)
			test.change(lb)
			assert.Equal(t, test.want, lines(capabilities.CheckPartial(lb)))
		})
	}
}
