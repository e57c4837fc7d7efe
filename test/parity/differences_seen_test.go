package parity

import (
	"slices"
	"strings"
)

// seenDifferences are about the request that the member sees.
func seenDifferences() []allowed {
	return []allowed{
		{
			"inserted headers and PROXY", "Octavia's template forgets X-Forwarded-For and X-Forwarded-Port, not -Proto, when the pool speaks PROXY. Here they are " +
				"inserted, as the user asked.",
			func(t *trial, d *difference) bool {
				for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Port"} {
					if d.Where == "seen header "+strings.ToLower(name) && strings.EqualFold(t.listener().InsertHeaders[name], "true") {
						return t.envoy.step(d.Step).proxy() != ""
					}
				}
				return false
			},
		},
		{
			"HTTP/1.1 to members", "HAProxy tells the member the version of the client. Envoy speaks HTTP/1.1 to members, as RFC 9110, 2.5 asks of a proxy.",
			func(t *trial, d *difference) bool {
				return d.Where == "seen request line" && t.old(d.Step) && strings.TrimSuffix(d.HAProxy, "1.0") == strings.TrimSuffix(d.Envoy, "1.1")
			},
		},
		{
			"Host of HTTP/1.0", "A client of HTTP/1.0 need not send Host, one of HTTP/1.1 must. Envoy, which speaks HTTP/1.1 to the member, takes it " +
				"from the target or else the VIP.",
			func(t *trial, d *difference) bool {
				return d.Where == "seen header host" && t.old(d.Step) && d.HAProxy == "absent"
			},
		},
		{
			"form of the target", "A target with a host reaches the member as the path alone, the form that RFC 9112, 3.2.1 has for servers. HAProxy passes " +
				"it as it came.",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				if r == nil || d.Where != "seen request line" {
					return false
				}
				_, _, path, is := r.absolute()
				return is && d.Envoy == r.Method+" "+path+" HTTP/1.1"
			},
		},
		{
			"port of the target", "A host in the target reaches the member with its port, as it came. HAProxy takes the default port away.",
			func(t *trial, d *difference) bool {
				return d.Where == "seen header host" && t.odd(d.Step, "default port in target") && d.Envoy == `["a.test:80"]`
			},
		},
		{
			"empty X-Forwarded-Proto", "An empty X-Forwarded-Proto of a client is dropped: it says nothing.",
			func(_ *trial, d *difference) bool {
				return d.Where == "seen header x-forwarded-proto" && list(d.HAProxy) == "" && d.Envoy == "absent"
			},
		},
		{
			"length of no body", "Envoy says Content-Length: 0 where a method may have a body and there is none, as RFC 9110, 8.6 recommends.",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				return r != nil && r.Framing == "" && r.Method != "GET" && r.Method != "HEAD" &&
					(d.Where == "seen header content-length" && d.HAProxy == "absent" && d.Envoy == `["0"]` ||
						d.Where == "seen framing" && d.HAProxy == framingNone && d.Envoy == framingLength)
			},
		},
		{
			"case of encodings", "Envoy writes Transfer-Encoding: chunked in lower case, HAProxy as it came. RFC 9112, 7 does not tell them apart.",
			func(_ *trial, d *difference) bool {
				return d.Where == "seen header transfer-encoding" && d.HAProxy != d.Envoy && strings.EqualFold(d.HAProxy, d.Envoy)
			},
		},
		{
			"upgrade with a body", "HAProxy takes Upgrade away from a request that has a body. Envoy passes it, without the body's framing, and the body only when " +
				"the member has switched. A member that waits for the body does not, until a timeout. RFC 6455 and `kubectl exec` have no body there.",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				return r != nil && r.Framing != "" && r.passesUpgrade()
			},
		},
		{
			"chunks after HTTP/1.0", "A defect of Envoy 1.40: when a member keeps a connection after an answer of HTTP/1.0, Envoy leaves the chunks of the next request on " +
				"it without their framing. A server of HTTP/1.0 keeps one only when asked to, and Envoy does not ask.",
			func(t *trial, d *difference) bool {
				return t.answered(d.Step-1, "http10-keep-alive") && t.request(d.Step).Framing == framingChunked && strings.HasPrefix(d.Where, "seen ")
			},
		},
	}
}

