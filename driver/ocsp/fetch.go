package ocsp

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/crypto/ocsp"
)

// maxResponse is above what any responder sends, in bytes.
const maxResponse = 64 << 10

// fetch asks the responders of a certificate in turn, until one has a response that can be stapled.
func (s *Stapler) fetch(ctx context.Context, about *subject, now time.Time) ([]byte, *ocsp.Response, error) {
	// SHA-1 is the one hash that all responders know (RFC 5019, 2.1.1); it only names the issuer.
	request, err := ocsp.CreateRequest(about.leaf, about.issuer, &ocsp.RequestOptions{Hash: crypto.SHA1})
	if err != nil {
		return nil, nil, fmt.Errorf("ask about the certificate: %w", err)
	}
	var problems []error
	for _, responder := range about.responders {
		der, err := s.post(ctx, responder, request)
		if err == nil {
			var response *ocsp.Response
			if response, err = check(der, about, now); err == nil {
				return der, response, nil
			}
		}
		problems = append(problems, fmt.Errorf("responder %.256s: %w", responder, err))
	}
	return nil, nil, errors.Join(problems...)
}

func (s *Stapler) post(ctx context.Context, responder string, body []byte) ([]byte, error) {
	target, err := url.Parse(responder)
	if err != nil {
		return nil, err
	}
	if err := s.Guard.literal(ctx, target); err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, responder, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/ocsp-request")
	request.Header.Set("Accept", "application/ocsp-response")
	request.Header.Set("User-Agent", "octavia-envoy")
	answer, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s", answer.Status)
	}
	if kind, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type")); err != nil || kind != "application/ocsp-response" {
		return nil, fmt.Errorf("it answers with %.64q and not with a response", answer.Header.Get("Content-Type"))
	}
	der, err := io.ReadAll(io.LimitReader(answer.Body, maxResponse+1))
	if err != nil {
		return nil, err
	}
	if len(der) > maxResponse {
		return nil, fmt.Errorf("its response has more than %d bytes", maxResponse)
	}
	return der, nil
}
