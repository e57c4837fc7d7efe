package parity

import (
	"strings"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// exchange returns what a client does with one of the listeners.
func (g *generator) exchange(lb *model.LoadBalancer) *exchange {
	x := &exchange{Listener: g.IntN(len(lb.Listeners)), Client: g.IntN(clients)}
	listener := &lb.Listeners[x.Listener]
	if listener.Protocol != model.ProtocolHTTP && g.chance(60) {
		pool := lb.Pool(listener.DefaultPoolID)
		if pool == nil || pool.Protocol != model.ProtocolHTTP {
			for range 1 + g.IntN(3) {
				x.Records = append(x.Records, strings.Repeat(pick(g, "x", "\x00", "long "), 1+g.IntN(3000)))
			}
			return x
		}
	}
	x.Browser = g.chance(10)
	if g.chance(4) {
		x.Requests = []request{g.malformed()}
		return x
	}
	for range pick(g, 1, 1, 1, 1, 1, 2, 3, 5) {
		x.Requests = append(x.Requests, g.request())
	}
	x.Pipelined = !x.Browser && len(x.Requests) > 1 && g.chance(20)
	for i := range x.Requests {
		if x.Pipelined && x.Requests[i].expects() {
			x.Pipelined = false
		}
	}
	return x
}

func (g *generator) request() request {
	r := request{
		Method:  pick(g, "GET", "GET", "GET", "GET", "POST", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "PURGE"),
		Target:  g.target(),
		Version: "HTTP/1.1",
	}
	if g.chance(10) {
		r.Version = "HTTP/1.0"
	}
	if r.Version == "HTTP/1.1" || g.chance(70) {
		r.Headers = append(r.Headers, header{pick(g, "Host", "Host", "Host", "host", "HOST"), pick(g, hosts...)})
	}
	for range g.IntN(5) {
		r.Headers = append(r.Headers, g.header()...)
	}
	if g.chance(50) {
		all := answers()
		if g.chance(8) {
			all = brokenAnswers()
		}
		if answer := pick(g, all...); answer != "" {
			r.Headers = append(r.Headers, header{headerAnswer, answer})
		}
	}
	g.Shuffle(len(r.Headers), func(i, j int) { r.Headers[i], r.Headers[j] = r.Headers[j], r.Headers[i] })
	if r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH" || r.Version == "HTTP/1.1" && g.chance(3) {
		g.body(&r)
	}
	return r
}

func (g *generator) body(r *request) {
	size := pick(g, 0, 1, 10, 1000, 20_000, 100_000)
	r.Body = []byte(strings.Repeat(pick(g, "a", "\x00", "0123456789", "0\r\n\r\n"), size))[:size]
	r.Chunked = r.Version == "HTTP/1.1" && g.chance(40)
	r.Headers = append(r.Headers, header{"Content-Type", "application/octet-stream"})
	if r.Version == "HTTP/1.1" && size > 0 && g.chance(15) {
		r.Headers = append(r.Headers, header{"Expect", "100-continue"})
	}
}

func (g *generator) target() string {
	path := pick(g, paths...)
	switch g.IntN(14) {
	case 0:
		return path + "?" + pick(g, "", "a=1&b=2", "a=b/c?d", "q=%2F%20", "//", "x=caf%C3%A9")
	case 1:
		return "http://" + pick(g, hosts...) + path
	case 2:
		return pick(g, "//", "//x", "/.", "/..", "/%2e%2e/x", "/a%2Fb", "/a%5Cb", "/a\\b", "/%00", "/a#b", "/"+strings.Repeat("long/", 300), "/{a}", "/a|b", "/a\"b")
	}
	return path
}

