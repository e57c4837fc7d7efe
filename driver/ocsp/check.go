package ocsp

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"
)

// clockSkew is how far a responder's clock may be ahead of ours.
const clockSkew = 5 * time.Minute

// ErrRevoked says that the issuer took the certificate back. That is not stapled: clients that care learn it from the
// issuer, and the operator from the log and the metric.
var ErrRevoked = errors.New("the certificate is revoked")

// check parses a response and says why it must not be stapled (RFC 6960, 3.2): it has to be about the certificate, signed by
// its issuer or by whom the issuer let sign, of now, and good.
func check(der []byte, about *subject, now time.Time) (*ocsp.Response, error) {
	response, err := ocsp.ParseResponseForCert(der, about.leaf, about.issuer)
	if err != nil {
		return nil, fmt.Errorf("the response cannot be used: %w", err)
	}
	if delegate := response.Certificate; delegate != nil && !delegate.Equal(about.issuer) {
		// That the issuer signed it has been checked; that it may sign responses has not (4.2.2.2).
		switch {
		case !slices.Contains(delegate.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
			return nil, errors.New("the response is signed by a certificate that may not sign responses")
		case now.Before(delegate.NotBefore.Add(-clockSkew)) || now.After(delegate.NotAfter):
			return nil, errors.New("the response is signed by a certificate that is not valid now")
		}
	}
	switch {
	case response.ThisUpdate.After(now.Add(clockSkew)):
		return nil, fmt.Errorf("the response is of the future: %s", response.ThisUpdate)
	case response.NextUpdate.IsZero():
		// Envoy takes such a response for expired.
		return nil, errors.New("the response does not say until when it is good")
	case !response.NextUpdate.After(now):
		return nil, fmt.Errorf("the response is late: it was good until %s", response.NextUpdate)
	}
	switch response.Status {
	case ocsp.Good:
		return response, nil
	case ocsp.Revoked:
		return nil, fmt.Errorf("%w since %s", ErrRevoked, response.RevokedAt)
	}
	return nil, errors.New("the responder does not know the certificate")
}
