package ocsp

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// subject is a certificate that has a responder.
type subject struct {
	// fingerprint is the SHA-256 of the certificate in hex.
	fingerprint string
	leaf        *x509.Certificate
	issuer      *x509.Certificate
	// responders are the URLs of those to ask, in the order of the certificate.
	responders []string
}

// errNoResponder says that there is nobody to ask about a certificate, which is usual.
var errNoResponder = errors.New("the certificate names no OCSP responder")

// maxResponders bounds how many URLs of one certificate are tried.
const maxResponders = 3

// subjectOf reads a certificate of a tree. The issuer has to be among the intermediates: without it there is neither a
// question nor a way to check the answer.
func subjectOf(container *model.TLSContainer) (*subject, error) {
	leaf, err := parse(container.Certificate)
	if err != nil {
		return nil, err
	}
	var responders []string
	for _, text := range leaf.OCSPServer {
		if responder, err := url.Parse(text); err == nil && (responder.Scheme == "http" || responder.Scheme == "https") && responder.Host != "" {
			responders = append(responders, text)
		}
	}
	if len(responders) == 0 {
		return nil, errNoResponder
	}
	var issuer *x509.Certificate
	for _, text := range container.Intermediates {
		candidate, err := parse(text)
		if err == nil && bytes.Equal(candidate.RawSubject, leaf.RawIssuer) && leaf.CheckSignatureFrom(candidate) == nil {
			issuer = candidate
		}
	}
	if issuer == nil {
		return nil, errors.New("its issuer is not among the intermediate certificates: nothing can be stapled")
	}
	sum := sha256.Sum256(leaf.Raw)
	return &subject{
		fingerprint: hex.EncodeToString(sum[:]), leaf: leaf, issuer: issuer,
		responders: slices.Clip(responders[:min(len(responders), maxResponders)]),
	}, nil
}

func parse(text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("it is no certificate in PEM")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("it is no certificate: %w", err)
	}
	return certificate, nil
}
