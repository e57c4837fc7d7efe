// Package pki makes authorities, certificates, revocation lists and OCSP responses for tests, new ones each time: no key
// is ever committed.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// Authority signs certificates.
type Authority struct {
	tb          testing.TB
	Certificate *x509.Certificate
	Key         crypto.Signer
	// issuers are those above it, nearest first, without the root.
	issuers []*x509.Certificate
}

// Certificate is a certificate with its key and its issuers.
type Certificate struct {
	Leaf *x509.Certificate
	Key  crypto.Signer
	// Issuers are nearest first, without the root.
	Issuers []*x509.Certificate
}

// Options say what is in a certificate. The zero value is a server's, with an ECDSA key, valid for a day.
type Options struct {
	// Names are DNS names and addresses; the first is the common name unless Subject has one.
	Names   []string
	Subject pkix.Name
	// RawSubject is a subject in DER, in place of the two.
	RawSubject []byte
	// RSA is the size of an RSA key in bits; 0 takes ECDSA P-256.
	RSA int
	// Client makes it a client's.
	Client bool
	// OCSPSigner lets it sign responses for its issuer (RFC 6960, 4.2.2.2).
	OCSPSigner bool
	// OCSPServers are the URLs of its responders.
	OCSPServers []string
	// MustStaple demands a stapled response (RFC 7633).
	MustStaple          bool
	NotBefore, NotAfter time.Time
}

// New returns a root.
func New(tb testing.TB, name string) *Authority {
	tb.Helper()
	key := newKey(tb, 0)
	certificate := sign(tb, authorityTemplate(tb, name), nil, key.Public(), key)
	return &Authority{tb: tb, Certificate: certificate, Key: key}
}

// Intermediate returns an authority below this one.
func (a *Authority) Intermediate(name string) *Authority {
	a.tb.Helper()
	key := newKey(a.tb, 0)
	certificate := sign(a.tb, authorityTemplate(a.tb, name), a.Certificate, key.Public(), a.Key)
	return &Authority{tb: a.tb, Certificate: certificate, Key: key, issuers: append([]*x509.Certificate{certificate}, a.issuers...)}
}

// IntermediateOf is Intermediate with a subject in DER.
func (a *Authority) IntermediateOf(subject []byte) *Authority {
	a.tb.Helper()
	key := newKey(a.tb, 0)
	template := authorityTemplate(a.tb, "")
	template.RawSubject = subject
	certificate := sign(a.tb, template, a.Certificate, key.Public(), a.Key)
	return &Authority{tb: a.tb, Certificate: certificate, Key: key, issuers: append([]*x509.Certificate{certificate}, a.issuers...)}
}

// Issue returns a certificate.
func (a *Authority) Issue(options Options) Certificate {
	a.tb.Helper()
	template := &x509.Certificate{
		SerialNumber: serial(a.tb), Subject: options.Subject, RawSubject: options.RawSubject, NotBefore: options.NotBefore, NotAfter: options.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		OCSPServer: options.OCSPServers,
	}
	if template.NotBefore.IsZero() {
		template.NotBefore = time.Now().Add(-time.Hour)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(24 * time.Hour)
	}
	for _, name := range options.Names {
		if address := net.ParseIP(name); address != nil {
			template.IPAddresses = append(template.IPAddresses, address)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	if template.Subject.CommonName == "" && len(options.Names) > 0 {
		template.Subject.CommonName = options.Names[0]
	}
	if options.Client {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	if options.OCSPSigner {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
	}
	if options.RSA > 0 {
		template.KeyUsage |= x509.KeyUsageKeyEncipherment
	}
	if options.MustStaple {
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{
			Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}, Value: []byte{0x30, 3, 2, 1, 5}, // status_request
		})
	}
	key := newKey(a.tb, options.RSA)
	return Certificate{Leaf: sign(a.tb, template, a.Certificate, key.Public(), a.Key), Key: key, Issuers: a.issuers}
}

// PEM returns the authority's certificate.
func (a *Authority) PEM() string { return encode("CERTIFICATE", a.Certificate.Raw) }

// Pool trusts the authority.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Certificate)
	return pool
}

