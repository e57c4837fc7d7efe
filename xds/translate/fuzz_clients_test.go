package translate_test

import (
	"strings"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// clients makes what a listener has about the certificates of clients fit, most of the time.
func (g *generator) clients(listener *model.Listener) {
	terminates := listener.Protocol == model.ProtocolTerminatedHTTPS
	for name := range listener.InsertHeaders {
		if strings.HasPrefix(name, "X-SSL-") && !terminates && !g.hostile() {
			delete(listener.InsertHeaders, name)
		}
	}
	for i := range listener.L7Policies {
		for j := range listener.L7Policies[i].Rules {
			g.clientRule(&listener.L7Policies[i].Rules[j], terminates)
		}
	}
}

func (g *generator) clientRule(rule *model.L7Rule, terminates bool) {
	if strings.HasPrefix(rule.Type, "SSL_") && !terminates && !g.hostile() {
		rule.Type = model.L7TypePath
	}
	if g.hostile() {
		return
	}
	switch rule.Type {
	case model.L7TypeSSLConnHasCert:
		rule.Key, rule.CompareType, rule.Value = "", model.L7CompareEqualTo, "True"
	case model.L7TypeSSLVerifyResult:
		rule.Key, rule.CompareType, rule.Value = "", model.L7CompareEqualTo, pick(g, []string{"0", "1", "00", strings.Repeat("9", 255)})
	case model.L7TypeSSLDNField:
		rule.Key = pick(g, []string{"CN", "ou", "emailAddress", "x500UniqueIdentifier", "C"})
	}
}
