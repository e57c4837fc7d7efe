package capabilities

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/xds/regex"
)

const (
	// maxRules is Octavia's MAX_L7RULES_PER_L7POLICY.
	maxRules = 50
	// maxAlternatives bounds what a policy becomes in Envoy: each inverted rule that needs it doubles it.
	maxAlternatives = 8
)

func l7RuleTypes() []string {
	return []string{
		model.L7TypeHostName, model.L7TypePath, model.L7TypeFileType, model.L7TypeHeader, model.L7TypeCookie,
		model.L7TypeSSLConnHasCert, model.L7TypeSSLVerifyResult, model.L7TypeSSLDNField,
	}
}

func l7CompareTypes(ruleType string) []string {
	switch ruleType {
	case model.L7TypeFileType:
		return []string{model.L7CompareEqualTo, model.L7CompareRegex}
	case model.L7TypeSSLConnHasCert, model.L7TypeSSLVerifyResult:
		return []string{model.L7CompareEqualTo}
	}
	return []string{
		model.L7CompareEqualTo, model.L7CompareStartsWith, model.L7CompareEndsWith, model.L7CompareContains, model.L7CompareRegex,
	}
}

// l7Rule checks a rule. choices counts the alternatives of the policy so far.
func (c *checker) l7Rule(policy object, i int, l *model.Listener, p *model.L7Policy, r *model.L7Rule, choices *int) {
	o := policy.child(model.KindL7Rule, r.ID, fmt.Sprintf("rules[%d]", i))
	c.identity(o, "l7rule_id", "l7policy_id", r.L7PolicyID, p.ID)
	if i >= maxRules {
		c.invalid(o, "", "An L7 policy can have %d rules.", maxRules)
	}
	c.choice(o, "type", r.Type, l7RuleTypes(), nil)
	if aboutTLS(r.Type) && l.Protocol == model.ProtocolHTTP {
		// HAProxy would have such a rule never hold, and always when it is inverted.
		c.unsupported(o, "type", fmt.Sprintf("A listener of protocol HTTP sees no certificates of clients; use a TERMINATED_HTTPS "+
			"listener for rules of type %s.", r.Type))
		return
	}
	c.choice(o, "compare_type", r.CompareType, l7CompareTypes(r.Type), nil)
	switch r.Type {
	case model.L7TypeHeader, model.L7TypeCookie, model.L7TypeSSLDNField:
		c.l7Key(o, r)
	case model.L7TypeSSLConnHasCert, model.L7TypeSSLVerifyResult:
		c.l7Constant(o, r)
		return
	}
	c.l7Value(o, r)
	if r.AdminStateUp && splitsOnAbsence(r) {
		if *choices *= 2; *choices > maxAlternatives {
			c.unsupported(o, "", "More than 3 inverted rules of a policy whose regular expression matches nothing, too, "+
				"are not supported; use + instead of * in them, or another policy.")
		}
	}
}

// splitsOnAbsence reports whether a rule needs two alternatives in Envoy: an inverted expression that matches an empty
// header does not match an absent one.
func splitsOnAbsence(r *model.L7Rule) bool {
	return r.Invert && r.Type == model.L7TypeHeader && r.CompareType == model.L7CompareRegex && regex.MatchesEmpty(r.Value)
}

func aboutTLS(ruleType string) bool {
	return ruleType == model.L7TypeSSLConnHasCert || ruleType == model.L7TypeSSLVerifyResult || ruleType == model.L7TypeSSLDNField
}

// l7Constant checks the rules that compare with one value, as octavia-api does.
func (c *checker) l7Constant(o object, r *model.L7Rule) {
	if r.Key != "" {
		c.invalid(o, "key", "A rule of type %s has no key.", r.Type)
	}
	switch {
	case r.Type == model.L7TypeSSLConnHasCert && !strings.EqualFold(r.Value, "true"):
		c.invalid(o, "value", "value must be True, not %q; use invert for clients without a certificate.", clip(r.Value))
	case r.Type == model.L7TypeSSLVerifyResult && (r.Value == "" || strings.Trim(r.Value, "0123456789") != "" || len(r.Value) > maxL7Text):
		c.invalid(o, "value", "value must be a number, 0 or above, not %q.", clip(r.Value))
	}
}

func (c *checker) l7Key(o object, r *model.L7Rule) {
	switch {
	case r.Type == model.L7TypeSSLDNField:
		if !regex.KnownDN(r.Key) {
			c.unsupported(o, "key", fmt.Sprintf("Rules on the field %q of a distinguished name are not supported; use a common one, for instance "+
				"CN, O, OU, C, ST, L, DC, UID, serialNumber or emailAddress.", clip(r.Key)))
		}
	case !validName(r.Key) || len(r.Key) > maxL7Text:
		c.invalid(o, "key", "key must be the name of a header or cookie, not %q.", clip(r.Key))
	case r.Type == model.L7TypeHeader && hiddenHeader(r.Key):
		c.unsupported(o, "key", fmt.Sprintf("Rules on the header %s are not supported, as Envoy replaces or removes it before "+
			"they are looked at; use another header.", r.Key))
	}
}

// hiddenHeader reports whether Envoy's L7 rules do not see what a client sent in a header: those of the connection, which
// are no part of a request, and those that Envoy sets itself.
func hiddenHeader(name string) bool {
	name = strings.ToLower(name)
	return strings.HasPrefix(name, "x-envoy-") || slices.Contains([]string{
		"connection", "keep-alive", "proxy-connection", "te", "transfer-encoding",
	}, name)
}

// validName is Octavia's HTTP_HEADER_NAME_REGEX.
func validName(name string) bool {
	const others = "!#$%&'*+-.^_`|~"
	return name != "" && !strings.ContainsFunc(name, func(char rune) bool {
		letter := char >= 'a' && char <= 'z' || char >= 'A' && char <= 'Z' || char >= '0' && char <= '9'
		return !letter && !strings.ContainsRune(others, char)
	})
}

func (c *checker) l7Value(o object, r *model.L7Rule) {
	control := func(char rune) bool { return char < ' ' && char != '\t' || char == 0x7f || char == utf8.RuneError }
	switch length := utf8.RuneCountInString(r.Value); {
	case length == 0:
		c.invalid(o, "value", "A rule needs a value.")
		return
	case length > maxL7Text:
		c.invalid(o, "value", "value can have %d characters, not %d.", maxL7Text, length)
		return
	case strings.ContainsFunc(r.Value, control):
		c.invalid(o, "value", "value must not have control characters, which no request has.")
		return
	}
	if r.CompareType != model.L7CompareRegex {
		return
	}
	check := regex.Check
	if r.Type == model.L7TypeSSLDNField {
		check = regex.CheckDN
	}
	if err := check(r.Value); err != nil {
		c.unsupported(o, "value", fmt.Sprintf("The regular expression %q cannot be used: %v.", clip(r.Value), err))
	}
}
