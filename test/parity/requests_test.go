package parity

import (
	"slices"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// exchange returns what a client does with one of the listeners.
func (g *generator) exchange(lb *model.LoadBalancer) *exchange {
	x := &exchange{Listener: g.IntN(len(lb.Listeners)), VIP: g.IntN(1 + len(lb.AdditionalVIPs)), Client: g.IntN(clients), Dribble: g.chance(3)}
	listener := &lb.Listeners[x.Listener]
	pool := lb.Pool(listener.DefaultPoolID)
	asksHTTP := readsHTTP(listener) || pool != nil && pool.Protocol == model.ProtocolHTTP
	if !asksHTTP && (g.chance(70) || pool != nil && greets(pool)) {
		g.records(x, listener, pool)
		return x
	}
	if listener.Protocol == model.ProtocolTerminatedHTTPS {
		x.TLS = g.tlsClient(listener)
	}
	x.Browser = g.chance(15)
	if g.chance(7) {
		x.Requests = []request{g.malformed()}
		return x
	}
	count := pick(g, 1, 1, 1, 1, 1, 2, 3, 5)
	if slices.ContainsFunc(lb.Pools, hasDead) {
		count = 1 // HAProxy waits a second before each of three retries
	}
	for range count {
		x.Requests = append(x.Requests, g.request(lb, x))
	}
	several := len(x.Requests) > 1
	waits := slices.ContainsFunc(x.Requests, func(r request) bool { return r.expects() || r.Tunnel != "" })
	x.Pipelined = several && !x.Browser && !waits && g.chance(20)
	x.Reconnect = several && !x.Pipelined && g.chance(30)
	x.HalfClose = !x.Pipelined && !waits && x.TLS == nil && g.chance(1)
	g.patience(x, listener)
	return x
}

// patience asks for what takes as long as a timeout, now and then where timeouts are short.
func (g *generator) patience(x *exchange, listener *model.Listener) {
	last := &x.Requests[len(x.Requests)-1]
	if x.Pipelined || x.HalfClose || last.expects() || last.passesUpgrade() || !readsHTTP(listener) {
		return
	}
	if listener.TimeoutMemberData == hasty && g.chance(4) {
		last.Headers = append(slices.DeleteFunc(last.Headers, func(h header) bool { return h.Name == headerAnswer }),
			header{headerAnswer, text(pick(g, stuckAnswers()...))})
	}
	if listener.TimeoutClientData == hasty && g.chance(4) {
		last.Stop = stopHead
		if len(last.Body) > 1 && listener.TimeoutMemberData == hasty {
			last.Stop = stopBody
		}
	}
}

func (g *generator) records(x *exchange, l *model.Listener, pool *model.Pool) {
	for range 1 + g.IntN(3) {
		x.Records = append(x.Records, text(pick(g, "x", "{x*1000}", "{\x00*2999}", "{long *700}", "{\xff\xfe*30000}")))
	}
	x.Greeted = pool != nil && greets(pool)
	x.HalfClose = g.chance(20)
	if l.TimeoutClientData == hasty && l.TimeoutMemberData == hasty && g.chance(10) {
		x.Records, x.HalfClose = append(x.Records, silence), false
	}
}

// greets reports whether all members of a pool that are there speak first.
func greets(p *model.Pool) bool {
	speaks := func(m model.Member) bool { return m.ProtocolPort == greetingPort }
	return slices.ContainsFunc(p.Members, speaks) && !slices.ContainsFunc(p.Members, func(m model.Member) bool { return !speaks(m) && !isDead(m) })
}

func (g *generator) request(lb *model.LoadBalancer, x *exchange) request {
	r := request{
		Method: pick(g, "GET", "GET", "GET", "GET", "GET", "POST", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "PURGE", "TRACE",
			"PROPFIND", "REPORT", "MKCOL"),
		Target:  text(g.target()),
		Version: "HTTP/1.1",
	}
	if g.chance(2) {
		r.Method = pick(g, "M-SEARCH", "X!#$%&'*+-.^_`|~1")
	}
	if g.chance(12) {
		r.Version = "HTTP/1.0"
		if g.chance(40) {
			r.Headers = append(r.Headers, header{"Connection", "keep-alive"})
		}
	}
	if r.Version == "HTTP/1.1" || g.chance(70) {
		r.Headers = append(r.Headers, header{pick(g, "Host", "Host", "Host", "host", "HOST"), text(pick(g, hosts...))})
	}
	for range g.IntN(5) {
		r.Headers = append(r.Headers, g.header()...)
	}
	if x.Browser || g.chance(5) {
		r.Headers = append(r.Headers, g.sessionCookie(lb)...)
	}
	if g.chance(60) {
		all := answers()
		if g.chance(12) {
			all = brokenAnswers()
		}
		if answer := pick(g, all...); answer != "" && (r.Version == "HTTP/1.1" || !slices.Contains(chunkedAnswers(), answer)) {
			r.Headers = append(r.Headers, header{headerAnswer, text(answer)})
		}
		if r.Version == "HTTP/1.1" && g.chance(3) {
			r.upgrade(g)
		}
	}
	g.Shuffle(len(r.Headers), func(i, j int) { r.Headers[i], r.Headers[j] = r.Headers[j], r.Headers[i] })
	if r.passesUpgrade() {
		return r // with a body, most would take as long as a timeout
	}
	if r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH" || r.Version == "HTTP/1.1" && g.chance(4) {
		g.body(&r)
	}
	return r
}

