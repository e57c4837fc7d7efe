package capabilities_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/octavia-envoy/octavia-envoy/driver/capabilities"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

const policyID = "60000000-0000-4000-8000-000000000001"

// onPolicy gives the listener a policy that rejects with one rule, and changes it.
func onPolicy(f func(*model.L7Policy)) change {
	return onListener(func(l *model.Listener) {
		l.L7Policies = []model.L7Policy{{
			ID: policyID, ListenerID: listenerID, AdminStateUp: true, Action: "REJECT", Position: 1,
			Rules: []model.L7Rule{rule(0)},
		}}
		f(&l.L7Policies[0])
	})
}

func onRule(f func(*model.L7Rule)) change {
	return onPolicy(func(p *model.L7Policy) { f(&p.Rules[0]) })
}

func rule(i int) model.L7Rule {
	return model.L7Rule{
		ID: fmt.Sprintf("70000000-0000-4000-8000-%012d", i), L7PolicyID: policyID, AdminStateUp: true,
		Type: "PATH", CompareType: "STARTS_WITH", Value: "/",
	}
}

func TestL7Supported(t *testing.T) {
	tests := map[string]change{
		"as is":    onPolicy(func(*model.L7Policy) {}),
		"no rules": onPolicy(func(p *model.L7Policy) { p.Rules = nil }),
		"pool":     onPolicy(func(p *model.L7Policy) { p.Action, p.RedirectPoolID = "REDIRECT_TO_POOL", poolID }),
		"50 rules": onPolicy(func(p *model.L7Policy) {
			for i := range 49 {
				p.Rules = append(p.Rules, rule(i+1))
			}
		}),
		"long value": onRule(func(r *model.L7Rule) { r.Value = strings.Repeat("é", 255) }),
		"quoted":     onRule(func(r *model.L7Rule) { r.Value = "\"a b\"" }),
		"what does not count for the action": onPolicy(func(p *model.L7Policy) {
			p.RedirectURL, p.RedirectPrefix, p.RedirectHTTPCode, p.RedirectPoolID = "x", "x", 7, "x"
		}),
		"3 inverted": onPolicy(func(p *model.L7Policy) { p.Rules = inverted(3) }),
	}
	for _, code := range []int{0, 301, 302, 303, 307, 308} {
		tests[fmt.Sprint("URL ", code)] = onPolicy(func(p *model.L7Policy) {
			p.Action, p.RedirectURL, p.RedirectHTTPCode = "REDIRECT_TO_URL", "https://u.example:8443/%20?a#b", code
		})
		tests[fmt.Sprint("prefix ", code)] = onPolicy(func(p *model.L7Policy) {
			p.Action, p.RedirectPrefix, p.RedirectHTTPCode = "REDIRECT_PREFIX", "http://u.example", code
		})
	}
	for _, kind := range []string{"HOST_NAME", "PATH", "FILE_TYPE", "HEADER", "COOKIE"} {
		for _, compare := range []string{"REGEX", "STARTS_WITH", "ENDS_WITH", "CONTAINS", "EQUAL_TO"} {
			if kind == "FILE_TYPE" && compare != "REGEX" && compare != "EQUAL_TO" {
				continue
			}
			tests[kind+" "+compare] = onRule(func(r *model.L7Rule) {
				r.Type, r.CompareType, r.Key, r.Value, r.Invert = kind, compare, "X-Key", "a.b", true
			})
		}
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			lb := tree(t)
			change(lb)
			assert.Empty(t, capabilities.Check(lb))
		})
	}
}

func inverted(count int) []model.L7Rule {
	rules := make([]model.L7Rule, count)
	for i := range rules {
		rules[i] = rule(i)
		rules[i].Type, rules[i].Key, rules[i].CompareType, rules[i].Value, rules[i].Invert = "HEADER", "X-Key", "REGEX", "^a*$", true
	}
	return rules
}

