package parity

import (
	"crypto/sha1"
	"encoding/base64"
	"strings"
)

// appCookie is the name that pools with APP_COOKIE persistence look for.
const appCookie = "JSESSIONID"

// status are the answers that are odd in their status.
func (r *reply) status(kind string) (answer, bool) {
	switch kind {
	case "404":
		return r.full("404 Not Found", "nobody here", plainText), true
	case "500":
		return r.full("500 Internal Server Error", "oops", plainText), true
	case "502":
		return r.full("502 Bad Gateway", "the member's own", plainText), true
	case "503":
		return r.full("503 Service Unavailable", "the member is busy", plainText, "Retry-After: 7"), true
	case "504":
		return r.full("504 Gateway Timeout", "the member's own", plainText), true
	case "599":
		return r.full("599 Whatever", "odd", plainText), true
	case "204":
		return written(r.head("204 No Content") + "\r\n"), true
	case "204-length":
		return written(r.head("204 No Content", "Content-Length: 0") + "\r\n"), true
	case "205":
		return r.full("205 Reset Content", ""), true
	case "304":
		return written(r.head("304 Not Modified", `ETag: "abc"`) + "\r\n"), true
	case "304-length":
		return written(r.head("304 Not Modified", `ETag: "abc"`, "Content-Length: 5") + "\r\n"), true
	case "206":
		return r.full("206 Partial Content", "hell", plainText, "Content-Range: bytes 0-3/5", "Accept-Ranges: bytes"), true
	case "416":
		return r.full("416 Range Not Satisfiable", "", "Content-Range: bytes */5"), true
	case "407":
		return r.full("407 Proxy Authentication Required", "no", plainText, "Proxy-Authenticate: Basic realm=x"), true
	case "426":
		return r.full("426 Upgrade Required", "no", plainText), true
	case "reason":
		return r.full("200 Absolutely Fine", "hello", plainText), true
	case "created":
		return r.full("201 Created", "", "Location: /made/1?x=%20y"), true
	case "redirect":
		return r.full("302 Found", "", "Location: http://www.example.org:8080/there?a=b#c"), true
	}
	return answer{}, false
}

// headers are the answers that are odd in their headers.
func (r *reply) headers(kind string) (answer, bool) {
	session := "session-of-" + strings.Map(tokens, r.member)
	with := func(lines ...string) (answer, bool) {
		return r.full("200 OK", "hello", append([]string{plainText}, lines...)...), true
	}
	switch kind {
	case "cookies":
		return with("Set-Cookie: a=1; Path=/", `Set-Cookie: b="2"; HttpOnly`, "Set-Cookie: a=3; Expires=Wed, 21 Oct 2037 07:28:00 GMT")
	case "app-cookie":
		return with("Set-Cookie: " + appCookie + "=" + session + "; Path=/")
	case "app-cookie-odd":
		return with("Set-Cookie: other=1", "set-cookie:"+appCookie+" = "+session+" ;Path=/; Secure", "Set-Cookie: "+strings.ToLower(appCookie)+"=x")
	case "own-cookie":
		return with("Set-Cookie: " + serverCookie + "=the-member's; Path=/x")
	case "cached":
		return with("Cache-Control: max-age=60", "ETag: W/\"1\"", "Age: 3", "Expires: Wed, 21 Oct 2037 07:28:00 GMT")
	case "cached-forever":
		return with("Cache-Control: public, s-maxage=60, immutable", "Pragma: no-cache")
	case "repeated":
		return with("X-Many: 1", "X-Many: 2, 3", "x-many:", "Cache-Control: no-store", "Cache-Control: private", "Vary: A", "Vary: B", "Link: <a>", "Link: <b>")
	case "odd-names":
		return with("X-CamelCase: Yes", "x_under_score: 1", "X.Dot: 2", "Server: member/1.0", "Via: 1.0 inside", "X-Powered-By: us", "!#$%&'*+-^`|~: all")
	case "empty-values":
		return with("X-Empty:", "X-Blanks:   ", "X-Trim:  \t a  b \t ", "Server:")
	case "date":
		return with("Date: Tue, 15 Nov 1994 08:12:31 GMT", "Last-Modified: Tue, 15 Nov 1994 08:12:31 GMT")
	case "vary-compressed":
		return with("Content-Encoding: gzip", "Vary: Accept-Encoding")
	case "hop-by-hop":
		return with("Connection: X-Hop", "X-Hop: 1", "Keep-Alive: timeout=5", "Proxy-Authenticate: Basic", "Proxy-Connection: keep-alive")
	case "long-header":
		return with("X-Long: " + strings.Repeat("long", 1500))
	case "html":
		return r.full("200 OK", "<p>hello</p>", "Content-Type: text/html; charset=utf-8", "Strict-Transport-Security: max-age=3"), true
	case "latin1":
		return with("X-Latin: caf\xe9")
	case "upgrade-ignored":
		return with("Upgrade: h2c", `Alt-Svc: h3=":443"`)
	case "x-envoy":
		return with("X-Envoy-Overloaded: true", "X-Envoy-Upstream-Service-Time: 1", "X-Envoy-Immediate-Health-Check-Fail: true", "X-Envoy-Degraded: 1")
	case "spoofed":
		return with("X-Request-Id: 1", "X-Forwarded-For: 1.2.3.4", "X-Octavia-Member: me -", "X-Octavia-Forwarded-Proto: https")
	}
	return answer{}, false
}

