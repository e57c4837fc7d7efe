package parity

import (
	"slices"
	"strings"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// ruleDifferences are about which answer there is by L7 rules. They come last: a request can be odd in itself.
func ruleDifferences() []allowed {
	return []allowed{
		{
			"rules on what is filled in", "A client of HTTP/1.0 without Host has that of its target or the VIP, and a target without a path has the path / (RFC 9110, 4.2.3), " +
				"to L7 rules and redirects too. HAProxy's see nothing there.",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				if r == nil || d.Where != "answer" && d.Where != "retries" && d.Where != "pool" && d.Where != "response header location" {
					return false
				}
				_, host, path, is := r.absolute()
				noPath := is && path == "/" && strings.HasSuffix(r.Target.String(), "://"+host)
				noHost := t.old(d.Step) && r.value("host") == "" && t.rules(model.L7TypeHostName)
				return noHost || noPath && (d.Where == "response header location" || t.rules(model.L7TypePath, model.L7TypeFileType))
			},
		},
		{
			"commas in quotes", "HAProxy splits a header at its commas for L7 rules, but not within quotes. Here it is split at all of them.",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				return r != nil && (d.Where == "answer" || d.Where == "retries" || d.Where == "pool") &&
					slices.ContainsFunc(t.ruleHeaders(), func(name string) bool {
						value := r.value(name)
						return strings.Contains(value, `"`) && strings.Contains(value, ",")
					})
			},
		},
		{
			"rules on hop by hop headers", "A header that Connection names is gone before L7 rules look, as it is about the connection alone.",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				return r != nil && (d.Where == "answer" || d.Where == "retries" || d.Where == "pool") &&
					slices.ContainsFunc(t.ruleHeaders(), func(name string) bool { return r.names("connection", name) })
			},
		},
		{
			"mangled rules", "Octavia's template writes &, <, > and quotes in the values and URLs of L7 policies as HTML, and to HAProxy everything behind a # is a comment, " +
				"of `&#34;` too. Here they are what the user wrote.",
			func(t *trial, d *difference) bool {
				return (d.Where == "answer" || d.Where == "retries" || d.Where == "pool" || d.Where == "response header location") && t.mangled()
			},
		},
	}
}

// rulesUp are the rules of the listener that have a say.
func (t *trial) rulesUp() []model.L7Rule {
	var all []model.L7Rule
	for _, policy := range t.listener().L7Policies {
		for _, rule := range policy.Rules {
			if policy.AdminStateUp && rule.AdminStateUp {
				all = append(all, rule)
			}
		}
	}
	return all
}

// rules reports whether the listener has a rule of one of these types.
func (t *trial) rules(types ...string) bool {
	return slices.ContainsFunc(t.rulesUp(), func(r model.L7Rule) bool { return slices.Contains(types, r.Type) })
}

// ruleHeaders are the headers that the rules of the listener look at.
func (t *trial) ruleHeaders() []string {
	var all []string
	for _, rule := range t.rulesUp() {
		if rule.Type == model.L7TypeHeader {
			all = append(all, rule.Key)
		}
	}
	return all
}

// mangled reports whether a policy of the listener has a text that Octavia's template or HAProxy makes another one of.
func (t *trial) mangled() bool {
	strange := func(text string) bool { return strings.ContainsAny(text, "&<>\"'#") }
	return slices.ContainsFunc(t.rulesUp(), func(r model.L7Rule) bool { return strange(r.Value) }) ||
		slices.ContainsFunc(t.listener().L7Policies, func(p model.L7Policy) bool { return strange(p.RedirectURL) || strange(p.RedirectPrefix) })
}
