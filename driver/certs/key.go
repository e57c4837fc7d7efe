package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
)

// KeyPEM is a private key, PKCS#8 in PEM. It never prints itself: every fmt verb, slog and encoding/json show a placeholder.
// Convert it to []byte to write it to a file of mode 0600.
type KeyPEM []byte

const redacted = "[private key]"

// Format keeps every verb of fmt, %x and %d too, from printing the key.
func (KeyPEM) Format(state fmt.State, _ rune) { _, _ = state.Write([]byte(redacted)) }

// String returns a placeholder.
func (KeyPEM) String() string { return redacted }

// LogValue keeps slog from printing the key.
func (KeyPEM) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText keeps encoders from printing the key.
func (KeyPEM) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Credentials are what one client needs to prove itself and to know the controller.
type Credentials struct {
	// Certificate is the client's certificate in PEM, the leaf only.
	Certificate []byte
	// Key is the private key of Certificate.
	Key KeyPEM
	// CA is the authority's certificate in PEM.
	CA []byte
}

// NewKey makes a private key (ECDSA P-256) and a signing request for it. The request asks for no name: the authority decides
// who the holder is, by the connection that the request came on.
func NewKey() (KeyPEM, []byte, error) {
	key, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return nil, nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{}}, key)
	if err != nil {
		return nil, nil, fmt.Errorf("make signing request: %w", err)
	}
	return keyPEM, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}), nil
}

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make private key: %w", err)
	}
	return key, nil
}

func encodeKey(key *ecdsa.PrivateKey) (KeyPEM, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, errors.New("encode private key") // the cause is dropped: it could quote the key
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func decodeKey(data []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("want a PEM block PRIVATE KEY (PKCS#8)")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("not a PKCS#8 private key") // the cause is dropped: it could quote the key
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("want an ECDSA key, got %T", parsed)
	}
	return key, nil
}

func decodeCertificate(data []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("want a PEM block CERTIFICATE")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parse certificate: %w", err)
	}
	return certificate, nil
}

func encodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// publicKeyOf returns the public key of a signing request after checking that the sender holds the private one.
func publicKeyOf(csrPEM []byte) (*ecdsa.PublicKey, error) {
	block, _ := pem.Decode(csrPEM)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, errors.New("want a PEM block CERTIFICATE REQUEST")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parse signing request: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("signing request: %w", err)
	}
	public, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok || public.Curve != elliptic.P256() {
		return nil, errors.New("signing request: want an ECDSA P-256 key")
	}
	return public, nil
}
