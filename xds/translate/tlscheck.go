package translate

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/xds/ciphers"
	"github.com/octavia-envoy/octavia-envoy/xds/privatekey"
)

// checkTLS reports everything about the TLS of a TERMINATED_HTTPS listener that cannot be served. Envoy would refuse the
// secret, or with one bad cipher the listener, in words that no user knows.
func (t *translation) checkTLS(listener *model.Listener, refuse func(field, reason string)) {
	if listener.DefaultTLSContainerRef == "" {
		refuse("default_tls_container_ref", "a TERMINATED_HTTPS listener needs a certificate")
	}
	for _, place := range listener.Secrets() {
		if place.Role == model.RoleClientCRL && listener.ClientCATLSContainerRef == "" {
			refuse(secretField(place), "a revocation list needs client_ca_tls_container_ref beside it")
		}
		if place.Missing() {
			refuse(secretField(place), fmt.Sprintf("what %.128s refers to could not be read", place.URL))
		} else if err := errors.Join(CheckSecret(place), mustStaple(place)); err != nil {
			refuse(secretField(place), err.Error())
		}
	}
	switch listener.ClientAuthentication {
	case "", clientAuthNone:
	case clientAuthOptional, clientAuthMandatory:
		if listener.ClientCATLSContainerRef == "" {
			refuse("client_authentication", "client certificates need client_ca_tls_container_ref, to hold them against")
		}
	default:
		refuse("client_authentication", fmt.Sprintf("%.32q is not NONE, OPTIONAL or MANDATORY", listener.ClientAuthentication))
	}
	checkTLSParameters(listener.TLSVersions, listener.TLSCiphers, refuse)
	checkALPN(listener.ALPNProtocols, refuse)
	if listener.HSTSMaxAge != nil && *listener.HSTSMaxAge < 0 {
		refuse("hsts_max_age", fmt.Sprintf("%d is no number of seconds", *listener.HSTSMaxAge))
	}
}

// checkTLSParameters is for listeners and pools alike.
func checkTLSParameters(versions []string, list string, refuse func(field, reason string)) {
	if _, _, err := tlsRange(versions); err != nil {
		refuse("tls_versions", err.Error())
		return
	}
	if _, err := tlsParameters(versions, list); errors.Is(err, ciphers.ErrNone) {
		refuse("tls_ciphers", "none of the ciphers is supported for TLS 1.2 and below: use some of ECDHE-RSA-AES128-GCM-SHA256, "+
			"ECDHE-ECDSA-AES128-GCM-SHA256, ECDHE-RSA-CHACHA20-POLY1305 and the like")
	}
}

func checkALPN(protocols []string, refuse func(field, reason string)) {
	for _, protocol := range protocols {
		if protocol != "h2" && protocol != "http/1.1" && protocol != "http/1.0" {
			refuse("alpn_protocols", fmt.Sprintf("%.32q is not supported: use h2, http/1.1 or http/1.0", protocol))
		}
	}
}

// checkNoTLS refuses what only a TERMINATED_HTTPS listener does, and what would leave a listener open if it were ignored. The
// versions, ciphers and protocols of TLS mean nothing without it: Octavia fills in its defaults.
func checkNoTLS(listener *model.Listener, refuse func(field, reason string)) {
	for _, reference := range []struct {
		field string
		set   bool
	}{
		{"default_tls_container_ref", listener.DefaultTLSContainerRef != "" || listener.DefaultTLSContainer != nil},
		{"sni_container_refs", len(listener.SNIContainerRefs)+len(listener.SNIContainers) > 0},
		{"client_ca_tls_container_ref", listener.ClientCATLSContainerRef != "" || listener.ClientCATLSContainer != ""},
		{"client_crl_container_ref", listener.ClientCRLContainerRef != "" || listener.ClientCRLContainer != ""},
		{"client_authentication", listener.ClientAuthentication != "" && listener.ClientAuthentication != clientAuthNone},
		{"hsts_max_age", listener.HSTSMaxAge != nil || listener.HSTSIncludeSubdomains || listener.HSTSPreload},
	} {
		if reference.set {
			refuse(reference.field, "only a TERMINATED_HTTPS listener can have it")
		}
	}
}

// checkMemberTLS reports everything about TLS to the members of a pool that cannot be served. Its versions, ciphers and
// protocols mean nothing where it is off.
func checkMemberTLS(pool *model.Pool, refuse func(field, reason string)) {
	if !pool.TLSEnabled {
		for _, place := range pool.Secrets() {
			refuse(secretField(place), "it needs tls_enabled")
		}
		return
	}
	if pool.Protocol == model.ProtocolUDP {
		refuse("tls_enabled", "TLS is not supported for UDP")
	}
	for _, place := range pool.Secrets() {
		if place.Role == model.RoleCRL && pool.CATLSContainerRef == "" {
			refuse(secretField(place), "a revocation list needs ca_tls_container_ref beside it")
		}
		if place.Missing() {
			refuse(secretField(place), fmt.Sprintf("what %.128s refers to could not be read", place.URL))
		} else if err := CheckSecret(place); err != nil {
			refuse(secretField(place), err.Error())
		}
	}
	checkTLSParameters(pool.TLSVersions, pool.TLSCiphers, refuse)
	checkALPN(pool.ALPNProtocols, refuse)
}

