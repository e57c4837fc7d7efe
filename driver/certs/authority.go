package certs

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"time"
)

const (
	// DefaultLife is how long a client's certificate is valid, as an amphora's is in Octavia (certificates.cert_validity_time).
	DefaultLife = 30 * 24 * time.Hour

	authorityLife = 10 * 365 * 24 * time.Hour
	serverLife    = 30 * 24 * time.Hour
	// clockSkew is how far the clocks of two hosts may be apart: certificates are valid from that long ago.
	clockSkew = 5 * time.Minute
)

// Authority issues certificates. Its methods are safe for concurrent use.
type Authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	pool        *x509.CertPool
	now         func() time.Time
}

func newAuthority(key *ecdsa.PrivateKey, certificate *x509.Certificate, now func() time.Time) *Authority {
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	return &Authority{key: key, certificate: certificate, pool: pool, now: now}
}

// CA returns the authority's certificate in PEM; it is public.
func (a *Authority) CA() []byte { return encodeCertificate(a.certificate.Raw) }

// Pool returns a pool that trusts this authority and nothing else.
func (a *Authority) Pool() *x509.CertPool { return a.pool.Clone() }

// String returns the SHA-256 of the authority's certificate.
func (a *Authority) String() string {
	sum := sha256.Sum256(a.certificate.Raw)
	return "authority sha256:" + hex.EncodeToString(sum[:])
}

// Format keeps every verb of fmt from printing the key.
func (a *Authority) Format(state fmt.State, _ rune) { _, _ = state.Write([]byte(a.String())) }

// LogValue keeps slog from printing the key.
func (a *Authority) LogValue() slog.Value { return slog.StringValue(a.String()) }

// IssueAmphora signs the key of a signing request (see NewKey) for an amphora. Whatever names the request asks for are
// ignored. life 0 is DefaultLife. It returns the chain in PEM, the leaf only since the authority is the root.
func (a *Authority) IssueAmphora(amphoraID string, csrPEM []byte, life time.Duration) ([]byte, error) {
	public, err := publicKeyOf(csrPEM)
	if err != nil {
		return nil, fmt.Errorf("certificate for amphora %s: %w", amphoraID, err)
	}
	return a.issueClient(RoleAmphora, amphoraID, public, life)
}

// AmphoraCredentials makes the first key of an amphora together with its certificate; the amphora rotates both itself.
func (a *Authority) AmphoraCredentials(amphoraID string, life time.Duration) (*Credentials, error) {
	return a.credentials(RoleAmphora, amphoraID, life)
}

// IssueOperator makes a key and certificate for the operator API. life 0 is DefaultLife.
func (a *Authority) IssueOperator(name string, life time.Duration) (*Credentials, error) {
	return a.credentials(RoleOperator, name, life)
}

// IssueClient makes a key and certificate for the shim in an octavia-api, named by its host. life 0 is DefaultLife.
func (a *Authority) IssueClient(name string, life time.Duration) (*Credentials, error) {
	return a.credentials(RoleAPI, name, life)
}

func (a *Authority) credentials(role Role, name string, life time.Duration) (*Credentials, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	certificate, err := a.issueClient(role, name, &key.PublicKey, life)
	if err != nil {
		return nil, err
	}
	encoded, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	return &Credentials{Certificate: certificate, Key: encoded, CA: a.CA()}, nil
}

func (a *Authority) issueClient(role Role, name string, public *ecdsa.PublicKey, life time.Duration) ([]byte, error) {
	uri, err := identityURI(role, name)
	if err != nil {
		return nil, err
	}
	if life <= 0 {
		life = DefaultLife
	}
	der, err := a.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		URIs:        []*url.URL{uri},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, public, life)
	if err != nil {
		return nil, fmt.Errorf("certificate for %s %s: %w", role, name, err)
	}
	return encodeCertificate(der), nil
}

func (a *Authority) sign(template *x509.Certificate, public *ecdsa.PublicKey, life time.Duration) ([]byte, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	now := a.now()
	template.SerialNumber = serial
	template.NotBefore, template.NotAfter = now.Add(-clockSkew), now.Add(life)
	if template.NotAfter.After(a.certificate.NotAfter) {
		template.NotAfter = a.certificate.NotAfter
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	return x509.CreateCertificate(rand.Reader, template, a.certificate, public, a.key)
}

func (a *Authority) issueServer(dnsNames []string, ips []net.IP) (*ecdsa.PrivateKey, []byte, error) {
	key, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	der, err := a.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: ServerName},
		DNSNames:    dnsNames,
		IPAddresses: ips,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, &key.PublicKey, serverLife)
	if err != nil {
		return nil, nil, fmt.Errorf("controller's server certificate: %w", err)
	}
	return key, der, nil
}

func newSerial() (*big.Int, error) {
	// RFC 5280, 4.1.2.2: positive, at most 20 octets.
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 158))
	if err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	return serial.Add(serial, big.NewInt(1)), nil
}
