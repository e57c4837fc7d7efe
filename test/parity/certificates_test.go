package parity

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// In trees and cases a reference to a secret is one of these names. What it refers to is made anew in each run.
const (
	// The clients' authorities: the root; it and the root of others; an authority below it alone.
	clientCA, bothCAs, lowerCA = "ca", "ca-both", "ca-lower"
	// Revocation lists: of the root and those below it; of the root alone; one that has run out.
	clientCRL, rootCRL, staleCRL = "crl", "crl-root", "crl-stale"
	// What members are held against, and what they are shown.
	memberCA, memberCRL, memberClient = "member-ca", "member-crl", "member-client"
)

// serverCertificates are the certificates that listeners may have, each with its names. Those with an RSA key say so.
func serverCertificates() map[string][]string {
	return map[string][]string{
		"default-rsa": {"default.test"}, "default": {"default.test"},
		"www-rsa": {"www.example.com", "example.com"}, "www": {"www.example.com", "example.com"},
		"wild-rsa": {"*.example.com"}, "wild": {"*.example.com"}, "other": {"other.test"},
	}
}

// goodClients are the clients' certificates that the root has signed, those of goodOrNot may be good, and badClients never are.
func goodClients() []string {
	return []string{"plain", "rsa", "commas", "quotes", "utf8", "several-ou", "several-cn", "one-rdn", "email", "no-cn", "blanks", "slashes", "many-types", "long"}
}

func goodOrNot() []string { return []string{"below", "revoked", "revoked-below", "foreign"} }

func badClients() []string { return []string{"expired", "not-yet", "server", "self-signed"} }

// certificates are all certificates of a run.
type certificates struct {
	containers map[string]pki.Certificate
	bundles    map[string]string
	// names are those of the certificates by the SHA-256 of each.
	names map[[sha256.Size]byte]string
	// members are what members on TLS ports show, by port, and memberClients what they know.
	members map[int]tls.Certificate
}

func newCertificates(t testing.TB) *certificates {
	c := &certificates{containers: map[string]pki.Certificate{}, names: map[[sha256.Size]byte]string{}}
	servers := pki.New(t, "Servers").Intermediate("Servers below")
	for name, hosts := range serverCertificates() {
		c.add(name, servers.Issue(pki.Options{Names: hosts, RSA: bits(name)}))
	}
	root, foreign := pki.New(t, "Clients"), pki.New(t, "Others")
	below := root.IntermediateOf(distinguished(t, rdn{o("Below, Inc")}, rdn{cn("é / x")}))
	c.clients(t, root, below, foreign)
	c.bundles = map[string]string{
		clientCA: root.PEM(), bothCAs: root.PEM() + foreign.PEM(), lowerCA: below.PEM(),
		clientCRL: root.CRL(c.containers["revoked"]) + below.CRL(c.containers["revoked-below"]), rootCRL: root.CRL(c.containers["revoked"]),
		staleCRL: stale(t, root),
	}
	c.ofMembers(t)
	return c
}

func bits(name string) int {
	if strings.HasSuffix(name, "rsa") {
		return 2048
	}
	return 0
}

func (c *certificates) add(name string, certificate pki.Certificate) {
	c.containers[name] = certificate
	c.names[sha256.Sum256(certificate.Leaf.Raw)] = name
}

func (c *certificates) clients(t testing.TB, root, below, foreign *pki.Authority) {
	t.Helper()
	for name, subject := range subjects(t) {
		c.add(name, root.Issue(pki.Options{RawSubject: subject, Client: true, RSA: bits(name)}))
	}
	plain := pki.Options{RawSubject: subjects(t)["plain"], Client: true}
	c.add("below", below.Issue(plain))
	c.add("revoked", root.Issue(plain))
	c.add("revoked-below", below.Issue(plain))
	c.add("foreign", foreign.Issue(plain))
	c.add("self-signed", pki.Certificate{Leaf: foreign.Certificate, Key: foreign.Key})
	server := plain
	server.Client = false
	c.add("server", root.Issue(server))
	expired, early := plain, plain
	expired.NotBefore, expired.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	early.NotBefore = time.Now().Add(12 * time.Hour)
	c.add("expired", root.Issue(expired))
	c.add("not-yet", root.Issue(early))
}

func (c *certificates) ofMembers(t testing.TB) {
	t.Helper()
	root, foreign := pki.New(t, "Members"), pki.New(t, "Other members")
	names := pki.Options{Names: []string{"www.example.com", "example.com", "*.example.com", "default.test"}}
	good, revoked := root.Issue(names), root.Issue(names)
	c.members = map[int]tls.Certificate{tlsPort: good.TLS(), revokedPort: revoked.TLS(), foreignPort: foreign.Issue(names).TLS()}
	c.bundles[memberCA], c.bundles[memberCRL] = root.PEM(), root.CRL(revoked)
	c.add(memberClient, pki.New(t, "Load balancers").Issue(pki.Options{Names: []string{"balancer"}, Client: true}))
}

// name returns the name of a certificate.
func (c *certificates) name(certificate *x509.Certificate) string {
	if name := c.names[sha256.Sum256(certificate.Raw)]; name != "" {
		return name
	}
	return "unknown " + certificate.Subject.String()
}

// fill puts what the tree refers to into it.
func (c *certificates) fill(lb *model.LoadBalancer) {
	for _, place := range lb.Secrets() {
		if certificate, found := c.containers[place.URL]; found {
			place.SetCertificate(certificate.Container())
		}
		place.SetPEM(model.PEM(c.bundles[place.URL]))
	}
}