// headerDifferences are about single headers, of requests and of answers.
func headerDifferences() []allowed {
	return []allowed{
		{
			"hop by hop", "Envoy keeps what is about one connection alone to that connection, as RFC 9110, 7.6.1 asks: Connection and the headers " +
				"that it names, Keep-Alive, Proxy-Connection, TE, and an upgrade that is not for members. HAProxy passes most of it on.",
			func(t *trial, d *difference) bool {
				whose, name, _ := strings.Cut(d.Where, " header ")
				if whose != "seen" && whose != "response" {
					return false
				}
				r := t.request(d.Step)
				switch name {
				case "connection":
					return true
				case "keep-alive", "proxy-connection":
					return d.Envoy == "absent"
				case "te":
					return d.Envoy == "absent" || d.Envoy == `["trailers"]` && strings.Contains(d.HAProxy, "trailers") || r != nil && r.passesUpgrade()
				case "upgrade":
					return d.Envoy == "absent" && (whose == "response" || r != nil && !r.passesUpgrade())
				}
				return whose == "seen" && r != nil && d.Envoy == "absent" && r.names("connection", name)
			},
		},
		{
			"lists in one line", "Envoy joins several lines of a header that it knows by commas. RFC 9110, 5.3 calls both the same.",
			func(_ *trial, d *difference) bool {
				return strings.Contains(d.Where, " header ") && strings.Contains(d.HAProxy, `" "`) && !strings.Contains(d.Envoy, `" "`) &&
					d.Envoy != "absent" && list(d.HAProxy) == list(d.Envoy)
			},
		},
		{
			"folded lines", "A header over two lines, which RFC 9112, 5.2 forbids, becomes one in both, with one space in between in Envoy.",
			func(_ *trial, d *difference) bool {
				return strings.HasSuffix(d.Where, " header x-folded") && slices.Equal(strings.Fields(d.HAProxy), strings.Fields(d.Envoy))
			},
		},
		{
			"blanks in cookies", "Blanks around the = of a cookie, which RFC 6265 does not have: either takes some of them along where it takes a cookie of its " +
				"own out or adds one.",
			func(_ *trial, d *difference) bool {
				return (d.Where == "seen header cookie" || d.Where == "response header set-cookie") && d.Envoy != "absent" && d.HAProxy != "absent" &&
					strings.ReplaceAll(d.HAProxy, " ", "") == strings.ReplaceAll(d.Envoy, " ", "")
			},
		},
		{
			"headers for an Envoy", "X-Envoy-… command an Envoy, and X-Octavia-… are our own. A client may not use them, so they are taken away.",
			func(_ *trial, d *difference) bool {
				return (strings.HasPrefix(d.Where, "seen header x-envoy-") || d.Where == "seen header x-octavia-forwarded-proto" ||
					d.Where == "seen header x-octavia-client-dn" ||
					d.Where == "response header x-octavia-member") && d.Envoy == "absent"
			},
		},
		{
			"two Hosts", "Envoy makes one Host of two by a comma, a name that nobody has. RFC 9112, 3.2 demands a 400, as HAProxy gives when they differ.",
			func(t *trial, d *difference) bool {
				return t.odd(d.Step, "two Hosts") && t.came(d, "status 400", "*") ||
					t.odd(d.Step, "same Host twice") && d.Where == "seen header host" && d.Envoy == `["a.test,a.test"]`
			},
		},
	}
}

// passed are the upgrades that members get to see.
var passed = []string{"websocket", "spdy/3.1", "tcp"}

// passesUpgrade reports whether a request asks for one of the upgrades that members get to see.
func (r *request) passesUpgrade() bool {
	return r.names("connection", "upgrade") && slices.ContainsFunc(passed, func(protocol string) bool { return r.names("upgrade", protocol) })
}

// list is a header's values as one list.
func list(values string) string {
	values = strings.ReplaceAll(strings.Trim(values, "[]"), `" "`, ",")
	var all []string
	for element := range strings.SplitSeq(strings.Trim(values, `"`), ",") {
		if element = strings.TrimSpace(element); element != "" {
			all = append(all, element)
		}
	}
	return strings.Join(all, ",")
}
