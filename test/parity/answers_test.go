package parity

import (
	"fmt"
	"strings"
)

// answer is what a member writes.
type answer struct {
	// parts are written one by one.
	parts [][]byte
	// early: before the body of the request is read, which is then never read.
	early, close, hang bool
}

const bigBody = 300_000

// answers are the odd ones that a request can ask for; "" is the plain one. All say who answers.
func answers() []string {
	return []string{
		"", "404", "500", "503", "204", "304", "reason", "created", "redirect", "cookies", "app-cookie", "repeated", "odd-names",
		"date", "empty", "no-type", "big", "chunked", "chunked-trailers", "chunk-extension", "until-close", "connection-close", "http10",
		"103", "100-unasked", "vary-compressed", "hop-by-hop", "long-header", "html", "latin1", "upgrade-ignored",
	}
}

// brokenAnswers are no HTTP, or stop.
func brokenAnswers() []string {
	return []string{"garbage", "close-at-once", "cut-body", "cut-head", "early-401"}
}

func answerOf(kind, member, method string) answer {
	head := func(status string, lines ...string) string {
		return "HTTP/1.1 " + status + "\r\n" + headerMember + ": " + member + "\r\n" + joined(lines)
	}
	one := func(texts ...string) answer {
		var a answer
		for _, text := range texts {
			a.parts = append(a.parts, []byte(text))
		}
		return a
	}
	// full is an answer with a body, unless the method forbids it.
	full := func(status, body string, lines ...string) answer {
		text := head(status, append(lines, fmt.Sprintf("Content-Length: %d", len(body)))...) + "\r\n"
		if method != "HEAD" {
			text += body
		}
		return one(text)
	}
	const plain, text = "hello", "Content-Type: text/plain"
	switch kind {
	case "404":
		return full("404 Not Found", "nobody here", text)
	case "500":
		return full("500 Internal Server Error", "oops", text)
	case "503":
		return full("503 Service Unavailable", "the member is busy", text, "Retry-After: 7")
	case "204":
		return one(head("204 No Content") + "\r\n")
	case "304":
		return one(head("304 Not Modified", `ETag: "abc"`) + "\r\n")
	case "reason":
		return full("200 Absolutely Fine", plain, text)
	case "created":
		return full("201 Created", "", "Location: /made/1?x=%20y")
	case "redirect":
		return full("302 Found", "", "Location: http://www.example.org:8080/there?a=b#c")
	case "cookies":
		return full("200 OK", plain, text, "Set-Cookie: a=1; Path=/", "Set-Cookie: b=\"2\"; HttpOnly", "Set-Cookie: a=3; Expires=Wed, 21 Oct 2037 07:28:00 GMT")
	case "app-cookie":
		return full("200 OK", plain, text, "Set-Cookie: "+appCookie+"=session-of-"+strings.Map(tokens, member)+"; Path=/")
	case "repeated":
		return full("200 OK", plain, text, "X-Many: 1", "X-Many: 2, 3", "x-many:", "Cache-Control: no-store", "Cache-Control: private")
	case "odd-names":
		return full("200 OK", plain, text, "X-CamelCase: Yes", "x_under_score: 1", "X.Dot: 2", "Server: member/1.0", "Via: 1.0 inside", "X-Powered-By: us")
	case "date":
		return full("200 OK", plain, text, "Date: Tue, 15 Nov 1994 08:12:31 GMT", "Last-Modified: Tue, 15 Nov 1994 08:12:31 GMT")
	case "empty":
		return full("200 OK", "", text)
	case "no-type":
		return full("200 OK", plain)
	case "big":
		return full("200 OK", strings.Repeat("0123456789", bigBody/10), text)
	case "chunked", "chunked-trailers", "chunk-extension":
		return chunked(kind, method, head("200 OK", text, "Transfer-Encoding: chunked"))
	case "until-close":
		a := one(head("200 OK", text)+"\r\n", plain)
		a.close = true
		return withoutBody(a, method)
	case "connection-close":
		a := full("200 OK", plain, text, "Connection: close")
		a.close = true
		return a
	case "http10":
		a := one("HTTP/1.0 200 OK\r\n"+headerMember+": "+member+"\r\n"+text+"\r\n\r\n", plain)
		a.close = true
		return withoutBody(a, method)
	case "103":
		a := full("200 OK", plain, text)
		a.parts = append([][]byte{[]byte("HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")}, a.parts...)
		return a
	case "100-unasked":
		a := full("200 OK", plain, text)
		a.parts = append([][]byte{[]byte("HTTP/1.1 100 Continue\r\n\r\n")}, a.parts...)
		return a
	case "vary-compressed":
		return full("200 OK", "\x1f\x8b\x08 not really", text, "Content-Encoding: gzip", "Vary: Accept-Encoding")
	case "hop-by-hop":
		return full("200 OK", plain, text, "Connection: keep-alive, X-Hop", "X-Hop: 1", "Keep-Alive: timeout=5", "Proxy-Authenticate: Basic")
	case "long-header":
		return full("200 OK", plain, text, "X-Long: "+strings.Repeat("long", 1500))
	case "html":
		return full("200 OK", "<p>hello</p>", "Content-Type: text/html; charset=utf-8", "Strict-Transport-Security: max-age=3")
	case "latin1":
		return full("200 OK", plain, text, "X-Latin: caf\xe9")
	case "upgrade-ignored":
		return full("200 OK", plain, text, "Upgrade: h2c", "Alt-Svc: h3=\":443\"")
	case "garbage":
		a := one("\x00\x01 this is no HTTP\r\n\r\n")
		a.close = true
		return a
	case "close-at-once":
		return answer{close: true}
	case "cut-body":
		a := one(head("200 OK", text, "Content-Length: 100")+"\r\n", "only this")
		a.close = true
		return withoutBody(a, method)
	case "cut-head":
		a := one("HTTP/1.1 200 OK\r\nX-Cut: ye")
		a.close = true
		return a
	case "early-401":
		a := full("401 Unauthorized", "who are you", text, "WWW-Authenticate: Basic realm=\"a, b\"")
		a.early, a.close = true, true
		return a
	case "hang":
		return answer{hang: true}
	}
	return full("200 OK", plain, text)
}

// appCookie is the name that pools with APP_COOKIE persistence look for.
const appCookie = "JSESSIONID"

func chunked(kind, method, head string) answer {
	parts := []string{head, "\r\n", "5\r\nhello\r\n", "7\r\n, world\r\n", "0\r\n\r\n"}
	switch kind {
	case "chunked-trailers":
		parts = []string{head + "Trailer: X-Sum\r\n", "\r\n", "5\r\nhello\r\n", "0\r\nX-Sum: 5\r\n\r\n"}
	case "chunk-extension":
		parts = []string{head, "\r\n", "5;name=value\r\nhello\r\n", "0\r\n\r\n"}
	}
	a := answer{}
	for _, part := range parts {
		a.parts = append(a.parts, []byte(part))
	}
	if method == "HEAD" {
		a.parts = a.parts[:2]
	}
	return a
}

// withoutBody leaves the first part alone to HEAD.
func withoutBody(a answer, method string) answer {
	if method == "HEAD" {
		a.parts = a.parts[:1]
	}
	return a
}

func joined(lines []string) string {
	var text strings.Builder
	for _, line := range lines {
		text.WriteString(line + "\r\n")
	}
	return text.String()
}

// tokens keeps what may stand in a cookie's value.
func tokens(r rune) rune {
	if strings.ContainsRune(":[]", r) {
		return '-'
	}
	return r
}
