package parity

import "strings"

// malformed is what no client should send, or hardly any does.
func (g *generator) malformed() request {
	all := malformedRequests()
	return all[g.IntN(len(all))]
}

func malformedRequests() []request {
	const id, host, end = headerID + ": {id}\r\n", "Host: a.test\r\n", "\r\n"
	get := func(odd, line, lines string) request {
		method, _, _ := strings.Cut(strings.TrimLeft(line, "\r\n"), " ")
		return request{Method: method, Odd: odd, Raw: text(line + "\r\n" + lines + id + end)}
	}
	post := func(odd, lines, body string) request {
		return request{Method: "POST", Odd: odd, Raw: text("POST / HTTP/1.1\r\n" + host + lines + id + end + body)}
	}
	const chunks = "3\r\nabc\r\n0\r\n\r\n"
	const line = "GET / HTTP/1.1"
	return []request{
		get("no Host", line, ""),
		get("two Hosts", line, host+"Host: b.test\r\n"),
		get("same Host twice", line, host+host),
		get("empty Host", line, "Host:\r\n"),
		get("blank in Host", line, "Host: a b\r\n"),
		get("port no number", line, "Host: a.test:port\r\n"),
		get("path in Host", line, "Host: a.test/b\r\n"),
		get("list in Host", line, "Host: a.test, b.test\r\n"),
		get("no version", "GET /", ""),
		{Method: "GET", Odd: "HTTP/0.9", Raw: "GET /\r\n\r\n"},
		{Method: "GET", Odd: "line feeds", Raw: "GET / HTTP/1.1\nHost: a.test\n" + headerID + ": {id}\n\n"},
		{Method: "GET", Odd: "empty lines before", Raw: "\r\n\r\n" + line + end + host + id + end},
		{Method: "hello", Odd: "one word", Raw: "hello\r\n\r\n"},
		get("method in lower case", "get / HTTP/1.1", host),
		get("two blanks", "GET  / HTTP/1.1", host),
		get("tab", "GET\t/ HTTP/1.1", host),
		get("blank in target", "GET /a b HTTP/1.1", host),
		get("blank at the end", "GET / HTTP/1.1 ", host),
		get("HTTP/2.0", "GET / HTTP/2.0", host),
		get("HTTP/1.2", "GET / HTTP/1.2", host),
		get("HTTP/01.1", "GET / HTTP/01.1", host),
		get("another protocol", "GET / ICE/1.0", host),
		get("version in lower case", "GET / http/1.1", host),
		get("target without slash", "GET a/b HTTP/1.1", host),
		get("asterisk", "OPTIONS * HTTP/1.1", host),
		get("asterisk of GET", "GET * HTTP/1.1", host),
		get("CONNECT", "CONNECT a.test:443 HTTP/1.1", "Host: a.test:443\r\n"),
		get("CONNECT with a path", "CONNECT / HTTP/1.1", host),
		get("control character in target", "GET /\x01 HTTP/1.1", host),
		get("8 bits in target", "GET /caf\xe9 HTTP/1.1", host),
		get("other host in target", "GET http://a.test/ HTTP/1.1", "Host: b.test\r\n"),
		get("other host in https target", "GET https://a.test/ HTTP/1.1", "Host: b.test\r\n"),
		get("no host in target", "GET http:///a HTTP/1.1", "Host: b.test\r\n"),
		get("user in target", "GET http://u:p@a.test/ HTTP/1.1", host),
		get("other scheme in target", "GET ftp://a.test/ HTTP/1.1", host),
		get("default port in target", "GET http://a.test:80/ HTTP/1.1", host),
		get("blank after name", line, host+"X-Test : 1\r\n"),
		get("blank in name", line, host+"X Test: 1\r\n"),
		get("no name", line, host+": 1\r\n"),
		get("no colon", line, host+"X-Test\r\n"),
		get("8 bits in name", line, host+"X-T\xe9st: 1\r\n"),
		get("bracket in name", line, host+"X(Test): 1\r\n"),
		get("folded", line, host+"X-Folded: 1\r\n 2\r\n"),
		get("folded first", line, " X-Folded: 1\r\n"+host),
		get("control character in value", line, host+"X-Control: a\x01b\r\n"),
		get("NUL in value", line, host+"X-Control: a\x00b\r\n"),
		get("delete in value", line, host+"X-Control: a\x7fb\r\n"),
		get("carriage return in value", line, host+"X-Control: a\rb\r\n"),
		get("expects the unknown", line, host+"Expect: a miracle\r\n"),
		post("same length twice", "Content-Length: 3\r\nContent-Length: 3\r\n", "abc"),
		post("same length in a list", "Content-Length: 3, 3\r\n", "abc"),
		post("two lengths", "Content-Length: 3\r\nContent-Length: 4\r\n", "abc"),
		post("negative length", "Content-Length: -1\r\n", ""),
		post("length with a plus", "Content-Length: +3\r\n", "abc"),
		post("length with a zero", "Content-Length: 03\r\n", "abc"),
		post("length with a letter", "Content-Length: 3a\r\n", "abc"),
		post("empty length", "Content-Length:\r\n", ""),
		post("huge length", "Content-Length: 99999999999999999999\r\n", "abc"),
		post("length and chunks", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", chunks),
		post("unknown encoding", "Transfer-Encoding: gzip\r\n", "abc"),
		post("gzip and chunked", "Transfer-Encoding: gzip, chunked\r\n", chunks),
		post("chunked and gzip", "Transfer-Encoding: chunked, gzip\r\n", chunks),
		post("chunked twice", "Transfer-Encoding: chunked, chunked\r\n", chunks),
		post("chunked in capitals", "Transfer-Encoding: CHUNKED\r\n", chunks),
		post("chunked in two lines", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", chunks),
		post("identity", "Transfer-Encoding: identity\r\nContent-Length: 3\r\n", "abc"),
		post("empty encoding", "Transfer-Encoding:\r\nContent-Length: 3\r\n", "abc"),
		post("strange chunked", "Transfer-Encoding: xchunked\r\n", chunks),
		post("bad chunk", "Transfer-Encoding: chunked\r\n", "xyz\r\n"),
		post("negative chunk", "Transfer-Encoding: chunked\r\n", "-3\r\nabc\r\n0\r\n\r\n"),
		post("huge chunk", "Transfer-Encoding: chunked\r\n", "ffffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
		post("chunk without end", "Transfer-Encoding: chunked\r\n", "3\r\nabcd\r\n0\r\n\r\n"),
		post("chunk extension", "Transfer-Encoding: chunked\r\n", "3;a=b;c=\"d e\"\r\nabc\r\n0;last\r\n\r\n"),
		post("chunks of line feeds", "Transfer-Encoding: chunked\r\n", "3\nabc\n0\n\n"),
		post("bad trailer", "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\nX Sum: 1\r\n\r\n"),
		post("Host in trailers", "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\nHost: b.test\r\nContent-Length: 7\r\n\r\n"),
		{Method: "GET", Odd: "chunks of HTTP/1.0", Raw: text("GET / HTTP/1.0\r\n" + id + "Transfer-Encoding: chunked\r\n\r\n" + chunks)},
		{Method: "POST", Odd: "chunks of POST of HTTP/1.0", Raw: text("POST / HTTP/1.0\r\n" + host + id + "Transfer-Encoding: chunked\r\n\r\n" + chunks)},
		{Method: "POST", Odd: "no length of HTTP/1.0", Raw: text("POST / HTTP/1.0\r\n" + host + id + "\r\n")},
		get("long header", line, host+"X-Long: {x*20000}\r\n"),
		get("longer header", line, host+"X-Long: {x*70000}\r\n"),
		get("long target", "GET /{x*20000} HTTP/1.1", host),
		get("99 headers", line, host+"{X-Many: 1\r\n*97}"),
		get("150 headers", line, host+"{X-Many: 1\r\n*150}"),
	}
}
