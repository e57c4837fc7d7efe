package parity

import (
	"slices"
	"strings"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// allowed is a difference that is known and meant.
type allowed struct {
	// name is short, and unique.
	name string
	// reason says why it is right, or why nobody minds.
	reason string
	// is reports whether a difference is of this kind. Keep it as narrow as the reason.
	is func(t *trial, d *difference) bool
}

// differences is the whole list; README.md has it as a table. What is on none of its rows fails.
func differences() []allowed {
	return slices.Concat(requestDifferences(), responseDifferences(), answerDifferences())
}

// requestDifferences are about what the member sees.
func requestDifferences() []allowed {
	return []allowed{
		{
			"inserted headers and PROXY", "Octavia's template forgets X-Forwarded-For and X-Forwarded-Port, not -Proto, when the pool speaks PROXY. Here they are " +
				"inserted, as the user asked.",
			func(t *trial, d *difference) bool {
				seen := t.envoy.step(d.Step).Seen
				return (d.Where == "seen header x-forwarded-for" || d.Where == "seen header x-forwarded-port") && len(seen) > 0 && seen[0].Proxy != ""
			},
		},
		{
			"HTTP/1.1 to members", "HAProxy tells the member the version of the client. Envoy speaks HTTP/1.1 to members, as RFC 9110, 2.5 asks of a proxy.",
			func(t *trial, d *difference) bool {
				return d.Where == "seen request line" && t.says(d.Step, "HTTP/1.0") &&
					strings.TrimSuffix(d.HAProxy, "1.0") == strings.TrimSuffix(d.Envoy, "1.1")
			},
		},
		{
			"Host of HTTP/1.0", "A client of HTTP/1.0 need not send Host, one of HTTP/1.1 must. Envoy, which speaks HTTP/1.1 to the member, takes it " +
				"from the target or else the VIP.",
			func(t *trial, d *difference) bool {
				return d.Where == "seen header host" && t.says(d.Step, "HTTP/1.0") && d.HAProxy == "absent"
			},
		},
		{
			"form of the target", "A target with a host reaches the member as the path alone, the form that RFC 9112, 3.2.1 has for servers. HAProxy passes " +
				"it as it came.",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				if r == nil || d.Where != "seen request line" || !strings.HasPrefix(r.Target, "http://") {
					return false
				}
				_, path, _ := strings.Cut(strings.TrimPrefix(r.Target, "http://"), "/")
				return d.Envoy == r.Method+" /"+path+" HTTP/1.1"
			},
		},
		{
			"empty X-Forwarded-Proto", "An empty X-Forwarded-Proto of a client is dropped: it says nothing.",
			func(_ *trial, d *difference) bool {
				return d.Where == "seen header x-forwarded-proto" && list(d.HAProxy) == "" && d.Envoy == "absent"
			},
		},
		{
			"lists in one line", "Envoy joins several lines of a header that it knows by commas. RFC 9110, 5.3 calls both the same.",
			func(_ *trial, d *difference) bool {
				return strings.Contains(d.Where, " header ") && d.Envoy != "absent" && list(d.HAProxy) == list(d.Envoy)
			},
		},
		{
			"length of no body", "Envoy says Content-Length: 0 where a method may have a body and there is none, as RFC 9110, 8.6 recommends.",
			func(_ *trial, d *difference) bool {
				return d.Where == "seen header content-length" && d.HAProxy == "absent" && d.Envoy == `["0"]` ||
					d.Where == "seen framing" && d.HAProxy == framingNone && d.Envoy == framingLength
			},
		},
		{
			"hop by hop", "Envoy keeps what is about one connection alone to that connection, as RFC 9110, 7.6.1 asks: Connection and the headers " +
				"that it names, Keep-Alive, Proxy-Connection, TE, and an upgrade that is not for members. HAProxy passes most of it on.",
			func(t *trial, d *difference) bool {
				whose, name, _ := strings.Cut(d.Where, " header ")
				if whose != "seen" && whose != "response" {
					return false
				}
				switch name {
				case "connection", "keep-alive", "proxy-connection", "te", "upgrade":
					return true
				}
				r := t.request(d.Step)
				return whose == "seen" && r != nil && d.Envoy == "absent" && r.names("connection", name)
			},
		},
		{
			"folded lines", "A header over two lines, which RFC 9112, 5.2 forbids, becomes one in both, with one space in between in Envoy.",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				return r != nil && strings.Contains(r.Raw, "\r\n ") && strings.HasPrefix(d.Where, "seen header ") &&
					slices.Equal(strings.Fields(d.HAProxy), strings.Fields(d.Envoy))
			},
		},
		{
			"blanks in cookies", "HAProxy, which takes its own cookie out of Cookie, takes the blanks around = of the others along.",
			func(_ *trial, d *difference) bool {
				return d.Where == "seen header cookie" && strings.ReplaceAll(d.HAProxy, " ", "") == strings.ReplaceAll(d.Envoy, " ", "")
			},
		},
		{
			"X-Envoy headers", "They command an Envoy. A client may not, so they are taken away.",
			func(_ *trial, d *difference) bool {
				return strings.HasPrefix(d.Where, "seen header x-envoy-") && d.Envoy == "absent"
			},
		},
	}
}

