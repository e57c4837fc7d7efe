package parity

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// difference is one thing that differs between the two proxies.
type difference struct {
	// Step is the number of the request in its exchange, or -1.
	Step int
	// Where says what differs: "status", "response header via", "seen header host" ….
	Where          string
	HAProxy, Envoy string
}

// trial is an exchange with its two outcomes.
type trial struct {
	lb             *model.LoadBalancer
	exchange       *exchange
	haproxy, envoy *outcome
}

func (t *trial) listener() *model.Listener { return &t.lb.Listeners[t.exchange.Listener] }

// request returns what was asked in a step; nil when that was no HTTP.
func (t *trial) request(i int) *request {
	if i < 0 || i >= len(t.exchange.Requests) {
		return nil
	}
	return &t.exchange.Requests[i]
}

// pool returns the pool whose member it is.
func (t *trial) pool(member netip.AddrPort) *model.Pool {
	for i := range t.lb.Pools {
		for j := range t.lb.Pools[i].Members {
			m := &t.lb.Pools[i].Members[j]
			if m.ProtocolPort == int(member.Port()) && m.Address == member.Addr().String() {
				return &t.lb.Pools[i]
			}
		}
	}
	return nil
}

// compare returns all that differs.
func (t *trial) compare() []difference {
	c := &comparison{trial: t}
	c.text("connection", t.haproxy.Connect, t.envoy.Connect)
	for i := range min(len(t.haproxy.Handshakes), len(t.envoy.Handshakes)) {
		c.step = i
		c.handshake(&t.haproxy.Handshakes[i], &t.envoy.Handshakes[i])
	}
	for i := range max(len(t.haproxy.Steps), len(t.envoy.Steps)) {
		c.step = i
		if i >= len(t.haproxy.Steps) || i >= len(t.envoy.Steps) {
			c.text("requests answered", strconv.Itoa(len(t.haproxy.Steps)), strconv.Itoa(len(t.envoy.Steps)))
			break
		}
		c.one(&t.haproxy.Steps[i], &t.envoy.Steps[i])
		if t.exchange.Browser && t.haproxy.Steps[i].status() != t.envoy.Steps[i].status() {
			return c.found // with different cookies from here on
		}
	}
	c.step = -1
	c.text("stickiness", t.stickiness(t.haproxy), t.stickiness(t.envoy))
	return c.found
}

type comparison struct {
	*trial
	step  int
	found []difference
}

func (c *comparison) text(where, haproxy, envoy string) {
	if haproxy != envoy {
		c.found = append(c.found, difference{c.step, where, haproxy, envoy})
	}
}

func (c *comparison) handshake(h, e *handshake) {
	if h.Refused || e.Refused {
		c.text("TLS handshake", h.String(), e.String())
		return
	}
	c.text("TLS version", h.Version, e.Version)
	c.text("TLS ALPN", h.ALPN, e.ALPN)
	c.text("TLS certificate", h.Certificate, e.Certificate)
	if h.Certificate == e.Certificate {
		c.text("TLS issuers", strconv.Itoa(h.Issuers), strconv.Itoa(e.Issuers))
	}
}

func (c *comparison) one(h, e *step) {
	c.text("answer", summary(h), summary(e))
	c.text("retries", strconv.Itoa(len(h.Seen)), strconv.Itoa(len(e.Seen)))
	if len(h.Seen) > 0 && len(e.Seen) > 0 {
		// The last one is whose answer was used.
		c.seen(&h.Seen[len(h.Seen)-1], &e.Seen[len(e.Seen)-1])
	}
	if h.Response == nil || e.Response == nil || h.Response.status() != e.Response.status() || (len(h.Seen) == 0) != (len(e.Seen) == 0) {
		return // Nothing of two different answers is comparable.
	}
	c.text("interim answers", firsts(h.Interim), firsts(e.Interim))
	c.text("status line", h.Response.First, e.Response.First)
	c.headers("response", h.Response.without(headerMember), e.Response.without(headerMember))
	c.content("response", h.Response, e.Response)
}

func (c *comparison) seen(h, e *seen) {
	name := func(s *seen) string {
		if p := c.pool(s.Member); p != nil {
			return p.ID
		}
		return "no pool has " + s.Member.String()
	}
	c.text("pool", name(h), name(e))
	if name(h) != name(e) {
		return // Nothing of requests to two different pools is comparable.
	}
	if c.named(c.step, c.pool(h.Member)) != nil {
		c.text("member by cookie", h.Member.String(), e.Member.String())
	}
	c.text("PROXY header", h.Proxy, e.Proxy)
	c.text("TLS to the member", h.TLS, e.TLS)
	c.text("seen request line", h.Request.First, e.Request.First)
	c.headers("seen", h.Request, e.Request)
	c.content("seen", h.Request, e.Request)
}

