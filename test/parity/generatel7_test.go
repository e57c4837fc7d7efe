package parity

import (
	"github.com/octavia-envoy/octavia-envoy/driver/capabilities"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

func (g *generator) policy(lb *model.LoadBalancer, l *model.Listener, position int) model.L7Policy {
	p := model.L7Policy{
		ID: g.id(), Position: position, AdminStateUp: !g.chance(10),
		Action: pick(g, "REJECT", "REDIRECT_TO_URL", "REDIRECT_PREFIX", "REDIRECT_TO_POOL", "REDIRECT_TO_POOL"),
	}
	switch p.Action {
	case "REDIRECT_TO_URL":
		p.RedirectURL = pick(g, "http://www.example.org/", "https://example.org:8443/there?x=%20y", "http://example.org/a/b/", "http://example.org/")
		if g.chance(mangled) {
			p.RedirectURL = pick(g, "http://example.org/?a=1&b=2", "http://example.org/a'b", "http://example.org/a#b")
		}
	case "REDIRECT_PREFIX":
		p.RedirectPrefix = pick(g, "https://www.example.org", "http://example.org:8080/base", "http://example.org/base/")
	case "REDIRECT_TO_POOL":
		var usable []string
		for i := range lb.Pools {
			if capabilities.CanServe(l.Protocol, lb.Pools[i].Protocol) {
				usable = append(usable, lb.Pools[i].ID)
			}
		}
		if len(usable) == 0 {
			p.Action = "REJECT"
			break
		}
		p.RedirectPoolID = pick(g, usable...)
	}
	if p.Action == "REDIRECT_TO_URL" || p.Action == "REDIRECT_PREFIX" {
		p.RedirectHTTPCode = pick(g, 0, 301, 302, 303, 307, 308)
	}
	for range pick(g, 0, 1, 1, 1, 1, 2, 3) {
		if l.Protocol == model.ProtocolTerminatedHTTPS && g.chance(40) {
			p.Rules = append(p.Rules, g.tlsRule())
			continue
		}
		p.Rules = append(p.Rules, g.rule())
	}
	return p
}

// mangled is how often there is a text, in percent, that Octavia's template and HAProxy's parser make another one of.
const mangled = 2

// What rules ask for and requests have, so that they meet.
var (
	hosts   = []string{"www.example.com", "example.com", "api.example.com:8080", "WWW.Example.COM", "other.test"}
	paths   = []string{"/", "/a", "/a/b", "/images/cat.jpg", "/API/v1", "/a%20b", "/a//b", "/a/../b", "/foojpg", "/a;p=1", "/%61", "/a&b"}
	cookies = []string{"sid=abc", "sid=abcdef", `sid="abc"`, "other=1; sid=abc", "sid=", "SID=abc", "sid=xyz; sid=abc", "sid = abc"}
	values  = []string{"one", "one, two", "two,one", "ONE", "", "one two", "onetwo", `"one, two"`, `a, "one`, " one ,two", ",one", "one;two", "'one'", "one&two", `\"one`}
)

func (g *generator) rule() (r model.L7Rule) {
	r = model.L7Rule{
		ID: g.id(), AdminStateUp: !g.chance(10), Invert: g.chance(25),
		Type:        pick(g, "HOST_NAME", "PATH", "PATH", "HEADER", "COOKIE", "FILE_TYPE"),
		CompareType: pick(g, "EQUAL_TO", "STARTS_WITH", "ENDS_WITH", "CONTAINS", "REGEX"),
	}
	regex := r.CompareType == "REGEX"
	defer func() {
		if !regex && r.Type != "HOST_NAME" && g.chance(mangled) {
			r.Value = pick(g, r.Value+"#b", r.Value+"&b", "one<two", "a'b", `"one two"`)
		}
	}()
	switch r.Type {
	case "HOST_NAME":
		r.Value = pick(g, "www.example.com", "example.com", "Example.com", "api", ".com", "example.com:8080")
		if regex {
			r.Value = pick(g, `example\.com`, `^www\.`, `com$`, `^(api|www)\.example\.com(:[0-9]+)?$`)
		}
	case "PATH":
		r.Value = pick(g, "/", "/a", "/a/b", "/API", "b", "/images", "//", "/a%20b", "..")
		if regex {
			r.Value = pick(g, `^/a`, `b$`, `^/[a-z]+/`, `/(a|b)/`, `\.jpg$`, `^/$`, `%[0-9a-f]{2}`)
		}
	case "HEADER":
		r.Key = pick(g, "X-Test", "x-test", "X-Test", "User-Agent", "X-Forwarded-Proto")
		r.Value = pick(g, "one", "two", "One", "o", "one two")
		if r.Key == "X-Forwarded-Proto" {
			r.Value = pick(g, "https", "http")
		}
		if regex {
			r.Value = pick(g, `one`, `^on`, `two|three`, `[A-Z]`)
		}
	case "COOKIE":
		r.Key = pick(g, "sid", "sid", "other")
		r.Value = pick(g, "abc", "a", "c", "1")
		if regex {
			r.Value = pick(g, `^abc$`, `b`, `[0-9]`)
		}
	case "FILE_TYPE":
		r.Value = pick(g, "jpg", "png", "b")
		r.CompareType = pick(g, "EQUAL_TO", "REGEX")
		if r.CompareType == "REGEX" {
			r.Value = pick(g, `jpg|png`, `^j`)
		}
	}
	return r
}
