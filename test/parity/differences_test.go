package parity

import (
	"slices"
	"strings"
)

// allowed is a difference that is known and meant.
type allowed struct {
	// name is short, and unique. testdata has a case of that name, which shows the difference.
	name string
	// reason says why it is right, or why nobody minds.
	reason string
	// is reports whether a difference is of this kind. Keep it as narrow as the reason.
	is func(t *trial, d *difference) bool
}

// differences is the whole list; README.md has it as a table. What is on none of its rows fails.
func differences() []allowed {
	return slices.Concat(tlsDifferences(), seenDifferences(), headerDifferences(), answerDifferences(), oddDifferences(), responseDifferences(),
		connectionDifferences(), ruleDifferences())
}

// allowedBy returns the name of what allows a difference, or "".
func (t *trial) allowedBy(d *difference) string {
	for _, a := range differences() {
		if a.is(t, d) {
			return a.name
		}
	}
	return ""
}

// unexplained returns the differences that nothing allows.
func (t *trial) unexplained() []difference {
	return slices.DeleteFunc(t.compare(), func(d difference) bool { return t.allowedBy(&d) != "" })
}

// explain returns the names of what allows the other differences, one for each.
func (t *trial) explain() []string {
	var all []string
	for _, d := range t.compare() {
		if name := t.allowedBy(&d); name != "" {
			all = append(all, name)
		}
	}
	return all
}

// came reports whether a difference is about which answer there is, and whether both came out that way: as summary has it,
// with * for whatever follows.
func (t *trial) came(d *difference, haproxy, envoy string) bool {
	if d.Where != "answer" && d.Where != "retries" {
		return false
	}
	is := func(o *outcome, wanted string) bool {
		text := summary(o.step(d.Step))
		begin, open := strings.CutSuffix(wanted, "*")
		return text == wanted || open && strings.HasPrefix(text, begin)
	}
	return is(t.haproxy, haproxy) && is(t.envoy, envoy)
}

// odd reports whether the request of a step is one of these odd ones.
func (t *trial) odd(step int, names ...string) bool {
	r := t.request(step)
	return r != nil && slices.Contains(names, r.Odd)
}

// answered reports whether the request of a step asked the member for one of these answers, and a member saw it.
func (t *trial) answered(step int, kinds ...string) bool {
	r := t.request(step)
	return r != nil && slices.Contains(kinds, r.value(headerAnswer)) && (len(t.haproxy.step(step).Seen) > 0 || len(t.envoy.step(step).Seen) > 0)
}

// step returns what came of a request, or an empty step.
func (o *outcome) step(i int) *step {
	if i < 0 || i >= len(o.Steps) {
		return &step{}
	}
	return &o.Steps[i]
}

// status is the code of the answer, or 0.
func (s *step) status() int {
	if s.Response == nil {
		return 0
	}
	return s.Response.status()
}

// proxy is the PROXY header that the member got.
func (s *step) proxy() string {
	if len(s.Seen) == 0 {
		return ""
	}
	return s.Seen[0].Proxy
}

// old reports whether the request of a step is one of HTTP/1.0.
func (t *trial) old(step int) bool {
	r := t.request(step)
	return r != nil && strings.HasSuffix(r.line(), " HTTP/1.0")
}

// line is the request line.
func (r *request) line() string {
	if r.Raw == "" {
		return r.Method + " " + r.Target.String() + " " + r.Version
	}
	line, _, _ := strings.Cut(strings.TrimLeft(r.Raw.String(), "\r\n"), "\r\n")
	return line
}

// absolute takes a target with a scheme apart.
func (r *request) absolute() (scheme, host, path string, is bool) {
	fields := strings.Fields(r.line())
	if len(fields) < 2 {
		return "", "", "", false
	}
	scheme, rest, is := strings.Cut(fields[1], "://")
	end := strings.IndexAny(rest, "/?")
	if !is || strings.Contains(scheme, "/") {
		return "", "", "", false
	}
	if end < 0 {
		return strings.ToLower(scheme), rest, "/", true
	}
	return strings.ToLower(scheme), rest[:end], rest[end:], true
}

func (r *request) value(name string) string {
	m := message{Headers: r.Headers}
	return m.value(name)
}

// names reports whether a header has a name in its list.
func (r *request) names(header, name string) bool {
	for _, h := range r.Headers {
		if strings.EqualFold(h.Name, header) && slices.ContainsFunc(strings.Split(string(h.Value), ","), func(element string) bool {
			return strings.EqualFold(strings.TrimSpace(element), name)
		}) {
			return true
		}
	}
	return false
}
