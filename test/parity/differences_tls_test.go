package parity

import (
	"slices"
	"strings"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// tlsDifferences are about TLS, of clients and to members.
func tlsDifferences() []allowed {
	return []allowed{
		{
			"case of server names", "Members are asked for a server name in lower case, whatever the client's: RFC 6066, 3 does not tell them apart.",
			func(_ *trial, d *difference) bool {
				return d.Where == "TLS to the member" && d.HAProxy != d.Envoy && strings.EqualFold(d.HAProxy, d.Envoy)
			},
		},
		{
			"ALPN to members", "Envoy offers http/1.1 to the members of an HTTP pool without alpn_protocols, HAProxy nothing.",
			func(t *trial, d *difference) bool {
				return d.Where == "TLS to the member" && strings.EqualFold(strings.ReplaceAll(d.HAProxy, `ALPN ""`, `ALPN "http/1.1"`), d.Envoy)
			},
		},
		{
			"capitals in server names", "A defect of Envoy 1.40: a client that writes the server name with capitals, as no browser does, gets the default certificate, " +
				"against RFC 6066, 3.",
			func(t *trial, d *difference) bool {
				return d.Where == "TLS certificate" && t.exchange.TLS.SNI != strings.ToLower(t.exchange.TLS.SNI) && d.Envoy == t.listener().DefaultTLSContainerRef
			},
		},
		{
			"names before wildcards", "A client that can do ECDSA gets an ECDSA certificate with a wildcard from HAProxy, even when there is an RSA one of the very name. " +
				"Envoy takes the one of the name, and so refuses the few that can do ECDSA alone.",
			func(t *trial, d *difference) bool {
				return d.Where == "TLS certificate" && d.HAProxy == "wild" && d.Envoy == "www-rsa" ||
					t.refusedByEnvoy(func(h handshake) bool { return h.Certificate == "wild" && t.exchange.TLS.Ciphers != nil })
			},
		},
		{
			"RSA ciphers, ECDSA signatures", "A client of TLS 1.2 that takes ECDSA signatures and offers ciphers for RSA alone is refused by Envoy where an ECDSA certificate has its " +
				"server name beside the RSA one. OpenSSL looks at the ciphers, too.",
			func(t *trial, _ *difference) bool {
				return t.refusedByEnvoy(func(h handshake) bool {
					return strings.HasSuffix(h.Certificate, "-rsa") && slices.ContainsFunc(t.exchange.TLS.Ciphers, func(name string) bool { return strings.Contains(name, "_RSA_") })
				})
			},
		},
		{
			"names without a cipher", "Where the certificate of a server name has an ECDSA key and the ciphers of the listener or of the client are for RSA alone, HAProxy refuses. Envoy " +
				"gives the RSA one that is the default.",
			func(t *trial, _ *difference) bool {
				l := t.listener()
				return t.exchange.TLS != nil && t.exchange.TLS.SNI != "" && l.DefaultTLSContainerRef == "default-rsa" &&
					slices.ContainsFunc(l.SNIContainerRefs, func(name string) bool { return bits(name) == 0 }) &&
					slices.ContainsFunc(t.haproxy.Handshakes, func(h handshake) bool { return h.Refused }) &&
					slices.ContainsFunc(t.envoy.Handshakes, func(h handshake) bool { return h.Certificate == "default-rsa" && h.Version == "TLS 1.2" })
			},
		},
		{
			"long subjects", "HAProxy answers 500 when what it inserts about the client's certificate does not fit into its 16 KB any more.",
			func(t *trial, d *difference) bool {
				return t.exchange.TLS != nil && t.exchange.TLS.Certificate == "long" && t.came(d, "status 500", "*")
			},
		},
		{
			"TLS 1.0 and 1.1", "OpenSSL 3 refuses both at the security level that Debian and Ubuntu give it, whatever tls_versions says. Envoy does them when tls_versions asks for them.",
			func(t *trial, d *difference) bool {
				client := t.exchange.TLS
				return client != nil && (client.Version == "TLSv1" || client.Version == "TLSv1.1") && slices.Contains(t.listener().TLSVersions, client.Version) &&
					t.haproxy.Connect == refused && t.envoy.Connect == ""
			},
		},
		{
			"authorities that are no roots", "Clients are good whose certificates are signed by an authority below the root when client_ca_tls_container_ref has that authority alone. " +
				"HAProxy wants its root, too.",
			func(t *trial, d *difference) bool {
				client := t.exchange.TLS
				return client != nil && strings.HasSuffix(client.Certificate, "below") && t.listener().ClientCATLSContainerRef == lowerCA &&
					slices.ContainsFunc(t.haproxy.Handshakes, func(h handshake) bool { return h.Refused }) &&
					!slices.ContainsFunc(t.envoy.Handshakes, func(h handshake) bool { return h.Refused })
			},
		},
		{
			"ALPN of upgrades", "For an upgrade to WebSocket HAProxy offers http/1.1 alone to members of pools with alpn_protocols, Envoy what these say: members that " +
				"take h2 get an extended CONNECT (RFC 8441).",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				return r != nil && r.names("upgrade", "websocket") && d.Where == "TLS to the member" && strings.Contains(d.HAProxy, `ALPN "http/1.1"`)
			},
		},
		{
			"TLS in PROXYV2", "HAProxy tells members of PROXYV2 pools behind TERMINATED_HTTPS of the client's TLS and of its certificate's CN. Envoy does not.",
			func(t *trial, d *difference) bool {
				h, _, _ := strings.Cut(strings.TrimPrefix(d.HAProxy, "2 "), ", then ")
				e, _, _ := strings.Cut(strings.TrimPrefix(d.Envoy, "2 "), ", then ")
				_, h, _ = strings.Cut(h, " ") // the length is in front
				_, e, _ = strings.Cut(e, " ")
				return d.Where == "PROXY header" && t.listener().Protocol == model.ProtocolTerminatedHTTPS && strings.HasSuffix(d.Envoy, ", then ") && h == e
			},
		},
		{
			"HSTS of own answers", "Envoy's own answers have Strict-Transport-Security, too, as RFC 6797, 7.1 recommends. HAProxy's do not.",
			func(t *trial, d *difference) bool {
				return d.Where == "response header strict-transport-security" && d.HAProxy == "absent" &&
					t.envoy.step(d.Step).Response.value(headerMember) == ""
			},
		},
	}
}

// refusedByEnvoy reports whether Envoy refused a handshake of the exchange, and how HAProxy did not.
func (t *trial) refusedByEnvoy(how func(haproxy handshake) bool) bool {
	if t.exchange.TLS == nil {
		return false
	}
	for i := range min(len(t.haproxy.Handshakes), len(t.envoy.Handshakes)) {
		if h := t.haproxy.Handshakes[i]; !h.Refused && t.envoy.Handshakes[i].Refused && how(h) {
			return true
		}
	}
	return false
}