// CRL returns the authority's revocation list in PEM, good for a day.
func (a *Authority) CRL(revoked ...Certificate) string {
	a.tb.Helper()
	list := &x509.RevocationList{Number: serial(a.tb), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(24 * time.Hour)}
	for _, certificate := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: certificate.Leaf.SerialNumber, RevocationTime: list.ThisUpdate,
		})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.Certificate, a.Key)
	if err != nil {
		a.tb.Fatal(err)
	}
	return encode("X509 CRL", der)
}

// OCSP returns a response in DER about a certificate; status is one of package ocsp's.
func (a *Authority) OCSP(about Certificate, status int, thisUpdate, nextUpdate time.Time) []byte {
	a.tb.Helper()
	response := ocsp.Response{Status: status, SerialNumber: about.Leaf.SerialNumber, ThisUpdate: thisUpdate, NextUpdate: nextUpdate}
	if status == ocsp.Revoked {
		response.RevokedAt = thisUpdate
	}
	der, err := ocsp.CreateResponse(a.Certificate, a.Certificate, response, a.Key)
	if err != nil {
		a.tb.Fatal(err)
	}
	return der
}

// PEM returns the certificate alone.
func (c Certificate) PEM() string { return encode("CERTIFICATE", c.Leaf.Raw) }

// Intermediates returns the issuers, nearest first, without the root.
func (c Certificate) Intermediates() []string {
	var all []string
	for _, issuer := range c.Issuers {
		all = append(all, encode("CERTIFICATE", issuer.Raw))
	}
	return all
}

// KeyPEM returns the key in PKCS#8.
func (c Certificate) KeyPEM() string {
	der, err := x509.MarshalPKCS8PrivateKey(c.Key)
	if err != nil {
		panic(err) // every key of this package can be encoded
	}
	return encode("PRIVATE KEY", der)
}

// TLS returns the certificate for a client or server of crypto/tls.
func (c Certificate) TLS() tls.Certificate {
	certificate := tls.Certificate{Certificate: [][]byte{c.Leaf.Raw}, PrivateKey: c.Key, Leaf: c.Leaf}
	for _, issuer := range c.Issuers {
		certificate.Certificate = append(certificate.Certificate, issuer.Raw)
	}
	return certificate
}

// Container returns the certificate as octavia-api hands it over.
func (c Certificate) Container() *model.TLSContainer {
	return &model.TLSContainer{
		ID: c.Leaf.SerialNumber.Text(16), PrimaryCN: c.Leaf.Subject.CommonName, Certificate: c.PEM(), PrivateKey: c.KeyPEM(),
		Intermediates: c.Intermediates(),
	}
}

func authorityTemplate(tb testing.TB, name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: serial(tb), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:  x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
	}
}

// sign returns a certificate; without an issuer it is its own.
func sign(tb testing.TB, template, issuer *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	tb.Helper()
	if issuer == nil {
		issuer = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, public, key)
	if err != nil {
		tb.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return certificate
}

func newKey(tb testing.TB, bits int) crypto.Signer {
	tb.Helper()
	var key crypto.Signer
	var err error
	if bits > 0 {
		key, err = rsa.GenerateKey(rand.Reader, bits)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func serial(tb testing.TB) *big.Int {
	tb.Helper()
	const bits = 120
	number, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), bits))
	if err != nil {
		tb.Fatal(err)
	}
	return number
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// DelegatedOCSP returns a response about a certificate that another certificate of the authority signed, which is in it.
func (a *Authority) DelegatedOCSP(about, signer Certificate, thisUpdate, nextUpdate time.Time) []byte {
	a.tb.Helper()
	response := ocsp.Response{
		Status: ocsp.Good, SerialNumber: about.Leaf.SerialNumber, ThisUpdate: thisUpdate, NextUpdate: nextUpdate, Certificate: signer.Leaf,
	}
	der, err := ocsp.CreateResponse(a.Certificate, signer.Leaf, response, signer.Key)
	if err != nil {
		a.tb.Fatal(err)
	}
	return der
}
