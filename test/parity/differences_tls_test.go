package parity

import (
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
				return d.Where == "response header strict-transport-security" && d.HAProxy == "absent" && len(t.envoy.step(d.Step).Seen) == 0
			},
		},
	}
}