// secretField is the attribute that refers to a secret.
func secretField(place model.Secret) string {
	switch {
	case place.Role == model.RoleDefault:
		return "default_tls_container_ref"
	case strings.HasPrefix(place.Role, "sni/"):
		return "sni_container_refs"
	case place.Role == model.RoleClientCA:
		return "client_ca_tls_container_ref"
	case place.Role == model.RoleClientCRL:
		return "client_crl_container_ref"
	case place.Role == model.RoleClient:
		return "tls_container_ref"
	case place.Role == model.RoleCA:
		return "ca_tls_container_ref"
	}
	return "crl_container_ref"
}

// CheckSecret says why Envoy would not take what a place of a tree holds; nil for a place that holds nothing. No error holds
// any of it.
func CheckSecret(place model.Secret) error {
	switch {
	case place.Missing():
		return nil
	case place.IsCertificate():
		return checkCertificate(place.Certificate(), place.Owner.Kind == model.KindListener)
	case place.Role == model.RoleClientCRL || place.Role == model.RoleCRL:
		return checkBundle(place.PEM(), "X509 CRL", func(der []byte) error { _, err := x509.ParseRevocationList(der); return err })
	}
	return checkBundle(place.PEM(), "CERTIFICATE", func(der []byte) error { _, err := x509.ParseCertificate(der); return err })
}

// minRSABits is BoringSSL's: Envoy refuses certificates with shorter RSA keys.
const minRSABits = 2048

// checkCertificate checks one of a listener's, which are chosen by their names, or the one that members are shown.
func checkCertificate(container *model.TLSContainer, ofListener bool) error {
	leaf, err := keyPair(container)
	if err != nil {
		return err
	}
	if ofListener && !hasName(leaf) {
		return errors.New("it has no name: Envoy needs a subject alternative name or a common name")
	}
	switch key := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSABits {
			return fmt.Errorf("its RSA key has %d bits: Envoy needs %d at least", key.N.BitLen(), minRSABits)
		}
	case *ecdsa.PublicKey:
		if bits := key.Curve.Params().BitSize; bits != 256 && bits != 384 && bits != 521 {
			return fmt.Errorf("its key is on the curve %s: Envoy has P-256, P-384 and P-521", key.Curve.Params().Name)
		}
	default:
		return errors.New("its key is neither RSA nor ECDSA, which are what Envoy has")
	}
	return nil
}

// keyPair returns the certificate when its key is its own.
func keyPair(container *model.TLSContainer) (*x509.Certificate, error) {
	const unfit = "the certificate and its key cannot be used together: "
	key, err := clearKey(container)
	if err != nil {
		return nil, fmt.Errorf(unfit+"%w", err)
	}
	pair, err := tls.X509KeyPair(chainOf(container), []byte(key))
	if err != nil {
		// Its words are about the kind of mistake, and hold nothing of the key.
		return nil, fmt.Errorf(unfit+"%.200s", strings.TrimPrefix(err.Error(), "tls: "))
	}
	return pair.Leaf, nil
}

// clearKey returns the key in clear. Octavia hands keys over so, and package secrets opens those that it reads.
func clearKey(container *model.TLSContainer) (string, error) {
	if !privatekey.Encrypted(container.PrivateKey) {
		return container.PrivateKey, nil
	}
	return privatekey.Clear(container.PrivateKey, container.Passphrase)
}

// hasName reports whether a certificate has what Envoy demands of a server's: a subject alternative name of any kind, or a
// common name.
func hasName(certificate *x509.Certificate) bool {
	for _, extension := range certificate.Extensions {
		if extension.Id.String() == "2.5.29.17" {
			return true
		}
	}
	for _, attribute := range certificate.Subject.Names {
		if attribute.Type.String() == "2.5.4.3" {
			return true
		}
	}
	return false
}

// mustStaple refuses a certificate that clients may take with a stapled response alone (RFC 7633) while there is none.
// Envoy would refuse it, too.
func mustStaple(place model.Secret) error {
	if container := place.Certificate(); demandsStaple(container) && len(container.OCSPResponse) == 0 {
		return errors.New("the certificate demands a stapled OCSP response (must-staple) and its responder has given none yet")
	}
	return nil
}

func demandsStaple(container *model.TLSContainer) bool {
	if container == nil {
		return false
	}
	block, _ := pem.Decode([]byte(container.Certificate))
	if block == nil {
		return false
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return false // CheckSecret has said so
	}
	return slices.ContainsFunc(certificate.Extensions, func(extension pkix.Extension) bool {
		return extension.Id.String() == "1.3.6.1.5.5.7.1.24"
	})
}

// checkBundle parses all blocks of one type; there has to be one.
func checkBundle(bundle model.PEM, blockType string, parse func(der []byte) error) error {
	found := false
	for rest := []byte(bundle); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != blockType {
			continue
		}
		if err := parse(block.Bytes); err != nil {
			return fmt.Errorf("a block of it is no %s: %w", blockType, err)
		}
		found = true
	}
	if !found {
		return fmt.Errorf("it holds no block of type %s in PEM", blockType)
	}
	return nil
}
