package translate_test

import (
	"crypto/x509/pkix"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// vault is what the references of a tree refer to. It is made anew by every process: no key is in an input.
type vault struct {
	certificates map[string]*model.TLSContainer
	bundles      map[string]model.PEM
}

// newVault has certificates that Envoy takes; those whose names begin with "bad" it does not.
func newVault(tb testing.TB) *vault {
	tb.Helper()
	root, other := pki.New(tb, "root"), pki.New(tb, "other")
	below := root.Intermediate("outer").Intermediate("inner")
	named := func(names ...string) pki.Options { return pki.Options{Names: names} }
	stapled := func(options pki.Options, next time.Duration) *model.TLSContainer {
		certificate := root.Issue(options)
		container := certificate.Container()
		container.OCSPResponse = root.OCSP(certificate, ocsp.Good, time.Now().Add(-48*time.Hour), time.Now().Add(next))
		return container
	}
	v := &vault{certificates: map[string]*model.TLSContainer{
		"rsa":           root.Issue(pki.Options{Names: []string{"rsa.example"}, RSA: 2048}).Container(),
		"ecdsa":         root.Issue(named("ecdsa.example", "192.0.2.10")).Container(),
		"wildcard":      root.Issue(named("*.example.org", "example.org")).Container(),
		"chain":         below.Issue(named("chain.example")).Container(),
		"nameless":      root.Issue(pki.Options{Subject: pkix.Name{Organization: []string{"O, \"u\"\r\n%REQ(x)%"}}}).Container(),
		"expired":       root.Issue(pki.Options{Names: []string{"old.example"}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-time.Hour)}).Container(),
		"stapled":       stapled(named("stapled.example"), 24*time.Hour),
		"staple-late":   stapled(pki.Options{Names: []string{"late.example"}, RSA: 2048}, -time.Hour),
		"must-staple":   stapled(pki.Options{Names: []string{"must.example"}, MustStaple: true}, 24*time.Hour),
		"bad-short":     root.Issue(pki.Options{Names: []string{"short.example"}, RSA: 1024}).Container(),
		"bad-mismatch":  root.Issue(named("mixed.example")).Container(),
		"bad-encrypted": {Certificate: "no certificate", PrivateKey: "no key", Passphrase: "x"},
	}}
	v.certificates["bad-mismatch"].PrivateKey = v.certificates["ecdsa"].PrivateKey
	v.bundles = map[string]model.PEM{
		"ca": model.PEM(root.PEM()), "cas": model.PEM(root.PEM() + other.PEM()), "crl": model.PEM(root.CRL(root.Issue(named("gone.example")))),
		"crls": model.PEM(root.CRL() + other.CRL()), "bad-bundle": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
	}
	return v
}

// fill gives a tree what it refers to, as octavia-api and package secrets do. What is not in the vault stays missing.
func (v *vault) fill(lb *model.LoadBalancer) {
	for _, place := range lb.Secrets() {
		name := strings.TrimPrefix(place.URL, "vault:")
		if certificate, ok := v.certificates[name]; ok && place.Certificate() == nil {
			place.SetCertificate(certificate)
		}
		if bundle, ok := v.bundles[name]; ok && place.PEM() == "" {
			place.SetPEM(bundle)
		}
	}
}

// missing reports whether something of a tree has not been read: it is accepted, and not served before it has been.
func missing(lb *model.LoadBalancer) bool {
	return slices.ContainsFunc(lb.Secrets(), model.Secret.Missing)
}

// listenerTLS leaves to a listener what fits its protocol.
func (g *generator) listenerTLS(listener *model.Listener) {
	if g.hostile() {
		return
	}
	listener.TLSVersions = withoutGap(listener.TLSVersions)
	if listener.Protocol != model.ProtocolTerminatedHTTPS {
		listener.DefaultTLSContainerRef, listener.SNIContainerRefs = "", nil
		listener.DefaultTLSContainer, listener.SNIContainers = nil, nil
		listener.ClientCATLSContainerRef, listener.ClientCRLContainerRef, listener.ClientAuthentication = "", "", "NONE"
		listener.ClientCATLSContainer, listener.ClientCRLContainer = "", ""
		listener.HSTSMaxAge, listener.HSTSIncludeSubdomains, listener.HSTSPreload = nil, false, false
	}
	if listener.ClientCATLSContainerRef == "" {
		listener.ClientCRLContainerRef, listener.ClientAuthentication = "", "NONE"
	}
}

// poolTLS is listenerTLS for a pool.
func (g *generator) poolTLS(pool *model.Pool) {
	if g.hostile() {
		return
	}
	pool.TLSVersions = withoutGap(pool.TLSVersions)
	if pool.Protocol == model.ProtocolUDP {
		pool.TLSEnabled = false
	}
	if !pool.TLSEnabled {
		pool.TLSContainerRef, pool.CATLSContainerRef, pool.CRLContainerRef = "", "", ""
	}
	if pool.CATLSContainerRef == "" {
		pool.CRLContainerRef = ""
	}
}

// withoutGap adds what is missing between versions.
func withoutGap(versions []string) []string {
	known := []string{"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"}
	first, last := len(known), -1
	for _, version := range versions {
		place := slices.Index(known, version)
		if place < 0 {
			return versions
		}
		first, last = min(first, place), max(last, place)
	}
	if last < 0 {
		return versions
	}
	return known[first : last+1]
}

// tlsTexts are goodTexts of TLS.
func tlsTexts() map[string][]string {
	certificates := []string{
		"vault:rsa", "vault:ecdsa", "vault:wildcard", "vault:chain", "vault:expired", "vault:stapled",
		"vault:staple-late", "vault:must-staple",
	}
	versions := []string{"TLSv1.2", "TLSv1.3", "TLSv1.2", "TLSv1.3", "TLSv1.1", "TLSv1"}
	protocols := []string{"http/1.1", "h2", "http/1.0"}
	ciphers := []string{
		"", "HIGH", "ECDHE-RSA-AES128-GCM-SHA256", "TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256", "ALL:!aNULL:-SHA:+AES128",
		"AES256-SHA:DES-CBC3-SHA", "kRSA", "ECDHE+AESGCM:@STRENGTH", "DEFAULT:!RSA",
	}
	return map[string][]string{
		"Listener.default_tls_container_ref":   certificates,
		"Listener.sni_container_refs":          certificates,
		"Listener.client_ca_tls_container_ref": {"", "vault:ca", "vault:cas"},
		"Listener.client_crl_container_ref":    {"", "vault:crl", "vault:crls"},
		"Listener.client_authentication":       {"NONE", "OPTIONAL", "MANDATORY"},
		"Listener.tls_versions":                versions,
		"Listener.tls_ciphers":                 ciphers,
		"Listener.alpn_protocols":              protocols,
		"Pool.tls_container_ref":               append([]string{"", "vault:nameless"}, certificates...),
		"Pool.ca_tls_container_ref":            {"", "vault:ca", "vault:cas"},
		"Pool.crl_container_ref":               {"", "vault:crl", "vault:crls"},
		"Pool.tls_versions":                    versions,
		"Pool.tls_ciphers":                     ciphers,
		"Pool.alpn_protocols":                  protocols,
	}
}
