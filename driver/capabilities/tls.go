package capabilities

import (
	"fmt"
	"slices"
	"strings"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/xds/ciphers"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// listenerTLS checks the certificates and the TLS of a listener. Octavia fills in versions, ciphers and protocols of listeners
// that have no TLS, too: these are no ask there.
func (c *checker) listenerTLS(o object, l *model.Listener) {
	if l.Protocol != model.ProtocolTerminatedHTTPS {
		if l.Protocol != "" {
			c.noTLS(o, l)
		}
		return
	}
	if l.DefaultTLSContainerRef == "" && !c.partial {
		c.invalid(o, "default_tls_container_ref", "A TERMINATED_HTTPS listener needs a certificate; give it default_tls_container_ref.")
	}
	for _, place := range l.Secrets() {
		c.secret(o, place)
	}
	if l.ClientAuthentication != "" {
		c.choice(o, "client_authentication", l.ClientAuthentication, []string{"NONE", "OPTIONAL", "MANDATORY"}, nil)
	}
	if l.ClientCATLSContainerRef == "" && !c.partial {
		if l.ClientAuthentication == "OPTIONAL" || l.ClientAuthentication == "MANDATORY" {
			c.invalid(o, "client_authentication", "Client certificates are held against client_ca_tls_container_ref, which is missing.")
		}
		if l.ClientCRLContainerRef != "" {
			c.invalid(o, "client_crl_container_ref", "A revocation list belongs to client_ca_tls_container_ref, which is missing.")
		}
	}
	if age := l.HSTSMaxAge; age != nil && *age < 0 {
		c.invalid(o, "hsts_max_age", "hsts_max_age must be 0 or more seconds, not %d.", *age)
	}
	c.tlsParameters(o, l.TLSVersions, l.TLSCiphers, l.ALPNProtocols)
}

// noTLS refuses what only a TERMINATED_HTTPS listener has.
func (c *checker) noTLS(o object, l *model.Listener) {
	for _, attribute := range []struct {
		field string
		set   bool
	}{
		{"default_tls_container_ref", l.DefaultTLSContainerRef != "" || l.DefaultTLSContainer != nil},
		{"sni_container_refs", len(l.SNIContainerRefs)+len(l.SNIContainers) > 0},
		{"client_ca_tls_container_ref", l.ClientCATLSContainerRef != "" || l.ClientCATLSContainer != ""},
		{"client_crl_container_ref", l.ClientCRLContainerRef != "" || l.ClientCRLContainer != ""},
		{"client_authentication", l.ClientAuthentication != "" && l.ClientAuthentication != "NONE"},
		{"hsts_max_age", l.HSTSMaxAge != nil || l.HSTSIncludeSubdomains || l.HSTSPreload},
	} {
		if attribute.set {
			c.unsupported(o, attribute.field, fmt.Sprintf("A listener of protocol %s has no %s; use a TERMINATED_HTTPS listener.",
				plain(l.Protocol), attribute.field))
		}
	}
}

// poolTLS checks the certificates and the TLS to the members of a pool.
func (c *checker) poolTLS(o object, p *model.Pool) {
	if !p.TLSEnabled {
		for _, place := range p.Secrets() {
			if !c.partial {
				c.unsupported(o, secretField(place), "It is for TLS to the members; set tls_enabled, too.")
			}
		}
		return
	}
	if p.Protocol == model.ProtocolUDP {
		c.unsupported(o, "tls_enabled", "TLS to the members is not supported for UDP; leave tls_enabled off.")
	}
	for _, place := range p.Secrets() {
		c.secret(o, place)
	}
	if p.CRLContainerRef != "" && p.CATLSContainerRef == "" && !c.partial {
		c.invalid(o, "crl_container_ref", "A revocation list belongs to ca_tls_container_ref, which is missing.")
	}
	c.tlsParameters(o, p.TLSVersions, p.TLSCiphers, p.ALPNProtocols)
}

// secret refuses a certificate, or a bundle, that Envoy would not take. What has not been read is not judged.
func (c *checker) secret(o object, place model.Secret) {
	if err := translate.CheckSecret(place); err != nil {
		c.unsupported(o, secretField(place), fmt.Sprintf("%s cannot be used: %s.", printable(place.URL, 128), printable(err.Error(), 200)))
	}
}

// tlsParameters checks versions, ciphers and protocols.
func (c *checker) tlsParameters(o object, versions []string, list string, protocols []string) {
	if err := translate.CheckTLSVersions(versions); err != nil {
		c.unsupported(o, "tls_versions", fmt.Sprintf("The TLS versions cannot be served: %s.", printable(err.Error(), 200)))
	}
	old := len(versions) == 0 || !slices.Equal(versions, []string{"TLSv1.3"})
	if selection, err := ciphers.Select(list); list != "" && old && err != nil {
		c.unsupported(o, "tls_ciphers", fmt.Sprintf("Of the ciphers none is supported for TLS 1.2 and below (%s); add for instance "+
			"ECDHE-RSA-AES128-GCM-SHA256 and ECDHE-ECDSA-AES128-GCM-SHA256.", plain(strings.Join(selection.Dropped, ", "))))
	}
	for _, protocol := range protocols {
		c.choice(o, "alpn_protocols", protocol, []string{"h2", "http/1.1", "http/1.0"}, nil)
	}
}

// secretField is the attribute that refers to a secret.
func secretField(place model.Secret) string {
	listener := place.Owner.Kind == model.KindListener
	switch {
	case place.Role == model.RoleDefault:
		return "default_tls_container_ref"
	case place.Role == model.RoleClientCA:
		return "client_ca_tls_container_ref"
	case place.Role == model.RoleClientCRL:
		return "client_crl_container_ref"
	case place.Role == model.RoleClient:
		return "tls_container_ref"
	case place.Role == model.RoleCA:
		return "ca_tls_container_ref"
	case listener:
		return "sni_container_refs"
	}
	return "crl_container_ref"
}
