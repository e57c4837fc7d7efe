package translate

import (
	"errors"
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
	// maxL7Text is the length that Octavia allows keys, values and URLs.
	maxL7Text = 255
	// maxAlternatives bounds the routes of one policy.
	maxAlternatives = 8
)

// checkL7Policies reports everything in a listener's policies that cannot be served. A listener without one of its
// policies would let in what its user closed: it is left out as a whole.
func (t *translation) checkL7Policies(listener *model.Listener) {
	ids := make(map[string]bool, len(listener.L7Policies))
	for _, policy := range sorted(listener.L7Policies, func(p *model.L7Policy) string { return p.ID }) {
		refuse := func(field, reason string) {
			owner := model.Ref{Kind: model.KindL7Policy, ID: policy.ID}
			t.problem(&ValidationError{Owner: owner, Field: field, Reason: reason})
		}
		if err := checkID(policy.ID); err != nil {
			refuse("l7policy_id", err.Error())
		} else if ids[policy.ID] {
			refuse("l7policy_id", "the listener has another policy with this id")
		}
		ids[policy.ID] = true
		if !readsRequests(listener) {
			refuse("listener_id", fmt.Sprintf("a listener of protocol %.32s cannot have L7 policies", listener.Protocol))
			continue
		}
		t.checkL7Action(listener, policy, refuse)
		t.checkL7Rules(listener, policy, refuse)
	}
}

func (t *translation) checkL7Action(listener *model.Listener, policy *model.L7Policy, refuse func(field, reason string)) {
	switch policy.Action {
	case model.L7ActionReject:
	case model.L7ActionRedirectToURL:
		checkL7Redirect(policy, "redirect_url", policy.RedirectURL, refuse)
	case model.L7ActionRedirectPrefix:
		checkL7Redirect(policy, "redirect_prefix", policy.RedirectPrefix, refuse)
	case model.L7ActionRedirectToPool:
		if policy.RedirectPoolID == "" {
			// Its pool is being deleted: it does nothing, see l7Pool.
			return
		}
		t.checkPool(listener, "redirect_pool_id", policy.RedirectPoolID, refuse)
	default:
		refuse("action", unsupported("an L7 policy that does", policy.Action))
	}
}

func checkL7Redirect(policy *model.L7Policy, field, text string, refuse func(field, reason string)) {
	switch {
	case text == "":
		refuse(field, fmt.Sprintf("the action %s needs it", policy.Action))
	case len(text) > maxL7Text:
		refuse(field, fmt.Sprintf("it has more than %d characters", maxL7Text))
	case strings.ContainsFunc(text, func(char rune) bool { return char <= ' ' || char >= 0x7f }):
		refuse(field, "it has blanks, control characters or others that a URL needs percent-encoded")
	}
	switch policy.RedirectHTTPCode {
	case 0, 301, 302, 303, 307, 308:
	default:
		refuse("redirect_http_code", fmt.Sprintf("%d is not a redirect: 301, 302, 303, 307 or 308", policy.RedirectHTTPCode))
	}
}

func (t *translation) checkL7Rules(listener *model.Listener, policy *model.L7Policy, refuse func(field, reason string)) {
	if len(policy.Rules) > maxRules {
		refuse("rules", fmt.Sprintf("a policy has at most %d rules", maxRules))
		return
	}
	ids := make(map[string]bool, len(policy.Rules))
	alternatives := 1
	for _, rule := range sorted(policy.Rules, func(r *model.L7Rule) string { return r.ID }) {
		bad := func(field, reason string) {
			owner := model.Ref{Kind: model.KindL7Rule, ID: rule.ID}
			t.problem(&ValidationError{Owner: owner, Field: field, Reason: reason})
		}
		if err := checkID(rule.ID); err != nil {
			bad("l7rule_id", err.Error())
		} else if ids[rule.ID] {
			bad("l7rule_id", "the policy has another rule with this id")
		}
		ids[rule.ID] = true
		checkL7Rule(listener, rule, bad)
		if rule.AdminStateUp && rule.Invert && splitsOnAbsence(rule) {
			alternatives *= 2
		}
		if alternatives > maxAlternatives {
			bad("value", "the policy has too many inverted rules with a regular expression that matches nothing, too")
			return
		}
	}
}

func checkL7Rule(listener *model.Listener, rule *model.L7Rule, refuse func(field, reason string)) {
	switch rule.Type {
	case model.L7TypeHostName, model.L7TypePath:
	case model.L7TypeHeader, model.L7TypeCookie:
		if err := checkL7Key(rule.Key); err != nil {
			refuse("key", err.Error())
		} else if rule.Type == model.L7TypeHeader && hiddenHeader(rule.Key) {
			refuse("key", unsupported("a rule on the header", rule.Key)+": Envoy replaces or removes it before rules are looked at")
		}
	case model.L7TypeFileType:
		if rule.CompareType != model.L7CompareEqualTo && rule.CompareType != model.L7CompareRegex {
			refuse("compare_type", fmt.Sprintf("a file type can be %s or %s only", model.L7CompareEqualTo, model.L7CompareRegex))
		}
	case model.L7TypeSSLConnHasCert, model.L7TypeSSLVerifyResult, model.L7TypeSSLDNField:
		checkTLSRule(listener, rule, refuse)
		return
	default:
		refuse("type", unsupported("a rule of type", rule.Type))
		return
	}
	checkL7Comparison(rule, regex.Check, refuse)
}

// checkL7Comparison checks what a rule compares with, and how; expression checks a regular expression.
func checkL7Comparison(rule *model.L7Rule, expression func(string) error, refuse func(field, reason string)) {
	switch rule.CompareType {
	case model.L7CompareRegex:
		if err := expression(rule.Value); err != nil {
			refuse("value", err.Error())
		}
	case model.L7CompareEqualTo, model.L7CompareStartsWith, model.L7CompareEndsWith, model.L7CompareContains:
	default:
		refuse("compare_type", unsupported("the comparison", rule.CompareType))
	}
	switch value := rule.Value; {
	case value == "":
		refuse("value", "a rule needs one")
	case utf8.RuneCountInString(value) > maxL7Text:
		refuse("value", fmt.Sprintf("it has more than %d characters", maxL7Text))
	case !utf8.ValidString(value), strings.ContainsFunc(value, isControl):
		refuse("value", "it has control characters, which no request has")
	}
}

func isControl(char rune) bool { return char < ' ' && char != '\t' || char == 0x7f }

func checkL7Key(key string) error {
	const others = "!#$%&'*+-.^_`|~"
	switch {
	case key == "":
		return errors.New("a rule of this type needs one")
	case len(key) > maxL7Text:
		return fmt.Errorf("it has more than %d characters", maxL7Text)
	case strings.ContainsFunc(key, func(char rune) bool {
		letter := char >= 'a' && char <= 'z' || char >= 'A' && char <= 'Z' || char >= '0' && char <= '9'
		return !letter && !strings.ContainsRune(others, char)
	}):
		return errors.New("it is not the name of a header or cookie")
	}
	return nil
}

// hiddenHeader reports whether rules do not see what a client sent in a header: those of the connection, which are no
// part of a request, and those that Envoy sets itself. (Seen with Envoy 1.40.)
func hiddenHeader(name string) bool {
	name = strings.ToLower(name)
	return strings.HasPrefix(name, "x-envoy-") || slices.Contains([]string{
		"connection", "keep-alive", "proxy-connection", "te", "transfer-encoding",
	}, name)
}