// responseDifferences are about what the client gets of a member's answer.
func responseDifferences() []allowed {
	return []allowed{
		{
			"Date", "Envoy adds the Date that a member left out, as RFC 9110, 6.6.1 allows.",
			func(_ *trial, d *difference) bool {
				return d.Where == "response header date" && d.HAProxy == "absent"
			},
		},
		{
			"status line", "HAProxy answers a client of HTTP/1.0 as HTTP/1.1. Envoy says HTTP/1.0, and words a status its own way: RFC 9112, 4 tells " +
				"clients to ignore the words.",
			func(_ *trial, d *difference) bool {
				return (d.Where == "status line" || d.Where == "interim answers") && codes(d.HAProxy) == codes(d.Envoy)
			},
		},
		{
			"one 100", "A member that sends 100 Continue twice or unasked makes HAProxy do so. Envoy passes one to a client that asked, and then " +
				"nothing until the answer.",
			func(_ *trial, d *difference) bool {
				return d.Where == "interim answers" &&
					(without100(d.HAProxy) == without100(d.Envoy) || codes(d.Envoy) == "100" && strings.HasPrefix(codes(d.HAProxy), "100 "))
			},
		},
		{
			"framing", "Where the member's answer ends with its connection, Envoy sends chunks and keeps the client's. To a client of HTTP/1.0 it sends " +
				"no chunks, as RFC 9112, 6.1 demands, while HAProxy does.",
			func(t *trial, d *difference) bool {
				switch d.Where {
				case "response framing":
					return d.Envoy == framingChunked && d.HAProxy == framingClose || t.says(d.Step, "HTTP/1.0") && d.Envoy == framingClose
				case "response header transfer-encoding":
					return d.Envoy == `["chunked"]` || t.says(d.Step, "HTTP/1.0") && d.Envoy == "absent"
				}
				return false
			},
		},
		{
			"private", "An answer that carries a cookie of ours is always marked private, so that no cache keeps it. HAProxy leaves that out where it " +
				"finds that no cache would, such as for DELETE.",
			func(t *trial, d *difference) bool {
				r, response := t.request(d.Step), t.envoy.step(d.Step).Response
				return d.Where == "response header cache-control" && d.HAProxy == "absent" && d.Envoy == `["private"]` &&
					r != nil && r.Method != "GET" && strings.Contains(response.value("set-cookie"), serverCookie+"=")
			},
		},
		{
			"trailers and HTTP/1.0", "HTTP/1.0 has no trailers, so Envoy sends its clients none.",
			func(t *trial, d *difference) bool {
				return d.Where == "response trailers" && t.says(d.Step, "HTTP/1.0") && d.Envoy == "[]"
			},
		},
		{
			"length of no answer to HEAD", "Envoy's own answers to HEAD have Transfer-Encoding in place of Content-Length, and no body. RFC 9110, 8.6 lets both go.",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				return r != nil && r.Method == "HEAD" && len(t.haproxy.step(d.Step).Seen) == 0 &&
					(d.Where == "response header content-length" && d.Envoy == "absent" || d.Where == "response header transfer-encoding")
			},
		},
		{
			"connection kept or closed", "After an answer either may close the connection, and says so; the requests behind it are then not answered.",
			func(t *trial, d *difference) bool {
				if d.Where != "requests answered" {
					return false
				}
				shorter := t.haproxy
				if len(t.envoy.Steps) < len(shorter.Steps) {
					shorter = t.envoy
				}
				if len(shorter.Steps) == 0 {
					return false
				}
				last := shorter.Steps[len(shorter.Steps)-1]
				return last.End != "" || last.Response.announcesClose()
			},
		},
	}
}

