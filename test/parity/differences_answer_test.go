package parity

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// answerDifferences are about which answer there is to a request that RFC 9112 allows.
func answerDifferences() []allowed {
	return []allowed{
		{
			"HTTP behind TCP", "HAProxy reads and judges HTTP when the pool of a TCP listener is an HTTP one, as Octavia then gives its backend `mode http`. " +
				"A TCP listener of Envoy passes bytes, whatever its pool.",
			func(t *trial, d *difference) bool {
				if pool := t.lb.Pool(t.listener().DefaultPoolID); t.listener().Protocol != model.ProtocolTCP || pool == nil || pool.Protocol != model.ProtocolHTTP {
					return false
				}
				return d.Where != "pool" && d.Where != "connection" && d.Where != "members" &&
					(d.Where != "answer" || d.Step != 0 || !strings.HasPrefix(d.HAProxy, "status 2"))
			},
		},
		{
			"https in the target", "A target that begins with https:// on a listener without TLS is Envoy's 403. HAProxy does not look at the scheme.",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				if r == nil {
					return false
				}
				scheme, _, _, is := r.absolute()
				return is && scheme == "https" && t.came(d, "*", "status 403")
			},
		},
		{
			"target or Host", "A target with a host of its own that differs from Host is HAProxy's 400, though equal but for case, and HTTP:// in any case. Envoy " +
				"takes the target's host, as RFC 9112, 3.2.2 asks.",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				if r == nil {
					return false
				}
				_, host, _, is := r.absolute()
				return is && (t.came(d, "status 400", "*") || d.Where == "seen header host" && d.Envoy == lines([]string{host}))
			},
		},
		{
			"targets without a path", "OPTIONS *, CONNECT and http://host?query go to no member: Envoy answers 404. The first is for servers, the second for forward " +
				"proxies, and the third has no path.",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				if r == nil {
					return false
				}
				_, _, path, is := r.absolute()
				return t.came(d, "*", "status 404") && (t.odd(d.Step, "asterisk", "CONNECT") || is && strings.HasPrefix(path, "?"))
			},
		},
		{
			"long headers", "HAProxy takes 16 KB of a first line with headers, and answers 400 or 502 to more. Envoy takes 60 KB.",
			func(t *trial, d *difference) bool {
				return t.odd(d.Step, "long header", "long target") && t.came(d, "status 400", "*") ||
					t.answered(d.Step, "big-head") && t.came(d, "status 502", "status 200")
			},
		},
		{
			"WebSocket without a key", "HAProxy answers 400 to an upgrade to WebSocket that has no Sec-WebSocket-Key. Envoy leaves that to the member.",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				return r != nil && r.names("upgrade", "websocket") && r.value("sec-websocket-key") == "" && t.came(d, "status 400", "*")
			},
		},
		{
			"upgrades for members", "Members can switch to WebSocket, SPDY/3.1 (`kubectl exec`) and tcp (`docker attach`). HAProxy passes any other upgrade, too. Here a " +
				"member does not see that it was offered, and answers as it does without.",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				return r != nil && t.answered(d.Step, "upgrade") && !r.passesUpgrade() && t.came(d, "status 101", "status 426") ||
					d.Where == "seen header upgrade" && d.HAProxy != d.Envoy && strings.HasPrefix(list(d.HAProxy), list(d.Envoy)+",")
			},
		},
		{
			"two upgrades", "A client that offers several upgrades that are for members, or one of these twice, gets Envoy's 403.",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				return r != nil && r.passesUpgrade() && strings.Contains(list(lines(strings.Split(r.value("upgrade"), "\n"))), ",") && t.came(d, "*", "status 403")
			},
		},
		{
			"refused WebSocket", "When a member does not switch to WebSocket and answers otherwise, Envoy passes its status and headers, and no body.",
			func(t *trial, d *difference) bool {
				r, h, e := t.request(d.Step), t.haproxy.step(d.Step), t.envoy.step(d.Step)
				return r != nil && r.passesUpgrade() && r.names("upgrade", "websocket") && h.status() == e.status() && h.status() > 101 &&
					len(e.Response.Body) == 0 && (strings.HasPrefix(d.Where, "response ") || d.Where == "answer")
			},
		},
		{
			"whose timeout", "When a client stops in the midst of a body, or a member does not answer a POST that asks for an upgrade, client and member are silent " +
				"alike. Either proxy says 408 or 504, by the timeout that it goes by.",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				return r != nil && (r.Stop == stopBody || r.passesUpgrade() && r.Method == "POST") &&
					(t.came(d, "status 504", "status 408") || t.came(d, "status 408", "status 504"))
			},
		},
		{
			"many at once", "Envoy closes a connection on which more than two answers wait to be sent, one of its own among them: that protects it from clients " +
				"that do not read.",
			func(t *trial, d *difference) bool {
				own := func(s step) bool { return len(s.Seen) == 0 }
				return t.exchange.Pipelined && d.Step >= 2 && t.came(d, "*", "no answer, *") && (slices.ContainsFunc(t.envoy.Steps[:d.Step], own) ||
					slices.ContainsFunc(t.haproxy.Steps[:min(d.Step+1, len(t.haproxy.Steps))], own))
			},
		},
		{
			"closed connection to a member", "When a member closes a kept connection without an answer, HAProxy closes the client's in turn, so that the client tries " +
				"again. Envoy answers 502.",
			func(t *trial, d *difference) bool {
				return t.answered(d.Step, "close-at-once", "cut-head", "100-then-close") && t.came(d, "no answer, closed", "status 502")
			},
		},
		{
			"other members tried", "Envoy tries another member each time that it cannot connect to one. HAProxy tries the same until its third and last retry, which may hit " +
				"another that is dead, and then answers 503.",
			func(t *trial, d *difference) bool {
				e := t.envoy.step(d.Step)
				if t.came(d, "no answer, closed", "record") {
					member, err := netip.ParseAddrPort(e.Response.value(headerMember))
					return err == nil && hasDead(*t.pool(member))
				}
				return len(e.Seen) > 0 && hasDead(*t.pool(e.Seen[0].Member)) && t.came(d, "status 503", "*")
			},
		},
		{
			"dead members and hashes", "A client whose hash leads to a dead member may get no other until a health monitor takes that out: of TCP Envoy tries the same again, of HTTP " +
				"four that it draws. HAProxy tries another at last, and has no hash for SOURCE_IP_PORT.",
			func(t *trial, d *difference) bool {
				h := t.haproxy.step(d.Step)
				pool := t.lb.Pool(t.listener().DefaultPoolID)
				if readsHTTP(t.listener()) && len(h.Seen) > 0 {
					pool = t.pool(h.Seen[0].Member)
				}
				return pool != nil && hasDead(*pool) && (bySource(pool) || pool.LBAlgorithm == model.AlgorithmSourceIPPort) &&
					(t.came(d, "*", "status 503") || t.came(d, "*", "no answer, *") || d.Where == "requests answered")
			},
		},
		{
			"half-closed connections", "A client of HTTP that ends its side right behind its request, as some scripts with netcat do, is gone to Envoy, and gets no answer, or the begin of one.",
			func(t *trial, d *difference) bool {
				e := t.envoy.step(d.Step)
				return t.exchange.HalfClose && readsHTTP(t.listener()) && e.End != "" &&
					(t.came(d, "status *", "*") || d.Where == "response framing" || d.Where == "response body")
			},
		},
		{
			"closed or reset", "When a connection has to end, for want of a member or in the midst of an answer, Envoy ends it by a reset if the client has sent " +
				"what is not read.",
			func(t *trial, d *difference) bool {
				begin, closed := strings.CutSuffix(d.HAProxy, ", closed")
				return d.Where == "answer" && closed && d.Envoy == begin+", reset" && (!readsHTTP(t.listener()) || t.exchange.Pipelined)
			},
		},
	}
}

