package capabilities_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/octavia-envoy/octavia-envoy/driver/capabilities"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// secureRule is a rule of a listener that terminates TLS.
func secureRule(t *testing.T, f func(*model.L7Rule)) change {
	t.Helper()
	return func(lb *model.LoadBalancer) {
		secure(t, lb)
		onRule(f)(lb)
	}
}

// clientsRefused is what is wrong with or not supported of headers and rules about the certificates of clients.
func clientsRefused(t *testing.T) map[string]l7Refusal {
	t.Helper()
	const first = "listeners[0].l7policies[0].rules[0]"
	of := func(kind, compare, key, value string) change {
		return secureRule(t, func(r *model.L7Rule) { r.Type, r.CompareType, r.Key, r.Value = kind, compare, key, value })
	}
	return map[string]l7Refusal{
		"header": {
			changed(t, func(l *model.Listener, _ *model.Pool) { l.InsertHeaders = map[string]string{"X-Real-IP": "true"} }),
			"listeners[0].insert_headers: The header X-Real-IP cannot be inserted; insert_headers can have X-Forwarded-For, X-Forwarded-Port, " +
				"X-Forwarded-Proto, X-SSL-Client-Verify, X-SSL-Client-Has-Cert, X-SSL-Client-DN, X-SSL-Client-CN, X-SSL-Issuer, " +
				"X-SSL-Client-SHA1, X-SSL-Client-Not-Before and X-SSL-Client-Not-After.",
			capabilities.Unsupported,
		},
		"header that is neither": {
			changed(t, func(l *model.Listener, _ *model.Pool) { l.InsertHeaders = map[string]string{"X-SSL-Issuer": "yes"} }),
			`listeners[0].insert_headers: The header X-SSL-Issuer of insert_headers must be true or false, not "yes".`,
			capabilities.Invalid,
		},
		"no certificate": {
			of("SSL_CONN_HAS_CERT", "EQUAL_TO", "", "False"),
			first + `.value: value must be True, not "False"; use invert for clients without a certificate.`, capabilities.Invalid,
		},
		"part of a certificate": {
			of("SSL_CONN_HAS_CERT", "CONTAINS", "", "True"),
			first + `.compare_type: "CONTAINS" is not a value of compare_type in Octavia; supported are EQUAL_TO.`, capabilities.Invalid,
		},
		"key of a certificate": {
			of("SSL_CONN_HAS_CERT", "EQUAL_TO", "CN", "True"), first + ".key: A rule of type SSL_CONN_HAS_CERT has no key.", capabilities.Invalid,
		},
		"outcome below": {
			of("SSL_VERIFY_RESULT", "EQUAL_TO", "", "-1"), first + `.value: value must be a number, 0 or above, not "-1".`, capabilities.Invalid,
		},
		"outcome without end": {
			of("SSL_VERIFY_RESULT", "EQUAL_TO", "", strings.Repeat("0", 256)),
			first + `.value: value must be a number, 0 or above, not "` + strings.Repeat("0", 64) + `…".`, capabilities.Invalid,
		},
		"field that Envoy has no name for": {
			of("SSL_DN_FIELD", "EQUAL_TO", "organizationIdentifier", "x"),
			first + `.key: Rules on the field "organizationIdentifier" of a distinguished name are not supported; use a common one, ` +
				"for instance CN, O, OU, C, ST, L, DC, UID, serialNumber or emailAddress.",
			capabilities.Unsupported,
		},
		"expression of a field": {
			of("SSL_DN_FIELD", "REGEX", "CN", `a\b`),
			first + `.value: The regular expression "a\\b" cannot be used: \b and \B are not supported in names of certificates; write the ` +
				"characters that may stand there in [ ].",
			capabilities.Unsupported,
		},
		"field without value": {of("SSL_DN_FIELD", "EQUAL_TO", "CN", ""), first + ".value: A rule needs a value.", capabilities.Invalid},
	}
}

func TestClientsRefused(t *testing.T) {
	for name, test := range clientsRefused(t) {
		t.Run(name, func(t *testing.T) {
			lb := tree(t)
			test.change(lb)
			problems := capabilities.Check(lb)
			assert.Equal(t, []string{test.want}, lines(problems))
			assert.Equal(t, test.kind, problems[0].Kind)
		})
	}
}

func TestClientsSupported(t *testing.T) {
	headers := map[string]string{"X-Forwarded-For": "true"}
	for _, name := range []string{
		"Client-Verify", "Client-Has-Cert", "Client-DN", "Client-CN", "Issuer", "Client-SHA1", "Client-Not-Before", "Client-Not-After",
	} {
		headers["X-SSL-"+name] = "True"
	}
	tests := map[string]change{
		"headers": changed(t, func(l *model.Listener, _ *model.Pool) { l.InsertHeaders = headers }),
		"headers for which no client has a certificate": changed(t, func(l *model.Listener, _ *model.Pool) {
			l.InsertHeaders, l.ClientAuthentication = headers, "NONE"
		}),
		"header that is not": onListener(func(l *model.Listener) { l.InsertHeaders = map[string]string{"X-SSL-Issuer": "false"} }),
		"certificate":        secureRule(t, func(r *model.L7Rule) { r.Type, r.CompareType, r.Value = "SSL_CONN_HAS_CERT", "EQUAL_TO", "true" }),
		"outcome": secureRule(t, func(r *model.L7Rule) {
			r.Type, r.CompareType, r.Value, r.Invert = "SSL_VERIFY_RESULT", "EQUAL_TO", "10", true
		}),
	}
	for _, compare := range []string{"REGEX", "STARTS_WITH", "ENDS_WITH", "CONTAINS", "EQUAL_TO"} {
		tests["field "+compare] = secureRule(t, func(r *model.L7Rule) {
			r.Type, r.CompareType, r.Key, r.Value, r.Invert = "SSL_DN_FIELD", compare, "emailaddress", "a.b", true
		})
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			lb := tree(t)
			change(lb)
			assert.Empty(t, capabilities.Check(lb))
		})
	}
	// Of a listener whose protocol is not known, the headers alone can be judged.
	lb := tree(t)
	lb.Listeners[0].Protocol, lb.Listeners[0].InsertHeaders = "", headers
	for _, problem := range capabilities.CheckPartial(lb) {
		assert.NotEqual(t, "insert_headers", problem.Field)
	}
}
