package secrets

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // Octavia's name for a certificate
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/smallstep/pkcs7"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/xds/privatekey"
)

// fromPKCS12 reads a bundle without a password, as Octavia wants it. No error holds anything of it.
func fromPKCS12(bundle []byte) (*model.TLSContainer, error) {
	if err := checkRounds(bundle, 0); err != nil {
		return nil, err
	}
	key, leaf, issuers, err := pkcs12.DecodeChain(bundle, "")
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return nil, errors.New("it is a PKCS#12 bundle with a password: store one without")
	case err != nil:
		return nil, errors.New("it is no PKCS#12 bundle with a certificate and its key")
	}
	text, err := privatekey.Encode(key)
	if err != nil {
		return nil, err
	}
	return container(leaf, issuers, text), nil
}

// fromParts reads what the secrets of a container hold: texts in PEM; the intermediates as a bundle, or as PKCS#7 in PEM or
// DER, as Octavia reads them. The passphrase opens the key here, and goes no further.
func fromParts(certificate, key, intermediates, passphrase []byte) (*model.TLSContainer, error) {
	chain, err := certificates(certificate)
	if err != nil || len(chain) == 0 {
		return nil, errors.New("its certificate is none in PEM")
	}
	issuers, err := certificates(intermediates)
	if err != nil {
		return nil, errors.New("its intermediates are neither certificates in PEM nor PKCS#7")
	}
	text, err := privatekey.Clear(string(key), string(passphrase))
	if err != nil {
		return nil, err
	}
	return container(chain[0], append(chain[1:], issuers...), text), nil
}

func container(leaf *x509.Certificate, issuers []*x509.Certificate, key string) *model.TLSContainer {
	text := encodePEM("CERTIFICATE", leaf.Raw)
	sum := sha1.Sum([]byte(text)) //nolint:gosec // Octavia's name for a certificate
	made := &model.TLSContainer{
		ID: hex.EncodeToString(sum[:]), PrimaryCN: leaf.Subject.CommonName, Certificate: text, PrivateKey: key,
	}
	for _, issuer := range issuers {
		made.Intermediates = append(made.Intermediates, encodePEM("CERTIFICATE", issuer.Raw))
	}
	return made
}

// certificates reads certificates in PEM, or PKCS#7; none is no error.
func certificates(text []byte) ([]*x509.Certificate, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, nil
	}
	var all []*x509.Certificate
	rest, found := text, false
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		found = true
		switch block.Type {
		case "CERTIFICATE":
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("parse a certificate: %w", err)
			}
			all = append(all, certificate)
		case "PKCS7":
			inside, err := pkcs7.Parse(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("parse PKCS#7: %w", err)
			}
			all = append(all, inside.Certificates...)
		}
	}
	if found {
		return all, nil
	}
	inside, err := pkcs7.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("parse PKCS#7: %w", err)
	}
	return inside.Certificates, nil
}

func encodePEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
