package translate

import (
	"fmt"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/xds/regex"
)

// Rules about the client's certificate, on TERMINATED_HTTPS listeners. On others HAProxy would never find them to hold, or
// always when inverted; they are refused instead, as nothing that a user asks for is without effect.

// tlsRules decides what of a policy's rules is the same for all clients. It returns the rules that are left, what the
// others want of the connection, and false when the rules can never hold together.
//
//   - SSL_CONN_HAS_CERT wants a certificate, or none. A listener that asks for none gets none.
//   - SSL_VERIFY_RESULT is 0, X509_V_OK, for all that get in: those without a certificate, too, and one that is not good
//     ends the handshake.
//   - SSL_DN_FIELD is left, but where there are no certificates: there it does not hold.
func tlsRules(listener *model.Listener, rules []*model.L7Rule) ([]*model.L7Rule, *routev3.RouteMatch_TlsContextMatchOptions, bool) {
	var left []*model.L7Rule
	with, without := false, !authenticates(listener)
	possible := true
	for _, rule := range rules {
		switch rule.Type {
		case model.L7TypeSSLConnHasCert:
			with, without = with || !rule.Invert, without || rule.Invert
		case model.L7TypeSSLVerifyResult:
			possible = possible && isZero(rule.Value) != rule.Invert
		case model.L7TypeSSLDNField:
			if authenticates(listener) {
				left = append(left, rule)
			} else {
				possible = possible && rule.Invert
			}
		default:
			left = append(left, rule)
		}
	}
	possible = possible && (!with || !without)
	if !possible || !authenticates(listener) || !with && !without {
		return left, nil, possible
	}
	return left, &routev3.RouteMatch_TlsContextMatchOptions{Presented: wrapperspb.Bool(with)}, true
}

func isZero(number string) bool { return number != "" && strings.Trim(number, "0") == "" }

// checkTLSRule reports what of a rule about the client's certificate cannot be served; Octavia's API takes none of it
// but the fields of names.
func checkTLSRule(listener *model.Listener, rule *model.L7Rule, refuse func(field, reason string)) {
	if !terminates(listener) {
		refuse("type", fmt.Sprintf("a listener of protocol %.32s sees no certificates of clients: use TERMINATED_HTTPS", listener.Protocol))
		return
	}
	if rule.Type == model.L7TypeSSLDNField {
		checkDNRule(rule, refuse)
		return
	}
	if rule.Key != "" {
		refuse("key", fmt.Sprintf("a rule of type %s has none", rule.Type))
	}
	if rule.CompareType != model.L7CompareEqualTo {
		refuse("compare_type", fmt.Sprintf("a rule of type %s can be %s only", rule.Type, model.L7CompareEqualTo))
	}
	switch {
	case rule.Type == model.L7TypeSSLConnHasCert && !strings.EqualFold(rule.Value, "true"):
		refuse("value", "it is not True: use invert for clients without a certificate")
	case rule.Type == model.L7TypeSSLVerifyResult &&
		(rule.Value == "" || len(rule.Value) > maxL7Text || strings.Trim(rule.Value, "0123456789") != ""):
		refuse("value", "it is not a number, 0 or above")
	}
}

func checkDNRule(rule *model.L7Rule, refuse func(field, reason string)) {
	if !regex.KnownDN(rule.Key) {
		refuse("key", fmt.Sprintf("%.64q is no field of a distinguished name that Envoy and HAProxy know: use %s", rule.Key,
			strings.Join(regex.DNKinds(), ", ")))
	}
	checkL7Comparison(rule, regex.CheckDN, refuse)
}
