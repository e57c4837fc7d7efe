package translate

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

// persistence returns the type of a pool's session persistence, "" without.
func persistence(pool *model.Pool) string {
	if pool.SessionPersistence == nil {
		return ""
	}
	return pool.SessionPersistence.Type
}

// checkCookieName takes a token of RFC 9110, as RFC 6265 has it for the name of a cookie.
func checkCookieName(name string) error {
	const others = "!#$%&'*+-.^_`|~"
	if len(name) == 0 || len(name) > maxCookieName {
		return fmt.Errorf("the name of a cookie has 1 to %d characters", maxCookieName)
	}
	for _, char := range []byte(name) {
		switch {
		case char >= 'a' && char <= 'z', char >= 'A' && char <= 'Z', char >= '0' && char <= '9':
		case !strings.ContainsRune(others, rune(char)):
			return fmt.Errorf("%.64q is not the name of a cookie", name)
		}
	}
	return nil
}

// checkPersistence refuses what would not keep a client on its member as asked.
func checkPersistence(pool *model.Pool, refuse func(field, reason string)) {
	kept := pool.SessionPersistence
	if kept == nil {
		return
	}
	switch kept.Type {
	case persistSourceIP:
	case persistHTTPCookie, persistAppCookie:
		if !servesHTTP(pool.Protocol) {
			refuse("session_persistence", fmt.Sprintf("a pool of protocol %.32s cannot keep clients by a cookie: use SOURCE_IP", pool.Protocol))
		}
		if kept.Type == persistAppCookie {
			if err := checkCookieName(kept.CookieName); err != nil {
				refuse("session_persistence", err.Error())
			}
		}
	default:
		refuse("session_persistence", unsupported("session persistence", kept.Type))
	}
	// keepalived's defaults in Octavia's template: a hash lasts longer than any time, and is of the whole address.
	if kept.PersistenceTimeout != 0 && kept.PersistenceTimeout != 360 {
		refuse("session_persistence", fmt.Sprintf("persistence_timeout %d is not supported: a client stays on its member for good",
			kept.PersistenceTimeout))
	}
	switch kept.PersistenceGranularity {
	case "", "255.255.255.255", "128":
	default:
		refuse("session_persistence", unsupported("persistence_granularity", kept.PersistenceGranularity)+": each address is a client")
	}
}
