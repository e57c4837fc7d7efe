package capabilities

import (
	"fmt"
	"strings"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// The types of session persistence (octavia_lib.common.constants).
const (
	persistSourceIP   = "SOURCE_IP"
	persistHTTPCookie = "HTTP_COOKIE"
	persistAppCookie  = "APP_COOKIE"
)

// maxCookieName is the length of Octavia's column.
const maxCookieName = 255

// defaultPersistenceTimeout is keepalived's, in seconds, of Octavia's template.
const defaultPersistenceTimeout = 360

func (c *checker) sessionPersistence(o object, p *model.Pool) {
	s := p.SessionPersistence
	if s == nil {
		return
	}
	const field = "session_persistence"
	c.choice(o, field, s.Type, []string{persistSourceIP, persistHTTPCookie, persistAppCookie}, nil)
	if byCookie(p) && p.Protocol != "" && !servesHTTP(p.Protocol) {
		c.unsupported(o, field, fmt.Sprintf("A pool of protocol %s sees no cookies; use session persistence SOURCE_IP, or an HTTP pool.",
			plain(p.Protocol)))
	}
	if s.Type == persistAppCookie && !validCookieName(s.CookieName) {
		c.invalid(o, field, "cookie_name must be a token of 1 to %d characters, not %q.", maxCookieName, clip(s.CookieName))
	}
	if s.PersistenceTimeout != 0 && s.PersistenceTimeout != defaultPersistenceTimeout {
		c.unsupported(o, field, "A persistence_timeout is not supported: a client stays on its member for good; create the pool without it.")
	}
	switch s.PersistenceGranularity {
	case "", "255.255.255.255", "128":
	default:
		c.unsupported(o, field, "A persistence_granularity is not supported: each address is a client of its own; create the pool without it.")
	}
}

// byCookie reports whether a cookie picks a client's member.
func byCookie(p *model.Pool) bool {
	return p.SessionPersistence != nil &&
		(p.SessionPersistence.Type == persistHTTPCookie || p.SessionPersistence.Type == persistAppCookie)
}

// servesHTTP reports whether an HTTP listener can have a pool of that protocol.
func servesHTTP(protocol string) bool { return CanServe(model.ProtocolHTTP, protocol) }

// validCookieName takes a token of RFC 9110, as RFC 6265 has it for the name of a cookie.
func validCookieName(name string) bool {
	for _, char := range []byte(name) {
		switch {
		case char >= 'a' && char <= 'z', char >= 'A' && char <= 'Z', char >= '0' && char <= '9':
		case !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(char)):
			return false
		}
	}
	return len(name) > 0 && len(name) <= maxCookieName
}
