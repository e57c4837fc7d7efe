package capabilities

import (
	"slices"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// octavia-api writes these into a listener or pool whose tls_versions, tls_ciphers or alpn_protocols a user clears, even
// when there is no TLS (listener.py, _set_default_on_none; defaults of [api_settings]). They are not an ask.

func asksForTLSVersions(versions []string) bool {
	return len(versions) > 0 && !slices.Equal(versions, []string{"TLSv1.2", "TLSv1.3"})
}

func asksForALPN(protocols []string) bool {
	return len(protocols) > 0 && !slices.Equal(protocols, []string{"h2", "http/1.1", "http/1.0"})
}

func asksForTLSCiphers(ciphers string) bool {
	const owaspSuiteB = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:" +
		"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:" +
		"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:" +
		"DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305"
	return ciphers != "" && ciphers != owaspSuiteB
}

func poolTLSRefusals() []refusal[model.Pool] {
	const instead = " not supported yet; use a pool without it, and an HTTPS pool to pass TLS through to the members."
	return []refusal[model.Pool]{
		{"tls_enabled", func(p *model.Pool) bool { return p.TLSEnabled }, "TLS to the members is" + instead},
		{
			"tls_container_ref", func(p *model.Pool) bool { return p.TLSContainerRef != "" || p.TLSContainer != nil },
			"A client certificate for the members is" + instead,
		},
		{
			"ca_tls_container_ref", func(p *model.Pool) bool { return p.CATLSContainerRef != "" || p.CATLSContainer != "" },
			"A CA for the members is" + instead,
		},
		{
			"crl_container_ref", func(p *model.Pool) bool { return p.CRLContainerRef != "" || p.CRLContainer != "" },
			"A revocation list for the members is" + instead,
		},
		{
			"tls_versions", func(p *model.Pool) bool { return asksForTLSVersions(p.TLSVersions) },
			"A choice of TLS versions to the members is" + instead,
		},
		{
			"tls_ciphers", func(p *model.Pool) bool { return asksForTLSCiphers(p.TLSCiphers) },
			"A choice of TLS ciphers to the members is" + instead,
		},
		{
			"alpn_protocols", func(p *model.Pool) bool { return asksForALPN(p.ALPNProtocols) },
			"A choice of ALPN protocols to the members is" + instead,
		},
	}
}