// headers compares by name, in any case and order, the values in their order.
func (c *comparison) headers(whose string, h, e *message) {
	names := map[string]bool{}
	for _, m := range []*message{h, e} {
		for _, line := range m.Headers {
			names[strings.ToLower(line.Name)] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		c.text(whose+" header "+name, lines(h.values(name)), lines(e.values(name)))
	}
}

func (c *comparison) content(whose string, h, e *message) {
	c.text(whose+" framing", h.Framing, e.Framing)
	if !bytes.Equal(h.Body, e.Body) {
		c.text(whose+" body", excerpt(h.Body), excerpt(e.Body))
	}
	c.text(whose+" trailers", fmt.Sprint(h.Trailers), fmt.Sprint(e.Trailers))
}

// stickiness tells whether requests that belong to a session met its member, as far as both proxies answered. The member
// itself is each proxy's own choice.
func (t *trial) stickiness(o *outcome) string {
	var text strings.Builder
	sessions := map[string]netip.AddrPort{}
	for i := range min(len(t.haproxy.Steps), len(t.envoy.Steps)) {
		this := o.Steps[i]
		if !t.samePool(i) {
			continue
		}
		member := this.Seen[len(this.Seen)-1].Member
		pool := t.pool(member)
		if pool == nil || pool.SessionPersistence == nil {
			continue
		}
		if began, belongs := sessions[pool.ID]; belongs && !t.asks(i, pool) {
			fmt.Fprintf(&text, "request %d kept %t; ", i, began == member)
		}
		if t.begins(pool, &t.haproxy.Steps[i]) && t.begins(pool, &t.envoy.Steps[i]) {
			sessions[pool.ID] = member
		}
	}
	return text.String()
}

// samePool reports whether members of the same pool saw a request.
func (t *trial) samePool(step int) bool {
	h, e := t.haproxy.step(step).Seen, t.envoy.step(step).Seen
	return len(h) > 0 && len(e) > 0 && t.pool(h[len(h)-1].Member) == t.pool(e[len(e)-1].Member)
}

// sessionCookie is the name of the cookie that keeps the clients of a pool, "" without one.
func sessionCookie(p *model.Pool) string {
	switch s := p.SessionPersistence; {
	case s == nil:
		return ""
	case s.Type == "HTTP_COOKIE":
		return serverCookie
	default:
		return s.CookieName
	}
}

// sentCookies are the values of the cookies of a name that a request has by itself, whatever its client got before.
func (t *trial) sentCookies(step int, name string) []string {
	var all []string
	if r := t.request(step); r != nil && name != "" {
		for _, h := range r.Headers {
			if h.Name != "Cookie" {
				continue
			}
			for pair := range strings.SplitSeq(string(h.Value), ";") {
				if key, value, found := strings.Cut(pair, "="); found && strings.TrimSpace(key) == name {
					all = append(all, strings.TrimSpace(value))
				}
			}
		}
	}
	return all
}

// asks reports whether a request has a session cookie of its own.
func (t *trial) asks(step int, p *model.Pool) bool {
	return len(t.sentCookies(step, sessionCookie(p))) > 0
}

// named returns the member that the request of a step asks for by its id: the first that can be had.
func (t *trial) named(step int, p *model.Pool) *model.Member {
	if p == nil || sessionCookie(p) != serverCookie {
		return nil
	}
	for _, id := range t.sentCookies(step, serverCookie) {
		if m := p.Member(id); m != nil && m.AdminStateUp && !isDead(*m) {
			return m
		}
	}
	return nil
}

// begins reports whether an answer begins a session that the client will be known by.
func (t *trial) begins(pool *model.Pool, s *step) bool {
	if s.Response == nil || s.Response.value(headerMember) == "" {
		return false // a member that gave no answer keeps nobody
	}
	if pool.SessionPersistence.Type == "SOURCE_IP" {
		return true
	}
	name := sessionCookie(pool)
	return t.exchange.Browser &&
		slices.ContainsFunc(s.Response.values("set-cookie"), func(line string) bool { return strings.HasPrefix(line, name+"=") })
}

// serverCookie is the one that HAProxy inserts for HTTP_COOKIE persistence.
const serverCookie = "SRV"

// summary is the short form of what came of a request.
func summary(s *step) string {
	text := "no answer"
	if s.Response != nil {
		text = fmt.Sprintf("status %d", s.Response.status())
		if s.Response.First == "record" {
			text = "record"
		}
	}
	if s.End != "" {
		text += ", " + s.End
	}
	return text
}

func firsts(messages []*message) string {
	var all []string
	for _, m := range messages {
		all = append(all, m.First)
	}
	return lines(all)
}

// lines joins values so that none, one that is empty, and several are told apart.
func lines(values []string) string {
	if values == nil {
		return "absent"
	}
	return fmt.Sprintf("%q", values)
}

func excerpt(body []byte) string {
	const limit = 200
	if len(body) > limit {
		return fmt.Sprintf("%d bytes %q…", len(body), body[:limit])
	}
	return fmt.Sprintf("%d bytes %q", len(body), body)
}
