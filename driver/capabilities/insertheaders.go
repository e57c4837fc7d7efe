package capabilities

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// insertedHeaders are those of Octavia's SUPPORTED_HTTP_HEADERS that its amphorae insert.
func insertedHeaders() []string {
	return []string{"X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto"}
}

// clientHeaders are Octavia's SUPPORTED_SSL_HEADERS, about the certificates of clients.
func clientHeaders() []string {
	return []string{
		"X-SSL-Client-Verify", "X-SSL-Client-Has-Cert", "X-SSL-Client-DN", "X-SSL-Client-CN", "X-SSL-Issuer", "X-SSL-Client-SHA1",
		"X-SSL-Client-Not-Before", "X-SSL-Client-Not-After",
	}
}

// insertHeaders checks the headers that a listener inserts. "false" is how a user says that one is not.
//
// HAProxy takes every value but "true" for false, in whatever case: one that is neither is refused, as nothing is
// accepted and ignored.
func (c *checker) insertHeaders(o object, l *model.Listener) {
	insertable := insertedHeaders()
	if l.Protocol != model.ProtocolHTTP {
		insertable = append(insertable, clientHeaders()...)
	}
	for _, name := range slices.Sorted(maps.Keys(l.InsertHeaders)) {
		switch value := l.InsertHeaders[name]; {
		case strings.EqualFold(value, "false"):
		case !strings.EqualFold(value, "true"):
			c.invalid(o, "insert_headers", "The header %s of insert_headers must be true or false, not %q.", plain(name), clip(value))
		case l.Protocol != "" && !readsRequests(l.Protocol): // "" is a listener of which only an update is known
			c.unsupported(o, "insert_headers", fmt.Sprintf("A listener of protocol %s sees no headers; use an HTTP listener "+
				"to insert %s.", plain(l.Protocol), plain(name)))
		case slices.Contains(clientHeaders(), name) && l.Protocol == model.ProtocolHTTP:
			c.unsupported(o, "insert_headers", fmt.Sprintf("A listener of protocol HTTP sees no certificates of clients; use a "+
				"TERMINATED_HTTPS listener to insert %s.", name))
		case !slices.Contains(insertable, name):
			c.unsupported(o, "insert_headers", fmt.Sprintf("The header %s cannot be inserted; insert_headers can have %s.",
				plain(name), enumerate(insertable)))
		}
	}
}
