package translate

import (
	"fmt"
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/xds/regex"
)

// The headers of Envoy that hold what rules compare. A path is compared within :path, that is with a query behind it: so
// no helper header is needed, which would be in the listener, could be sent by a client and be seen by a member.
const (
	headerAuthority = ":authority"
	headerPath      = ":path"
	headerCookie    = "cookie"
)

// l7Matches returns the matches of a policy: one, several of which any may hold, or none when its rules never hold together.
func l7Matches(listener *model.Listener, rules []*model.L7Rule) ([]*routev3.RouteMatch, error) {
	rules, connection, possible := tlsRules(listener, rules)
	if !possible {
		return nil, nil
	}
	alternatives := [][]*routev3.HeaderMatcher{nil}
	for _, rule := range rules {
		matchers, err := l7Matchers(rule)
		if err != nil {
			return nil, err
		}
		var product [][]*routev3.HeaderMatcher
		for _, alternative := range alternatives {
			for _, matcher := range matchers {
				product = append(product, append(slices.Clip(alternative), matcher))
			}
		}
		alternatives = product
	}
	matches := make([]*routev3.RouteMatch, 0, len(alternatives))
	for _, alternative := range alternatives {
		match := everything()
		match.Headers, match.TlsContext = alternative, connection
		matches = append(matches, match)
	}
	return matches, nil
}

// everything matches all requests: Envoy answers 404 itself to a target that has no slash at its start.
func everything() *routev3.RouteMatch {
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}
}

// l7Matchers returns the matchers of one rule, of which any may hold. It is one, but for a header that must not match what
// nothing matches, too: there a header that is absent is not the same as an empty one, and Envoy's matchers can say one of
// the two at a time.
func l7Matchers(rule *model.L7Rule) ([]*routev3.HeaderMatcher, error) {
	name, match, err := l7Match(rule)
	if err != nil {
		return nil, err
	}
	matcher := &routev3.HeaderMatcher{
		Name:                 name,
		HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: match},
		InvertMatch:          rule.Invert,
	}
	if rule.Invert && splitsOnAbsence(rule) {
		absent := &routev3.HeaderMatcher{
			Name:                 name,
			HeaderMatchSpecifier: &routev3.HeaderMatcher_PresentMatch{PresentMatch: true},
			InvertMatch:          true,
		}
		return []*routev3.HeaderMatcher{matcher, absent}, nil
	}
	// Without it a matcher of a header that is absent never holds, inverted or not.
	matcher.TreatMissingHeaderAsEmpty = rule.Invert
	return []*routev3.HeaderMatcher{matcher}, nil
}

// splitsOnAbsence reports whether a rule, inverted, needs a route for an absent header and one for others.
func splitsOnAbsence(rule *model.L7Rule) bool {
	return rule.Type == model.L7TypeHeader && rule.CompareType == model.L7CompareRegex && regex.MatchesEmpty(rule.Value)
}

// l7Match returns the header that a rule looks at, and how.
func l7Match(rule *model.L7Rule) (string, *matcherv3.StringMatcher, error) {
	switch rule.Type {
	case model.L7TypeHostName:
		match, err := matchHost(rule)
		return headerAuthority, match, err
	case model.L7TypePath:
		match, err := matchElement(rule, regex.Path())
		return headerPath, match, err
	case model.L7TypeFileType:
		match, err := matchElement(fileType(rule), regex.Path())
		return headerPath, match, err
	case model.L7TypeHeader:
		match, err := matchElement(rule, regex.List())
		return sentHeader(rule.Key), match, err
	case model.L7TypeCookie:
		match, err := matchElement(rule, regex.Cookie(rule.Key))
		return headerCookie, match, err
	case model.L7TypeSSLDNField:
		match, err := matchElement(rule, regex.DN(rule.Key))
		return headerClientDN, match, err
	}
	return "", nil, fmt.Errorf("no type of rule %.32q", rule.Type)
}

// fileType is EQUAL_TO in Octavia and `path_end` in HAProxy, without a dot: jpg matches /a.jpg and /jpg.
func fileType(rule *model.L7Rule) *model.L7Rule {
	suffix := *rule
	if suffix.CompareType == model.L7CompareEqualTo {
		suffix.CompareType = model.L7CompareEndsWith
	}
	return &suffix
}

// matchHost compares the whole host, port included, and without regard to case.
func matchHost(rule *model.L7Rule) (*matcherv3.StringMatcher, error) {
	value := l7Value(rule)
	match := &matcherv3.StringMatcher{IgnoreCase: true}
	switch rule.CompareType {
	case model.L7CompareEqualTo:
		match.MatchPattern = &matcherv3.StringMatcher_Exact{Exact: value}
	case model.L7CompareStartsWith:
		match.MatchPattern = &matcherv3.StringMatcher_Prefix{Prefix: value}
	case model.L7CompareEndsWith:
		match.MatchPattern = &matcherv3.StringMatcher_Suffix{Suffix: value}
	case model.L7CompareContains:
		match.MatchPattern = &matcherv3.StringMatcher_Contains{Contains: value}
	case model.L7CompareRegex:
		expression, err := regex.Whole().Search(rule.Value, true)
		return matchRegex(expression), err
	default:
		return nil, fmt.Errorf("no comparison %.32q", rule.CompareType)
	}
	return match, nil
}

// matchElement compares an element of a value. What Envoy can do without a regular expression it does.
func matchElement(rule *model.L7Rule, field regex.Field) (*matcherv3.StringMatcher, error) {
	value := l7Value(rule)
	switch rule.CompareType {
	case model.L7CompareEqualTo:
		return matchRegex(field.Equal(value)), nil
	case model.L7CompareStartsWith:
		if rule.Type == model.L7TypePath && field.Holds(value) {
			return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: value}}, nil
		}
		return matchRegex(field.Prefix(value)), nil
	case model.L7CompareEndsWith:
		return matchRegex(field.Suffix(value)), nil
	case model.L7CompareContains:
		if rule.Type == model.L7TypeHeader && field.Holds(value) {
			return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Contains{Contains: value}}, nil
		}
		return matchRegex(field.Contains(value)), nil
	case model.L7CompareRegex:
		expression, err := field.Search(rule.Value, false)
		return matchRegex(expression), err
	}
	return nil, fmt.Errorf("no comparison %.32q", rule.CompareType)
}

func matchRegex(expression string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{
		SafeRegex: &matcherv3.RegexMatcher{Regex: expression},
	}}
}

// l7Value is the text that a rule compares with. Octavia lets users put one in double quotes, which then may have blanks
// in it; HAProxy takes them off as it reads its configuration.
func l7Value(rule *model.L7Rule) string {
	value := rule.Value
	if len(value) > 2 && value[0] == '"' && value[len(value)-1] == '"' {
		return value[1 : len(value)-1]
	}
	return value
}