// answerDifferences are about which answer there is.
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
			"target or Host", "A target with a host of its own that differs from Host is HAProxy's 400, though equal but for case. Envoy takes the target's, as " +
				"RFC 9112, 3.2.2 asks.",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				if r != nil && strings.HasPrefix(r.Raw, "GET https://") {
					return d.Where == "answer" && d.HAProxy == "status 400" || d.Where == "retries"
				}
				if r == nil || !strings.HasPrefix(r.Target, "http://") {
					return false
				}
				host, _, _ := strings.Cut(strings.TrimPrefix(r.Target, "http://"), "/")
				return d.Where == "answer" && d.HAProxy == "status 400" && !strings.EqualFold(host, r.value("host")) ||
					d.Where == "retries" && d.HAProxy == "0" && !strings.EqualFold(host, r.value("host")) ||
					d.Where == "seen header host" && d.Envoy == lines([]string{host})
			},
		},
		{
			"malformed requests", "Envoy's parser is the stricter one: it answers 400 to some requests against RFC 9112 that HAProxy lets pass, and to none that follow it.",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				return r != nil && r.Raw != "" && t.envoy.step(d.Step).status() == 400 &&
					(d.Where == "answer" || d.Where == "retries")
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
			"bad body, own answer", "Envoy's own answers do not wait for the body, so a bad one is not noticed.",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				return r != nil && strings.HasPrefix(r.Raw, "POST ") && strings.HasSuffix(r.Raw, "xyz\r\n") && d.Where == "answer" &&
					d.HAProxy == "status 400" && len(t.envoy.step(d.Step).Seen) == 0
			},
		},
		{
			"two Hosts", "Envoy makes one Host of two by a comma, a name that nobody has, where RFC 9112, 3.2 demands the 400 of HAProxy.",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				return r != nil && strings.Count(r.Raw, "\r\nHost: ") == 2 && (d.Where == "answer" && d.HAProxy == "status 400" || d.Where == "retries")
			},
		},
		{
			"no version", "A request line without a version, as of 1991, is one of HTTP/1.0 to Envoy and bad to HAProxy.",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				return r != nil && strings.HasPrefix(r.Raw, "GET /\r\n") && (d.Where == "answer" && d.HAProxy == "status 400" || d.Where == "retries")
			},
		},
		{
			"unknown encoding", "A Transfer-Encoding that nobody knows is Envoy's 501, as RFC 9112, 6.1 recommends, and HAProxy's 400.",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				return r != nil && strings.Contains(r.Raw, "Transfer-Encoding: gzip") && d.Where == "answer" && d.Envoy == "status 501"
			},
		},
		{
			"chunks of HTTP/1.0", "HTTP/1.0 has no chunks. HAProxy refuses a GET with them by 413; Envoy answers and then closes, as RFC 9112, 6.1 asks.",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				return r != nil && strings.HasPrefix(r.Raw, "GET / HTTP/1.0\r\n") && strings.Contains(r.Raw, "Transfer-Encoding") &&
					(d.Where == "answer" && d.HAProxy == "status 413" || d.Where == "retries")
			},
		},
		{
			"targets without a path", "OPTIONS * and CONNECT go to no member: Envoy answers 404. They are for servers and for forward proxies.",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				return r != nil && (strings.HasPrefix(r.Raw, "OPTIONS * ") || strings.HasPrefix(r.Raw, "CONNECT ")) &&
					(d.Where == "answer" && d.Envoy == "status 404" || d.Where == "retries")
			},
		},
		{
			"no Host", "A request of HTTP/1.1 without Host is Envoy's 400, as RFC 9112, 3.2 demands.",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				return r != nil && r.Raw == "" && r.Version == "HTTP/1.1" && r.value("host") == "" && d.Where == "answer" && d.Envoy == "status 400"
			},
		},
		{
			"long headers", "HAProxy takes 16 KB of a request's first line and headers, Envoy 60 KB.",
			func(t *trial, d *difference) bool {
				r := t.request(d.Step)
				return r != nil && len(r.Raw) > 15_000 && t.haproxy.step(d.Step).status() == 400 &&
					(d.Where == "answer" || d.Where == "retries")
			},
		},
		{
			"many at once", "Envoy closes a connection on which more than two answers wait to be sent, one of its own among them: that protects it from clients " +
				"that do not read.",
			func(t *trial, d *difference) bool {
				own := func(s step) bool { return len(s.Seen) == 0 }
				return (d.Where == "answer" || d.Where == "retries") && t.exchange.Pipelined && d.Step >= 2 &&
					strings.HasPrefix(summary(t.envoy.step(d.Step)), "no answer, ") &&
					slices.ContainsFunc(t.haproxy.Steps[:min(d.Step+1, len(t.haproxy.Steps))], own)
			},
		},
		{
			"closed connection to a member", "When a member closes a kept connection without an answer, HAProxy closes the client's in turn, so that the client tries " +
				"again. Envoy answers 502.",
			func(t *trial, d *difference) bool {
				return d.Where == "answer" && d.HAProxy == "no answer, closed" && d.Envoy == "status 502"
			},
		},
		{
			"closed or reset", "Both take a connection that they have no member for, and end it. Envoy does so by a reset when the client has sent something already.",
			func(t *trial, d *difference) bool {
				return d.Where == "answer" && t.listener().Protocol != model.ProtocolHTTP &&
					strings.TrimSuffix(d.HAProxy, "closed") == strings.TrimSuffix(d.Envoy, "reset")
			},
		},
	}
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

