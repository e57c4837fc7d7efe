package parity

import (
	"fmt"
	"strings"
)

// answer is what a member writes.
type answer struct {
	// parts are written one by one.
	parts [][]byte
	// early: before the body of the request is read, which is then never read. slow: with a pause before each part.
	early, slow bool
	// What comes then: close ends the connection, hang never does, tunnel sends back all that comes.
	close, hang, tunnel bool
}

const bigBody = 300_000

// answers are the odd ones that a request can ask for; "" is the plain one. All say who answers.
func answers() []string {
	return []string{
		"", "404", "500", "502", "503", "504", "599", "204", "204-length", "205", "304", "304-length", "206", "416", "407", "426", "reason", "created",
		"redirect", "cookies", "app-cookie", "app-cookie-odd", "own-cookie", "cached", "cached-forever", "repeated", "odd-names",
		"empty-values", "date", "empty", "no-type", "big", "chunked", "chunked-big", "chunked-trailers", "chunk-extension",
		"until-close", "connection-close", "http10", "102", "103", "many-103", "100-unasked", "vary-compressed",
		"compressed-chunks", "hop-by-hop", "long-header", "html", "latin1", "upgrade-ignored", "upgrade", "slow", "x-envoy", "spoofed",
	}
}

// brokenAnswers are no HTTP, or stop.
func brokenAnswers() []string {
	return []string{
		"garbage", "close-at-once", "cut-body", "cut-head", "cut-chunks", "early-401", "no-reason", "no-http", "http2", "status-999", "lengths", "two-lengths", "both-framings", "gzip-chunked", "identity", "bad-chunk", "bad-name", "bad-value", "folded",
		"lf-only", "big-head", "many-headers", "extra-bytes", "101-unasked", "204-body", "100-then-close",
	}
}

// chunkedAnswers are broken ones whose chunks no member sends to a client of HTTP/1.0: Envoy's requests are never of that.
func chunkedAnswers() []string {
	return []string{"cut-chunks", "both-framings", "gzip-chunked", "bad-chunk"}
}

// stuckAnswers stop and stay.
func stuckAnswers() []string { return []string{"hang", "hang-body"} }

// reply makes the answers of one member to one request.
type reply struct {
	request        *message
	member, method string
	// closes: the answer is the connection's last.
	closes bool
}

func answerOf(request *message, member, method string, closes bool) answer {
	r := &reply{request, member, method, closes}
	kind := request.value(headerAnswer)
	for _, make := range []func(string) (answer, bool){r.status, r.headers, r.body, r.interim, r.broken} {
		if a, found := make(kind); found {
			return a
		}
	}
	return r.full("200 OK", "hello", plainText)
}

const plainText = "Content-Type: text/plain"

func (r *reply) old() bool { return strings.HasSuffix(r.request.First, " HTTP/1.0") }

func (r *reply) head(status string, lines ...string) string {
	switch {
	case r.closes:
		lines = append(lines, "Connection: close")
	case r.old():
		lines = append(lines, "Connection: keep-alive")
	}
	return "HTTP/1.1 " + status + "\r\n" + headerMember + ": " + r.member + "\r\n" + joined(lines)
}

func written(texts ...string) answer {
	var a answer
	for _, text := range texts {
		a.parts = append(a.parts, []byte(text))
	}
	return a
}

// full is an answer with a body, unless the method forbids it.
func (r *reply) full(status, body string, lines ...string) answer {
	text := r.head(status, append(lines, fmt.Sprintf("Content-Length: %d", len(body)))...) + "\r\n"
	if r.method != "HEAD" {
		text += body
	}
	return written(text)
}

// last is an answer after which the connection ends.
func (r *reply) last(head func() string, parts ...string) answer {
	r.closes = true
	if r.method == "HEAD" {
		parts = nil
	}
	a := written(append([]string{head()}, parts...)...)
	a.close = true
	return a
}

func (r *reply) untilClose(body string, lines ...string) answer {
	return r.last(func() string { return r.head("200 OK", lines...) + "\r\n" }, body)
}

// chunked has each of the parts as a chunk, as bytes that are ready to be sent. A client of HTTP/1.0 gets no chunks.
func (r *reply) chunked(end string, lines []string, chunks ...string) answer {
	if r.old() {
		var body strings.Builder
		for _, chunk := range chunks {
			_, content, _ := strings.Cut(chunk, "\r\n")
			body.WriteString(strings.TrimSuffix(content, "\r\n"))
		}
		return r.untilClose(body.String(), lines...)
	}
	a := written(r.head("200 OK", append(lines, "Transfer-Encoding: chunked")...), "\r\n")
	if r.method != "HEAD" {
		a.parts = append(a.parts, written(append(chunks, end)...).parts...)
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