type l7Refusal struct {
	change change
	want   string
	kind   capabilities.Kind
}

// l7Refused is what is wrong with or not supported of L7 policies and rules, with the sentence that the user reads.
func l7Refused() map[string]l7Refusal {
	const policy, first = "listeners[0].l7policies[0]", "listeners[0].l7policies[0].rules[0]"
	url := func(text string) change {
		return onPolicy(func(p *model.L7Policy) { p.Action, p.RedirectURL = "REDIRECT_TO_URL", text })
	}
	return map[string]l7Refusal{
		"TCP": {
			func(lb *model.LoadBalancer) {
				onPolicy(func(*model.L7Policy) {})(lb)
				lb.Listeners[0].Protocol, lb.Pools[0].Protocol = "TCP", "TCP"
			},
			policy + ": A listener of protocol TCP cannot have L7 policies, as it does not read requests; use an HTTP listener.",
			capabilities.Unsupported,
		},
		"action": {
			onPolicy(func(p *model.L7Policy) { p.Action = "EXPLODE" }),
			policy + `.action: "EXPLODE" is not a value of action in Octavia; supported are REJECT, REDIRECT_TO_URL, REDIRECT_PREFIX ` +
				"and REDIRECT_TO_POOL.",
			capabilities.Invalid,
		},
		"listener": {
			onPolicy(func(p *model.L7Policy) { p.ListenerID = otherID }),
			policy + `.listener_id: listener_id must be "` + listenerID + `", the object that it is in, not "` + otherID + `".`,
			capabilities.Invalid,
		},
		"no URL": {url(""), policy + ".redirect_url: The action REDIRECT_TO_URL needs a redirect_url.", capabilities.Invalid},
		"no prefix": {
			onPolicy(func(p *model.L7Policy) { p.Action = "REDIRECT_PREFIX" }),
			policy + ".redirect_prefix: The action REDIRECT_PREFIX needs a redirect_prefix.", capabilities.Invalid,
		},
		"no pool": {
			onPolicy(func(p *model.L7Policy) { p.Action = "REDIRECT_TO_POOL" }),
			policy + ".redirect_pool_id: The action REDIRECT_TO_POOL needs a redirect_pool_id.", capabilities.Invalid,
		},
		"pool of another": {
			onPolicy(func(p *model.L7Policy) { p.Action, p.RedirectPoolID = "REDIRECT_TO_POOL", otherID }),
			policy + ".redirect_pool_id: The load balancer has no pool " + otherID + ".", capabilities.Invalid,
		},
		"pool protocol": {
			func(lb *model.LoadBalancer) {
				onPolicy(func(p *model.L7Policy) { p.Action, p.RedirectPoolID = "REDIRECT_TO_POOL", poolID })(lb)
				lb.Listeners[0].DefaultPoolID, lb.Pools[0].Protocol = "", "TCP"
			},
			policy + ".redirect_pool_id: A listener of protocol HTTP cannot have a pool of protocol TCP; it can have HTTP, PROXY and PROXYV2.",
			capabilities.Invalid,
		},
		"scheme": {
			url("ftp://u.example"),
			policy + `.redirect_url: redirect_url must begin with http:// or https:// and a host, not "ftp://u.example".`, capabilities.Invalid,
		},
		"header injection": {
			url("https://u.example/\r\nSet-Cookie: a=b"),
			policy + `.redirect_url: redirect_url must have blanks, control characters and those outside of ASCII percent-encoded: ` +
				`"https://u.example/\r\nSet-Cookie: a=b".`, capabilities.Invalid,
		},
		"long URL": {
			url("https://" + strings.Repeat("a", 248)), policy + ".redirect_url: redirect_url can have 255 characters, not 256.", capabilities.Invalid,
		},
		"code": {
			onPolicy(func(p *model.L7Policy) {
				p.Action, p.RedirectURL, p.RedirectHTTPCode = "REDIRECT_TO_URL", "https://u", 305
			}),
			policy + ".redirect_http_code: redirect_http_code must be 301, 302, 303, 307 or 308, not 305.", capabilities.Invalid,
		},
		"51 rules": {
			onPolicy(func(p *model.L7Policy) {
				for i := range 50 {
					p.Rules = append(p.Rules, rule(i+1))
				}
			}),
			policy + ".rules[50]: An L7 policy can have 50 rules.", capabilities.Invalid,
		},
		"4 inverted": {
			onPolicy(func(p *model.L7Policy) { p.Rules = inverted(4) }),
			policy + ".rules[3]: More than 3 inverted rules of a policy whose regular expression matches nothing, too, are not supported; " +
				"use + instead of * in them, or another policy.", capabilities.Unsupported,
		},
		"type": {
			onRule(func(r *model.L7Rule) { r.Type = "COLOUR" }),
			first + `.type: "COLOUR" is not a value of type in Octavia; supported are HOST_NAME, PATH, FILE_TYPE, HEADER, COOKIE, ` +
				"SSL_CONN_HAS_CERT, SSL_VERIFY_RESULT and SSL_DN_FIELD.",
			capabilities.Invalid,
		},
		"compare type": {
			onRule(func(r *model.L7Rule) { r.CompareType = "LIKE" }),
			first + `.compare_type: "LIKE" is not a value of compare_type in Octavia; supported are EQUAL_TO, STARTS_WITH, ENDS_WITH, ` +
				"CONTAINS and REGEX.", capabilities.Invalid,
		},
		"file type": {
			onRule(func(r *model.L7Rule) { r.Type = "FILE_TYPE" }),
			first + `.compare_type: "STARTS_WITH" is not a value of compare_type in Octavia; supported are EQUAL_TO and REGEX.`,
			capabilities.Invalid,
		},
		"no key": {
			onRule(func(r *model.L7Rule) { r.Type = "COOKIE" }),
			first + `.key: key must be the name of a header or cookie, not "".`, capabilities.Invalid,
		},
		"bad key": {
			onRule(func(r *model.L7Rule) { r.Type, r.Key = "HEADER", ":path" }),
			first + `.key: key must be the name of a header or cookie, not ":path".`, capabilities.Invalid,
		},
		"hidden header": {
			onRule(func(r *model.L7Rule) { r.Type, r.Key = "HEADER", "X-Envoy-Original-Path" }),
			first + ".key: Rules on the header X-Envoy-Original-Path are not supported, as Envoy replaces or removes it before they are " +
				"looked at; use another header.", capabilities.Unsupported,
		},
		"no value": {onRule(func(r *model.L7Rule) { r.Value = "" }), first + ".value: A rule needs a value.", capabilities.Invalid},
		"too long a value": {
			onRule(func(r *model.L7Rule) { r.Value = strings.Repeat("é", 256) }),
			first + ".value: value can have 255 characters, not 256.", capabilities.Invalid,
		},
		"control characters": {
			onRule(func(r *model.L7Rule) { r.Value = "a\r\nb" }),
			first + ".value: value must not have control characters, which no request has.", capabilities.Invalid,
		},
		"regex": {
			onRule(func(r *model.L7Rule) { r.CompareType, r.Value = "REGEX", `(a)\1` }),
			first + `.value: The regular expression "(a)\\1" cannot be used: a reference to a group ("\\1") needs backtracking or PCRE, ` +
				"which RE2, Envoy's engine, does not have; use one policy for each value.", capabilities.Unsupported,
		},
	}
}

func TestL7Refused(t *testing.T) {
	for name, test := range l7Refused() {
		t.Run(name, func(t *testing.T) {
			lb := tree(t)
			test.change(lb)
			problems := capabilities.Check(lb)
			assert.Equal(t, []string{test.want}, lines(problems))
			assert.Equal(t, test.kind, problems[0].Kind)
		})
	}
}
