package capabilities

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// maxL7Text is the length that Octavia allows keys, values and URLs, in characters.
const maxL7Text = 255

func l7Actions() []string {
	return []string{
		model.L7ActionReject, model.L7ActionRedirectToURL, model.L7ActionRedirectPrefix, model.L7ActionRedirectToPool,
	}
}

func (c *checker) l7Policy(listener object, i int, l *model.Listener, p *model.L7Policy) {
	o := listener.child(model.KindL7Policy, p.ID, fmt.Sprintf("l7policies[%d]", i))
	c.identity(o, "l7policy_id", "listener_id", p.ListenerID, l.ID)
	switch {
	case l.Protocol == model.ProtocolPrometheus:
		c.unsupported(o, "", "A PROMETHEUS listener serves the load balancer's own metrics and has no L7 policies; use an HTTP "+
			"listener for them.")
	case !readsRequests(l.Protocol) && (l.Protocol != "" || !c.partial):
		// As the amphora driver does (VALID_L7POLICY_LISTENER_PROTOCOLS).
		c.unsupported(o, "", fmt.Sprintf("A listener of protocol %s cannot have L7 policies, as it does not read requests; "+
			"use an HTTP listener.", plain(l.Protocol)))
	}
	c.choice(o, "action", p.Action, l7Actions(), nil)
	switch p.Action {
	case model.L7ActionRedirectToURL:
		c.redirect(o, p, "redirect_url", p.RedirectURL)
	case model.L7ActionRedirectPrefix:
		c.redirect(o, p, "redirect_prefix", p.RedirectPrefix)
	case model.L7ActionRedirectToPool:
		if p.RedirectPoolID == "" {
			c.invalid(o, "redirect_pool_id", "The action %s needs a redirect_pool_id.", p.Action)
		} else {
			c.usesPool(o, "redirect_pool_id", l, p.RedirectPoolID)
		}
	}
	choices := 1
	for j := range p.Rules {
		c.l7Rule(o, j, l, p, &p.Rules[j], &choices)
	}
}

// readsRequests reports whether a listener has HTTP requests to compare.
func readsRequests(protocol string) bool {
	return protocol == model.ProtocolHTTP || protocol == model.ProtocolTerminatedHTTPS
}

// redirect checks where a policy sends clients to. What Octavia allows there and HTTP does not would end up in a header.
func (c *checker) redirect(o object, p *model.L7Policy, field, text string) {
	codes := []int{0, 301, 302, 303, 307, 308}
	if !slices.Contains(codes, p.RedirectHTTPCode) {
		c.invalid(o, "redirect_http_code", "redirect_http_code must be 301, 302, 303, 307 or 308, not %d.", p.RedirectHTTPCode)
	}
	if text == "" {
		c.invalid(o, field, "The action %s needs a %s.", p.Action, field)
		return
	}
	strange := strings.ContainsFunc(text, func(char rune) bool { return char <= ' ' || char >= 0x7f })
	switch to, err := url.Parse(text); {
	case len(text) > maxL7Text:
		c.invalid(o, field, "%s can have %d characters, not %d.", field, maxL7Text, len(text))
	case strange:
		c.invalid(o, field, "%s must have blanks, control characters and those outside of ASCII percent-encoded: %q.", field, clip(text))
	case err == nil && (to.Scheme != "http" && to.Scheme != "https" || to.Host == ""):
		c.invalid(o, field, "%s must begin with http:// or https:// and a host, not %q.", field, clip(text))
	}
}
