package parity

import (
	"slices"
	"strings"
)

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
			"one interim answer", "Envoy passes the first 100, 102 or 103 that a member sends, and none behind it. HAProxy passes all, among them a 100 that nobody asked for.",
			func(_ *trial, d *difference) bool {
				h, e := strings.Fields(codes(d.HAProxy)), strings.Fields(codes(d.Envoy))
				return d.Where == "interim answers" && len(e) < len(h) && len(e) <= 1 && slices.Equal(h[:len(e)], e)
			},
		},
		{
			"interim answers and HTTP/1.0", "A client of HTTP/1.0 knows none. Its request reaches members as one of HTTP/1.1, and Envoy passes the 100, 102 or 103 of those " +
				"that send one unasked.",
			func(t *trial, d *difference) bool {
				return d.Where == "interim answers" && t.old(d.Step) && d.HAProxy == "absent"
			},
		},
		{
			"framing", "Where the member's answer ends with its connection, Envoy sends chunks and keeps the client's.",
			func(t *trial, d *difference) bool {
				return d.Where == "response framing" && d.HAProxy == framingClose && d.Envoy == framingChunked ||
					d.Where == "response header transfer-encoding" && d.HAProxy == "absent" && d.Envoy == `["chunked"]` && len(t.envoy.step(d.Step).Seen) > 0
			},
		},
		{
			"private", "An answer that carries a cookie of ours is always marked private, so that no cache keeps it. HAProxy leaves that out where it " +
				"finds that no cache would, such as for DELETE.",
			func(t *trial, d *difference) bool {
				r, response := t.request(d.Step), t.envoy.step(d.Step).Response
				return d.Where == "response header cache-control" && list(d.Envoy) == strings.TrimPrefix(list(d.HAProxy)+",private", "absent,") &&
					r != nil && r.Method != "GET" && strings.Contains(response.value("set-cookie"), serverCookie+"=")
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
	}
}

// connectionDifferences are about what comes behind an answer.
func connectionDifferences() []allowed {
	return []allowed{
		{
			"closed by HAProxy", "After an answer HAProxy may close the connection, and says so: behind a request that is bad, or an answer that ends so. The requests behind " +
				"it are then not answered.",
			func(t *trial, d *difference) bool {
				last := len(t.haproxy.Steps) - 1
				return d.Where == "requests answered" && last >= 0 && last < len(t.envoy.Steps)-1 && t.haproxy.Steps[last].closes()
			},
		},
		{
			"closed by Envoy", "Envoy closes the connection, and says so, behind its own answer to a request whose body has not come, an upgrade that is none, " +
				"a target that begins with https://, and a request of HTTP/1.0. HAProxy keeps some of these.",
			func(t *trial, d *difference) bool {
				last := len(t.envoy.Steps) - 1
				if d.Where != "requests answered" || last < 0 || last >= len(t.haproxy.Steps)-1 || !t.envoy.Steps[last].closes() {
					return false
				}
				h, e, r := &t.haproxy.Steps[last], &t.envoy.Steps[last], t.request(last)
				if r != nil {
					if scheme, _, _, is := r.absolute(); is && scheme == "https" && summary(e) == "status 403" {
						return true
					}
				}
				return r == nil || summary(h) != summary(e) || t.old(last) || r.passesUpgrade() || r.Framing != "" && len(e.Seen) == 0
			},
		},
	}
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

// closes reports whether the connection is known to end here.
func (s *step) closes() bool {
	return s.End != "" || s.Response.announcesClose() || s.Response.Framing == framingTunnel
}

// announcesClose reports whether nothing more comes on the connection after this answer.
func (m *message) announcesClose() bool {
	says := func(option string) bool {
		return slices.ContainsFunc(m.values("connection"), func(value string) bool { return strings.EqualFold(value, option) })
	}
	return m == nil || m.Framing == framingClose || says("close") || strings.HasPrefix(m.First, "HTTP/1.0") && !says("keep-alive")
}