// body are the answers that are odd in their body or its framing.
func (r *reply) body(kind string) (answer, bool) {
	lines := []string{plainText}
	switch kind {
	case "empty":
		return r.full("200 OK", "", plainText), true
	case "no-type":
		return r.full("200 OK", "hello"), true
	case "big":
		return r.full("200 OK", strings.Repeat("0123456789", bigBody/10), plainText), true
	case "slow":
		a := r.full("200 OK", "hello", plainText)
		a.slow = true
		return a, true
	case "chunked":
		return r.chunked("0\r\n\r\n", lines, "5\r\nhello\r\n", "7\r\n, world\r\n"), true
	case "chunked-big":
		return r.chunked("0\r\n\r\n", lines, "186A0\r\n"+strings.Repeat("0123456789", 10_000)+"\r\n", "1\r\n!\r\n"), true
	case "compressed-chunks":
		return r.chunked("0\r\n\r\n", append(lines, "Content-Encoding: br"), "5\r\n\x00\x01\r\n\xff\r\n"), true
	case "chunked-trailers":
		return r.chunked("0\r\nX-Sum: 5\r\nX-More: a, b\r\n\r\n", append(lines, "Trailer: X-Sum"), "5\r\nhello\r\n"), true
	case "chunk-extension":
		return r.chunked("0;last\r\n\r\n", lines, "5;name=value\r\nhello\r\n"), true
	case "until-close":
		return r.untilClose("hello", plainText), true
	case "connection-close":
		return r.last(func() string { return r.head("200 OK", plainText, "Content-Length: 5") + "\r\n" }, "hello"), true
	case "http10":
		return r.last(func() string {
			return "HTTP/1.0 200 OK\r\n" + headerMember + ": " + r.member + "\r\n" + plainText + "\r\n\r\n"
		}, "hello"), true
	case "http10-keep-alive":
		a := r.full("200 OK", "hello", plainText)
		if !r.closes && !r.old() {
			head := "HTTP/1.0 200 OK\r\n" + headerMember + ": " + r.member + "\r\n" + plainText + "\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n"
			a = written(head)
			if r.method != "HEAD" {
				a = written(head + "hello")
			}
		}
		return a, true
	}
	return answer{}, false
}

// interim are the answers that are more than one, or none but the switch to another protocol.
func (r *reply) interim(kind string) (answer, bool) {
	after := func(parts ...string) (answer, bool) {
		a := r.full("200 OK", "hello", plainText)
		if !r.old() { // RFC 9110, 15.2: a client of HTTP/1.0 gets none
			a.parts = append(written(parts...).parts, a.parts...)
		}
		return a, true
	}
	switch kind {
	case "102":
		return after("HTTP/1.1 102 Processing\r\n\r\n")
	case "103":
		return after("HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
	case "many-103":
		return after("HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: <b>\r\n\r\n")
	case "100-unasked":
		return after("HTTP/1.1 100 Continue\r\n\r\n")
	case "upgrade":
		protocol, _, _ := strings.Cut(r.request.value("upgrade"), "\n")
		if protocol == "" || r.old() {
			return r.full("426 Upgrade Required", "", "Upgrade: websocket"), true
		}
		lines := []string{headerMember + ": " + r.member, "Connection: Upgrade", "Upgrade: " + protocol}
		if key := r.request.value("sec-websocket-key"); key != "" {
			sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) // RFC 6455, 4.2.2
			lines = append(lines, "Sec-WebSocket-Accept: "+base64.StdEncoding.EncodeToString(sum[:]))
		}
		a := written("HTTP/1.1 101 Switching Protocols\r\n" + joined(lines) + "\r\n")
		a.tunnel = true
		return a, true
	}
	return answer{}, false
}