// upgrade asks for another protocol, and the member for an answer that agrees.
func (r *request) upgrade(g *generator) {
	r.Method = "GET"
	protocol := pick(g, "websocket", "WebSocket", "SPDY/3.1", "tcp", "h2c", "foo")
	if protocol == "SPDY/3.1" || protocol == "tcp" {
		r.Method = "POST" // as kubectl exec and docker exec do, the one without and the other with a body
	}
	r.Headers = slices.DeleteFunc(r.Headers, func(h header) bool {
		return h.Name == headerAnswer || h.Name == "Connection" || h.Name == "Upgrade"
	})
	r.Headers = append(r.Headers,
		header{"Upgrade", text(protocol)},
		header{"Connection", text(pick(g, "Upgrade", "upgrade", "keep-alive, Upgrade"))},
		header{headerAnswer, text(pick(g, "upgrade", "upgrade", "upgrade", "404"))},
		header{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}, header{"Sec-WebSocket-Version", "13"})
	r.Tunnel = text(pick(g, "x", "\x81\x00{\x00\xff*500}"))
}

func (g *generator) body(r *request) {
	r.Framing = framingLength
	if r.Version == "HTTP/1.1" && g.chance(40) {
		r.Framing = framingChunked
	}
	size := pick(g, "0", "1", "10", "1000", "20000", "100000")
	if size != "0" {
		r.Body = text("{" + pick(g, "a", "\x00", "0123456789", "0\r\n\r\n") + "*" + size + "}")
		if g.chance(15) {
			r.Body = text("GET /smuggled HTTP/1.1\r\nHost: a\r\n" + headerID + ": " + smuggled + "\r\n\r\n")
		}
	}
	r.Headers = append(r.Headers, header{"Content-Type", "application/octet-stream"})
	if g.chance(10) {
		r.Headers = append(r.Headers, header{"Content-Encoding", text(pick(g, "gzip", "identity", "br, gzip"))})
	}
	if r.Framing == framingChunked && g.chance(20) {
		r.Headers = append(r.Headers, header{"Trailer", "X-Sum"})
		r.Trailers = []header{{"X-Sum", "5"}, {"X-More", "a, b"}}
	}
	if r.Version == "HTTP/1.1" && size != "0" && g.chance(15) {
		r.Headers = append(r.Headers, header{"Expect", text(pick(g, "100-continue", "100-continue", "100-Continue", "200-ok"))})
	}
}

func (g *generator) target() string {
	path := pick(g, paths...)
	switch g.IntN(14) {
	case 0, 1:
		return path + "?" + pick(g, "", "a=1&b=2", "a=b/c?d", "q=%2F%20", "//", "x=caf%C3%A9", "a=/../", "?", "a[]=1", "{x=1&*300}")
	case 2:
		return pick(g, "http://", "http://", "http://", "HTTP://", "https://") + pick(g, hosts...) + pick(g, path, path, path, "", "?x=1")
	case 3:
		return pick(g, "//", "//x", "//x/y", "/.", "/..", "/./", "/%2e%2e/x", "/a%2Fb", "/a%2fb", "/a%5Cb", "/a\\b", "/%00", "/a#b", "/{long/*300}", "/{a}", "/a|b",
			"/a\"b", "/a?b#c", "/%", "/%zz", "/a%3Fb", "/;", "/;a=b/;c", "/a;b=c?d;e", "/~user", "/a:b@c", "/*", "/'", "/<>", "/^`", "/{%41*500}", "///a///", "/a//")
	}
	return path
}