// header returns one of the headers that clients send, or several of a kind.
func (g *generator) header() []header {
	switch g.IntN(16) {
	case 0:
		return []header{{"Cookie", pick(g, cookies...)}}
	case 1:
		return []header{{"Cookie", pick(g, cookies...)}, {"Cookie", pick(g, cookies...)}}
	case 2:
		return []header{{"X-Test", pick(g, values...)}, {"x-test", pick(g, values...)}}
	case 3, 4:
		return []header{{pick(g, "X-Test", "x-test", "X-TEST"), pick(g, values...)}}
	case 5:
		return []header{{"X-Forwarded-For", pick(g, "192.0.2.77", "192.0.2.77, 10.0.0.1", "")}}
	case 6:
		return []header{{"X-Forwarded-Proto", pick(g, "https", "http", "")}}
	case 7:
		return []header{{"X-Forwarded-Port", "1"}, {"X-Forwarded-Host", "spoofed.test"}}
	case 8:
		return []header{{"Accept-Encoding", pick(g, "gzip, br", "identity", "", "gzip;q=0")}}
	case 9:
		return []header{{"Connection", pick(g, "close", "keep-alive", "Keep-Alive", "Close", "X-Test", "keep-alive, X-Test")}}
	case 10:
		return []header{{pick(g, "X-Request-Id", "Via", "Forwarded", "User-Agent", "X-Envoy-Max-Retries", "x-envoy-upstream-rq-timeout-ms"), "1"}}
	case 11:
		return []header{{pick(g, "TE", "Trailer", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization"), pick(g, "trailers", "keep-alive")}}
	case 12:
		return []header{{"Authorization", "Basic YTpi"}, {"Range", "bytes=0-3"}}
	case 13:
		return []header{{"X-Empty", ""}, {"X-Spaces", "a  b\tc"}}
	case 14:
		return []header{{pick(g, "x_under_score", "X.Dot", "X-Latin"), pick(g, "1", "caf\xe9")}}
	}
	return []header{{"Upgrade", pick(g, "h2c", "foo")}, {"Connection", "Upgrade"}}
}

// malformed is what no client should send.
func (g *generator) malformed() request {
	const id = headerID + ": {id}\r\n"
	raw := pick(g,
		"GET / HTTP/1.1\r\n"+id+"\r\n",
		"GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n"+id+"\r\n",
		"GET /\r\n\r\n",
		"GET / HTTP/1.1\nHost: a.test\n"+headerID+": {id}\n\n",
		"get / HTTP/1.1\r\nHost: a.test\r\n"+id+"\r\n",
		"GET  / HTTP/1.1\r\nHost: a.test\r\n"+id+"\r\n",
		"GET / HTTP/2.0\r\nHost: a.test\r\n"+id+"\r\n",
		"GET / HTTP/1.2\r\nHost: a.test\r\n"+id+"\r\n",
		"GET a/b HTTP/1.1\r\nHost: a.test\r\n"+id+"\r\n",
		"GET /\x01 HTTP/1.1\r\nHost: a.test\r\n"+id+"\r\n",
		"GET /caf\xe9 HTTP/1.1\r\nHost: a.test\r\n"+id+"\r\n",
		"GET / HTTP/1.1\r\nHost: a.test\r\nX-Test : 1\r\n"+id+"\r\n",
		"GET / HTTP/1.1\r\nHost: a.test\r\nX Test: 1\r\n"+id+"\r\n",
		"GET / HTTP/1.1\r\nHost: a.test\r\n: 1\r\n"+id+"\r\n",
		"GET / HTTP/1.1\r\nHost: a.test\r\nX-Folded: 1\r\n 2\r\n"+id+"\r\n",
		"GET / HTTP/1.1\r\nHost: a.test\r\nX-Control: a\x01b\r\n"+id+"\r\n",
		"POST / HTTP/1.1\r\nHost: a.test\r\n"+id+"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: a.test\r\n"+id+"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: a.test\r\n"+id+"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a.test\r\n"+id+"Content-Length: -1\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a.test\r\n"+id+"Transfer-Encoding: gzip\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: a.test\r\n"+id+"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: a.test\r\n"+id+"\r\n",
		"GET * HTTP/1.1\r\nHost: a.test\r\n"+id+"\r\n",
		"GET / HTTP/1.1\r\nHost:\r\n"+id+"\r\n",
		"GET / HTTP/1.1\r\nHost: a b\r\n"+id+"\r\n",
		"GET / HTTP/1.1\r\nHost: a.test:port\r\n"+id+"\r\n",
		"GET https://a.test/ HTTP/1.1\r\nHost: b.test\r\n"+id+"\r\n",
		"GET http:///a HTTP/1.1\r\nHost: b.test\r\n"+id+"\r\n",
		"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n"+id+"\r\n",
		"TRACE / HTTP/1.1\r\nHost: a.test\r\n"+id+"\r\n",
		"\r\n\r\nGET / HTTP/1.1\r\nHost: a.test\r\n"+id+"\r\n",
		"GET / HTTP/1.1\r\nHost: a.test\r\n"+id+"X-Long: "+strings.Repeat("x", 20_000)+"\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.test\r\n"+id+"X-Long: "+strings.Repeat("x", 70_000)+"\r\n\r\n",
		"GET /"+strings.Repeat("x", 20_000)+" HTTP/1.1\r\nHost: a.test\r\n"+id+"\r\n",
		"GET / HTTP/1.1\r\nHost: a.test\r\n"+id+strings.Repeat("X-Many: 1\r\n", 150)+"\r\n",
		"GET / HTTP/1.0\r\n"+id+"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"hello\r\n\r\n",
	)
	method, _, _ := strings.Cut(strings.TrimLeft(raw, "\r\n"), " ")
	return request{Method: method, Raw: raw}
}