// broken are the answers of brokenAnswers and stuckAnswers.
func (r *reply) broken(kind string) (answer, bool) {
	ends := func(parts ...string) (answer, bool) {
		a := written(parts...)
		a.close = true
		return a, true
	}
	switch kind {
	case "garbage":
		return ends("\x00\x01 this is no HTTP\r\n\r\n")
	case "close-at-once":
		return ends()
	case "cut-body":
		return r.last(func() string { return r.head("200 OK", plainText, "Content-Length: 100") + "\r\n" }, "only this"), true
	case "cut-chunks":
		return r.last(func() string { return r.head("200 OK", plainText, "Transfer-Encoding: chunked") + "\r\n" }, "5\r\nhello\r\n", "7\r\n, w"), true
	case "cut-head":
		return ends("HTTP/1.1 200 OK\r\nX-Cut: ye")
	case "early-401":
		r.closes = true
		a := r.full("401 Unauthorized", "who are you", plainText, `WWW-Authenticate: Basic realm="a, b"`)
		a.early, a.close = true, true
		return a, true
	case "hang":
		return answer{hang: true}, true
	case "hang-body":
		a := r.last(func() string { return r.head("200 OK", plainText, "Content-Length: 100") + "\r\n" }, "only this")
		a.close, a.hang = false, true
		return a, true
	case "no-http":
		return ends("ICY 200 OK\r\n" + headerMember + ": " + r.member + "\r\n\r\n")
	case "100-then-close":
		return ends("HTTP/1.1 100 Continue\r\n\r\n")
	case "101-unasked":
		return ends("HTTP/1.1 101 Switching Protocols\r\n" + headerMember + ": " + r.member + "\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n")
	}
	return r.odd(kind)
}

// odd are whole answers that RFC 9112 does not allow. Each is the connection's last.
func (r *reply) odd(kind string) (answer, bool) {
	line, end, body := "HTTP/1.1 200 OK", "\r\n", "hello"
	lines := []string{headerMember + ": " + r.member, "Connection: close"}
	length := "Content-Length: 5"
	switch kind {
	case "no-reason":
		line = "HTTP/1.1 200"
	case "http2":
		line = "HTTP/2.0 200 OK"
	case "status-999":
		line = "HTTP/1.1 999 High"
	case "lengths":
		lines = append(lines, length)
	case "two-lengths":
		lines = append(lines, "Content-Length: 6")
	case "both-framings":
		lines, body = append(lines, "Transfer-Encoding: chunked"), "5\r\nhello\r\n0\r\n\r\n"
	case "gzip-chunked":
		lines, length, body = append(lines, "Transfer-Encoding: gzip, chunked"), "X-No: length", "5\r\nhello\r\n0\r\n\r\n"
	case "identity":
		lines = append(lines, "Transfer-Encoding: identity")
	case "bad-chunk":
		length, body = "Transfer-Encoding: chunked", "5\r\nhello\r\nxyz\r\n\r\n"
	case "bad-name":
		lines = append(lines, "X Bad: 1")
	case "bad-value":
		lines = append(lines, "X-Bad: a\x01b")
	case "folded":
		lines = append(lines, "X-Folded: a\r\n b")
	case "lf-only":
		end = "\n"
	case "big-head":
		lines = append(lines, "X-Long: "+strings.Repeat("long", 5_000))
	case "many-headers":
		for range 120 {
			lines = append(lines, "X-Many: 1")
		}
	case "extra-bytes":
		body = "hello and more"
	case "204-body":
		line = "HTTP/1.1 204 No Content"
	default:
		return answer{}, false
	}
	if r.method == "HEAD" {
		body = ""
	}
	a := written(line + end + strings.Join(append(lines, length, "", body), end))
	a.close = true
	return a, true
}
