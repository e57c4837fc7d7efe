package parity

import (
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// header returns one of the headers that clients send, or several of a kind.
func (g *generator) header() []header {
	one := func(name string, values ...string) []header { return []header{{name, text(pick(g, values...))}} }
	switch g.IntN(25) {
	case 0:
		return one("Cookie", cookies...)
	case 1:
		return append(one("Cookie", cookies...), one("Cookie", cookies...)...)
	case 2:
		return append(one("X-Test", values...), one("x-test", values...)...)
	case 3, 4:
		return one(pick(g, "X-Test", "x-test", "X-TEST"), values...)
	case 5:
		return one("X-Forwarded-For", "192.0.2.77", "192.0.2.77, 10.0.0.1", "")
	case 6:
		return one("X-Forwarded-Proto", "https", "http", "", "HTTPS", "wss", "https, http")
	case 7:
		return []header{{"X-Forwarded-Port", "1"}, {"X-Forwarded-Host", "spoofed.test"}}
	case 8:
		return one("Accept-Encoding", "gzip, br", "identity", "", "gzip;q=0", "*", "gzip;q=0.5, zstd")
	case 9:
		return one("Connection", "close", "keep-alive", "Keep-Alive", "Close", "X-Test", "keep-alive, X-Test", "TE")
	case 10:
		return one(pick(g, "X-Request-Id", "Via", "Forwarded", "User-Agent", "X-Envoy-Max-Retries", "x-envoy-upstream-rq-timeout-ms"), "1")
	case 11:
		return one(pick(g, "TE", "Trailer", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization"), "trailers", "keep-alive")
	case 12:
		return []header{{"Authorization", "Basic YTpi"}, {"Range", "bytes=0-3"}}
	case 13:
		return []header{{"X-Empty", ""}, {"X-Spaces", "a  b\tc"}, {"X-Trim", "  \ta \t "}}
	case 14:
		return one(pick(g, "x_under_score", "X.Dot", "X-Latin", "!#$%&'*+-^`|~"), "1", "caf\xe9")
	case 15:
		return []header{{"Upgrade", text(pick(g, "h2c", "h2c", "foo", "foo", "TLS/1.2", "TLS/1.2", "websocket"))}, {"Connection", "Upgrade"}}
	case 16:
		return []header{{"Accept", "text/html"}, {"Accept", "*/*;q=0.1"}, {"Accept-Language", "de, en"}}
	case 17:
		return one(pick(g, "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Real-Ip", "X-Client-Ip"), "1.2.3.4", "x", "::1")
	case 18:
		return []header{{"X-Forwarded-Proto", text(pick(g, "https", ""))}, {"X-Forwarded-Proto", text(pick(g, "http", ""))}}
	case 19:
		return one(pick(g, "X-Octavia-Member", "X-Octavia-Forwarded-Proto", "X-Envoy-External-Address", "X-Envoy-Original-Path",
			"X-Envoy-Decorator-Operation", "X-Envoy-Expected-Rq-Timeout-Ms", "X-B3-TraceId", "Traceparent"), "1", "https")
	case 20:
		return one("X-Long", "{x*2000}", "{long, *1000}")
	case 21:
		return []header{{"If-None-Match", `"abc"`}, {"If-Modified-Since", "Tue, 15 Nov 1994 08:12:31 GMT"}}
	case 22:
		return []header{{"User-Agent", "a"}, {"User-Agent", "b"}, {"Authorization", "Basic YTpi"}, {"Authorization", "Bearer x"}}
	}
	if g.chance(50) {
		return one(pick(g, append(clientHeaders(), "x-ssl-client-dn", "X-Octavia-Client-Dn")...), "spoofed", "1", "")
	}
	return one("Referer", "http://www.example.com/", "")
}

// sessionCookie returns a cookie of one of the kinds that sessions are kept by: of a member or of nobody, alone or not.
func (g *generator) sessionCookie(lb *model.LoadBalancer) []header {
	var ids []string
	for i := range lb.Pools {
		for j := range lb.Pools[i].Members {
			ids = append(ids, lb.Pools[i].Members[j].ID)
		}
	}
	id := "nobody"
	if len(ids) > 0 && !g.chance(15) {
		id = pick(g, ids...)
	}
	value := pick(g, serverCookie+"="+id, serverCookie+"="+id, serverCookie+"="+id+"; a=b", "a=b; "+serverCookie+"="+id, "a=b;"+serverCookie+"="+id+";c=d",
		serverCookie+`="`+id+`"`, serverCookie+"=", serverCookie, serverCookie+" = "+id, serverCookie+"=nobody; "+serverCookie+"="+id,
		serverCookie+"x="+id, "x"+serverCookie+"="+id, "srv="+id, appCookie+"=unknown", appCookie+"=unknown; a=b", appCookie+"=", appCookie+"=a; "+appCookie+"=b")
	if g.chance(20) {
		return []header{{"Cookie", "sid=abc"}, {"Cookie", text(value)}}
	}
	return []header{{"Cookie", text(value)}}
}