// oddDifferences are about which answer there is to a request, or for an answer of a member, that RFC 9112 does not allow.
func oddDifferences() []allowed {
	return []allowed{
		{
			"malformed requests", "Envoy's parser is the stricter one: it answers 400 to requests against RFC 9112 that HAProxy lets pass. No Host; in Host a blank, a path " +
				"or a list; a target that is * without OPTIONS, or has another scheme or no host; control characters; a length twice, or besides chunks; line feeds in chunks; blanks in the names of trailers.",
			func(t *trial, d *difference) bool {
				return t.came(d, "*", "status 400") && t.odd(d.Step, "bad trailer", "no Host", "blank in Host", "path in Host", "list in Host", "asterisk of GET",
					"no host in target", "other scheme in target", "control character in value", "NUL in value", "delete in value", "same length twice",
					"same length in a list", "length and chunks", "chunks of line feeds")
			},
		},
		{
			"leniently read", "A blank at the end of the request line, and a carriage return in a header, which it drops, do not bother Envoy. HAProxy answers 400.",
			func(t *trial, d *difference) bool {
				return t.came(d, "status 400", "*") && t.odd(d.Step, "blank at the end", "carriage return in value")
			},
		},
		{
			"bad bodies", "Envoy passes a body on as it comes. Where that turns out to be bad, a member has begun to read it, or Envoy has answered by itself. HAProxy " +
				"often sees all of it before.",
			func(t *trial, d *difference) bool {
				return t.odd(d.Step, "bad chunk", "negative chunk", "huge chunk", "chunk without end", "chunks of line feeds", "bad trailer") &&
					(t.came(d, "status 400", "*") || d.Where == "seen framing" || d.Where == "seen body" || d.Where == "seen trailers")
			},
		},
		{
			"unknown methods", "A method that Envoy's parser does not know, such as M-SEARCH, and any in lower case, is a 400. Envoy could take all, but by what its proto calls " +
				"work in progress and outside of its threat model.",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				return r != nil && !slices.Contains(knownMethods(), r.Method) && t.came(d, "*", "status 400")
			},
		},
		{
			"bad begins", "HAProxy answers 400 as soon as the begin of a request is bad, such as a target with #. Envoy judges it when all of the head has come, and else answers 408.",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				return r != nil && r.Stop == stopHead && t.came(d, "status 400", "status 408")
			},
		},
		{
			"no version", "A request line without a version, as of 1991, is one of HTTP/1.0 to Envoy and bad to HAProxy.",
			func(t *trial, d *difference) bool {
				return t.odd(d.Step, "no version", "HTTP/0.9") && t.came(d, "status 400", "*")
			},
		},
		{
			"unknown encoding", "A Transfer-Encoding that nobody knows is Envoy's 501, as RFC 9112, 6.1 recommends, and HAProxy's 400 or 422.",
			func(t *trial, d *difference) bool {
				return (t.came(d, "status 400", "status 501") || t.came(d, "status 422", "status 501")) && t.odd(d.Step, "unknown encoding", "gzip and chunked",
					"chunked and gzip", "chunked twice", "chunked in two lines", "strange chunked")
			},
		},
		{
			"chunks of HTTP/1.0", "HTTP/1.0 has no chunks. HAProxy refuses a GET with them by 413; Envoy answers and then closes, as RFC 9112, 6.1 asks.",
			func(t *trial, d *difference) bool {
				return t.odd(d.Step, "chunks of HTTP/1.0") && t.came(d, "status 413", "*")
			},
		},
		{
			"malformed answers", "Envoy answers 502 for a member that sends a length twice, control characters in a header, or a 204 that has " +
				"a length. HAProxy lets them pass.",
			func(t *trial, d *difference) bool {
				return t.answered(d.Step, "lengths", "bad-value", "204-body") && t.came(d, "status *", "status 502")
			},
		},
		{
			"bad chunks of answers", "Envoy passes an answer on as it comes, and closes where its chunks turn out to be bad. HAProxy may have seen that before.",
			func(t *trial, d *difference) bool {
				return t.answered(d.Step, "bad-chunk") && (t.came(d, "status 502", "status 200, closed") || d.Where == "response body")
			},
		},
		{
			"switched unasked", "A member that switches protocols although nobody asked gets a 502 from HAProxy for its client. Envoy passes the 101.",
			func(t *trial, d *difference) bool {
				return t.answered(d.Step, "101-unasked") && t.came(d, "*", "status 101")
			},
		},
	}
}

// knownMethods are those of the generator that Envoy's parser knows.
func knownMethods() []string {
	return []string{"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "PURGE", "TRACE", "CONNECT", "PROPFIND", "REPORT", "MKCOL"}
}