// write puts what the tree refers to into files, as an amphora has them: by `octavia.amphorae.drivers.haproxy.rest_api_driver`.
func (c *certificates) write(lb *model.LoadBalancer, folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	path := func(name string) string { return filepath.Join(folder, name+".pem") }
	for _, place := range lb.Secrets() {
		content := string(place.PEM())
		if container := place.Certificate(); container != nil {
			content = strings.Join(append([]string{container.Certificate, container.PrivateKey}, container.Intermediates...), "\n") + "\n"
		}
		if err := os.WriteFile(path(place.URL), []byte(content), 0o600); err != nil {
			return err
		}
	}
	for i := range lb.Listeners {
		l := &lb.Listeners[i]
		if l.DefaultTLSContainerRef == "" {
			continue
		}
		var list strings.Builder
		for _, name := range append([]string{l.DefaultTLSContainerRef}, l.SNIContainerRefs...) {
			fmt.Fprintln(&list, path(name))
		}
		if err := os.WriteFile(path(l.ID), []byte(list.String()), 0o600); err != nil {
			return err
		}
	}
	return nil
}

type rdn = []pkix.AttributeTypeAndValue

func ofType(tag int, oid ...int) func(value string) pkix.AttributeTypeAndValue {
	return func(value string) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: oid, Value: asn1.RawValue{Tag: tag, Bytes: []byte(value)}}
	}
}

func cn(value string) pkix.AttributeTypeAndValue {
	return ofType(asn1.TagUTF8String, 2, 5, 4, 3)(value)
}

func o(value string) pkix.AttributeTypeAndValue {
	return ofType(asn1.TagUTF8String, 2, 5, 4, 10)(value)
}

func ou(value string) pkix.AttributeTypeAndValue {
	return ofType(asn1.TagUTF8String, 2, 5, 4, 11)(value)
}

// distinguished returns a name in DER.
func distinguished(t testing.TB, parts ...rdn) []byte {
	t.Helper()
	name := pkix.RDNSequence{}
	for _, part := range parts {
		name = append(name, part)
	}
	der, err := asn1.Marshal(name)
	must(t, err)
	return der
}

// subjects are those of the clients that the root has signed.
func subjects(t testing.TB) map[string][]byte {
	t.Helper()
	country, email := ofType(asn1.TagPrintableString, 2, 5, 4, 6)("DE"), ofType(asn1.TagIA5String, 1, 2, 840, 113549, 1, 9, 1)("a@b.example")
	return map[string][]byte{
		"plain":      distinguished(t, rdn{country}, rdn{o("Acme")}, rdn{ou("Dev")}, rdn{cn("client")}),
		"rsa":        distinguished(t, rdn{o("Acme")}, rdn{cn("rsa.client")}),
		"commas":     distinguished(t, rdn{o("Acme, Inc")}, rdn{cn("a,b+c=d;e<f>g")}),
		"quotes":     distinguished(t, rdn{o(`The "Q" \ Co`)}, rdn{cn(`\\41\,CN=x "y"`)}),
		"utf8":       distinguished(t, rdn{o("Müller €😀")}, rdn{cn("é")}),
		"several-ou": distinguished(t, rdn{ou("one")}, rdn{ou("two")}, rdn{ou("three")}, rdn{cn("client")}),
		"several-cn": distinguished(t, rdn{cn("first")}, rdn{o("Acme")}, rdn{cn("client")}),
		"one-rdn":    distinguished(t, rdn{country}, rdn{cn("client"), ou("Dev")}, rdn{cn("b"), cn("a")}),
		"email":      distinguished(t, rdn{o("Acme")}, rdn{cn("client")}, rdn{email}),
		"no-cn":      distinguished(t, rdn{country}, rdn{o("Acme")}),
		"blanks":     distinguished(t, rdn{o("  two ")}, rdn{cn(" a ")}, rdn{ou("#hash")}, rdn{ou("a  b")}),
		"slashes":    distinguished(t, rdn{o("/CN=admin")}, rdn{cn("client/O=Acme")}),
		"long":       distinguished(t, rdn{o(strings.Repeat("o", 1000))}, rdn{cn(strings.Repeat("é", 200))}),
		"many-types": distinguished(t, rdn{ofType(asn1.TagPrintableString, 2, 5, 4, 5)("4711")}, rdn{ofType(asn1.TagUTF8String, 2, 5, 4, 8)("Bayern")},
			rdn{ofType(asn1.TagUTF8String, 2, 5, 4, 7)("München")}, rdn{ofType(asn1.TagIA5String, 0, 9, 2342, 19200300, 100, 1, 25)("example")},
			rdn{ofType(asn1.TagUTF8String, 0, 9, 2342, 19200300, 100, 1, 1)("jd")}, rdn{ofType(asn1.TagUTF8String, 2, 5, 4, 42)("Jö")},
			rdn{ofType(asn1.TagUTF8String, 1, 2, 3, 4, 5)("nobody knows")}, rdn{cn("client")}),
	}
}

// stale returns a revocation list of yesterday.
func stale(t testing.TB, of *pki.Authority) string {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-48 * time.Hour), NextUpdate: time.Now().Add(-24 * time.Hour)}
	der, err := x509.CreateRevocationList(rand.Reader, list, of.Certificate, of.Key)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
}
