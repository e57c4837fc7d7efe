package translate

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// A secret's name says where it is used and never what it is (model.Secret.Name): a certificate that is rotated, or gets a
// new OCSP response, changes the Secret alone, and Envoy uses it from the next handshake on. Listeners and clusters, and the
// connections that they hold, are left alone.

// certificateSecret adds a certificate with its chain, its key and what is stapled to it.
//
// Envoy is never given a passphrase: it would protect nothing beside the key that it opens, Envoy's refusal of a wrong one
// would come too late, and BoringSSL opens fewer keys than users have.
func (t *translation) certificateSecret(place model.Secret) error {
	container := place.Certificate()
	key, err := clearKey(container)
	if err != nil {
		return err // checkTLS has refused it
	}
	certificate := &tlsv3.TlsCertificate{
		CertificateChain: inline(chainOf(container)),
		PrivateKey:       inline([]byte(key)),
	}
	if len(container.OCSPResponse) > 0 {
		certificate.OcspStaple = inline(container.OCSPResponse)
	}
	return t.secret(place.Owner, &tlsv3.Secret{
		Name: place.Name(), Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: certificate},
	})
}

// validationSecret adds the authorities, and their revocation list, that the certificates of the other side are held
// against. Without a list nothing is revoked; with one, every authority in a chain needs its own, as with HAProxy.
func (t *translation) validationSecret(authorities model.Secret, revoked model.PEM) error {
	validation := &tlsv3.CertificateValidationContext{TrustedCa: inline([]byte(authorities.PEM()))}
	if revoked != "" {
		validation.Crl = inline([]byte(revoked))
	}
	return t.secret(authorities.Owner, &tlsv3.Secret{
		Name: authorities.Name(), Type: &tlsv3.Secret_ValidationContext{ValidationContext: validation},
	})
}

func (t *translation) secret(owner model.Ref, secret *tlsv3.Secret) error {
	if err := secret.ValidateAll(); err != nil {
		return err
	}
	t.out.Secrets[secret.GetName()] = secret
	t.out.Owners[Key{resourcev3.SecretType, secret.GetName()}] = owner
	return nil
}

// secretByName is how listeners and clusters refer to a secret.
func secretByName(name string) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: ADSConfigSource()}
}

// chainOf joins a certificate and its issuers, in the order in which they are sent.
func chainOf(container *model.TLSContainer) []byte {
	var chain bytes.Buffer
	for _, certificate := range append([]string{container.Certificate}, inOrder(container.Certificate, container.Intermediates)...) {
		chain.WriteString(strings.TrimSpace(certificate))
		chain.WriteByte('\n')
	}
	return chain.Bytes()
}

// inOrder puts issuers in the order of the chain; what is not of it comes last, as it was. Clients may insist on the order
// (RFC 5246, 7.4.2), and users' bundles, which octavia-api hands over as they are, have any.
func inOrder(leaf string, issuers []string) []string {
	rest := slices.Clone(issuers)
	chain := make([]string, 0, len(issuers))
	for last := parsed(leaf); last != nil && !bytes.Equal(last.RawSubject, last.RawIssuer); last = parsed(chain[len(chain)-1]) {
		next := slices.IndexFunc(rest, func(text string) bool {
			candidate := parsed(text)
			return candidate != nil && bytes.Equal(candidate.RawSubject, last.RawIssuer)
		})
		if next < 0 {
			break
		}
		chain = append(chain, rest[next])
		rest = slices.Delete(rest, next, next+1)
	}
	return append(chain, rest...)
}

// parsed returns the first certificate of a text in PEM, nil for none.
func parsed(text string) *x509.Certificate {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	return certificate
}

func inline(content []byte) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: content}}
}