// codes leaves the status codes of status lines.
func codes(text string) string {
	var all []string
	for line := range strings.SplitSeq(strings.Trim(text, "[]"), `" "`) {
		if fields := strings.Fields(line); len(fields) > 1 {
			all = append(all, fields[1])
		}
	}
	return strings.Join(all, " ")
}

func without100(text string) string {
	return strings.Join(slices.DeleteFunc(strings.Fields(codes(text)), func(code string) bool { return code == "100" }), " ")
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

// says reports whether the request of a step has that version.
func (t *trial) says(step int, version string) bool {
	r := t.request(step)
	return r != nil && (r.Version == version || strings.Contains(r.Raw, " "+version+"\r\n"))
}

func (r *request) value(name string) string {
	m := message{Headers: r.Headers}
	return m.value(name)
}

// names reports whether a header has a name in its list.
func (r *request) names(header, name string) bool {
	for _, h := range r.Headers {
		if !strings.EqualFold(h.Name, header) {
			continue
		}
		for element := range strings.SplitSeq(h.Value, ",") {
			if strings.EqualFold(strings.TrimSpace(element), name) {
				return true
			}
		}
	}
	return false
}

// announcesClose reports whether nothing more comes on the connection after this answer.
func (m *message) announcesClose() bool {
	if m == nil || m.Framing == framingClose || strings.EqualFold(m.value("connection"), "close") {
		return true
	}
	return strings.HasPrefix(m.First, "HTTP/1.0") && !strings.EqualFold(m.value("connection"), "keep-alive")
}

// ruleHeaders are the headers that the rules of the listener look at.
func (t *trial) ruleHeaders() []string {
	var all []string
	for _, policy := range t.listener().L7Policies {
		for _, rule := range policy.Rules {
			if rule.Type == model.L7TypeHeader {
				all = append(all, rule.Key)
			}
		}
	}
	return all
}

// explain returns the differences that nothing allows, and counts the others by what allows them.
func (t *trial) explain(count map[string]int) []difference {
	var unexplained []difference
	for _, d := range t.compare() {
		i := slices.IndexFunc(differences(), func(a allowed) bool { return a.is(t, &d) })
		if i < 0 {
			unexplained = append(unexplained, d)
			continue
		}
		count[differences()[i].name]++
	}
	return unexplained
}
