package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// serve answers each connection in its own goroutine, and ends with the test.
func serve(t *testing.T, answer func(net.Conn)) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				answer(connection)
			}()
		}
	}()
	return netip.MustParseAddrPort(listener.Addr().String())
}

// head reads what a check sends.
func head(connection net.Conn) string {
	reader := bufio.NewReader(connection)
	var text strings.Builder
	for !strings.HasSuffix(text.String(), "\r\n\r\n") || strings.HasSuffix(text.String(), "\r\n\r\n\x00\r\nQUIT\n") {
		read, err := reader.ReadByte()
		if err != nil {
			break
		}
		text.WriteByte(read)
		if text.String() == "\r\n\r\n" { // version 2 of the PROXY protocol
			rest, _ := reader.Peek(12)
			_, _ = reader.Discard(len(rest))
			text.Write(rest)
		}
	}
	return text.String()
}

// TestHTTPRequest has what HAProxy 2.6.12 was seen to send.
func TestHTTPRequest(t *testing.T) {
	for want, check := range map[string]httpCheck{
		"GET /x?y=1 HTTP/1.0\r\n\r\n":                                        {method: "GET", path: "/x?y=1", version: "1.0"},
		"HEAD / HTTP/1.0\r\n\r\n":                                            {method: "HEAD", path: "/", version: "1.0"},
		"OPTIONS / HTTP/1.0\r\n\r\n":                                         {method: "OPTIONS", path: "/", version: "1.0"},
		"DELETE / HTTP/1.0\r\n\r\n":                                          {method: "DELETE", path: "/", version: "1.0"},
		"POST / HTTP/1.0\r\ncontent-length: 0\r\n\r\n":                       {method: "POST", path: "/", version: "1.0"},
		"PUT / HTTP/1.0\r\ncontent-length: 0\r\n\r\n":                        {method: "PUT", path: "/", version: "1.0"},
		"PATCH / HTTP/1.0\r\ncontent-length: 0\r\n\r\n":                      {method: "PATCH", path: "/", version: "1.0"},
		"TRACE / HTTP/1.0\r\ncontent-length: 0\r\n\r\n":                      {method: "TRACE", path: "/", version: "1.0"},
		"CONNECT / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 0\r\n\r\n": {method: "CONNECT", path: "/", version: "1.1", host: "a.example"},
		"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00GET / HTTP/1.0\r\n\r\n":       {method: "GET", path: "/", version: "1.0", proxy: 2},
	} {
		got := make(chan string, 1)
		target := serve(t, func(connection net.Conn) {
			got <- head(connection)
			_, _ = io.WriteString(connection, "HTTP/1.0 200 OK\r\n\r\n")
		})
		check.codes = codes{{200, 200}}
		if err := check.run(t.Context(), target); err != nil {
			t.Errorf("%q: %v", want, err)
		}
		if got := <-got; got != want {
			t.Errorf("sent %q, want %q", got, want)
		}
	}
}

func TestHTTPProxyHeader(t *testing.T) {
	got := make(chan [2]string, 1)
	target := serve(t, func(connection net.Conn) {
		got <- [2]string{connection.RemoteAddr().String(), head(connection)}
		_, _ = io.WriteString(connection, "HTTP/1.0 200 OK\r\n\r\n")
	})
	check := httpCheck{method: "GET", path: "/", version: "1.0", codes: codes{{200, 200}}, proxy: 1}
	must(t, check.run(t.Context(), target))
	seen := <-got
	from := netip.MustParseAddrPort(seen[0])
	want := "PROXY TCP4 127.0.0.1 127.0.0.1 " + strings.Split(seen[0], ":")[1] + " " + strings.Split(target.String(), ":")[1] + "\r\n"
	if !strings.HasPrefix(seen[1], want) {
		t.Errorf("from %s came %q, want %q", from, seen[1], want)
	}
}

// TestHTTPAnswers are of members that behave, lie and attack.
func TestHTTPAnswers(t *testing.T) {
	drip := func(connection net.Conn) { // a byte now and then, for ever
		for _, err := io.WriteString(connection, "HTTP/1.0 200 OK\r\nA: "); err == nil; _, err = io.WriteString(connection, "a") {
			time.Sleep(time.Millisecond)
		}
	}
	flood := func(connection net.Conn) {
		for _, err := io.WriteString(connection, "HTTP/1.0 200 OK\r\n"); err == nil; {
			_, err = io.WriteString(connection, "A: "+strings.Repeat("a", 100)+"\r\n")
		}
	}
	say := func(text string) func(net.Conn) {
		return func(connection net.Conn) {
			_ = head(connection)
			_, _ = io.WriteString(connection, text)
		}
	}
	hang := func(connection net.Conn) { _, _ = io.Copy(io.Discard, connection) }
	for name, member := range map[string]struct {
		codes  string
		method string
		answer func(net.Conn)
		want   string // "" is up
		quick  bool   // to be cut by the timeout
	}{
		"right":                {codes: "200", answer: say("HTTP/1.0 200 OK\r\n\r\nbody")},
		"HTTP/1.1":             {codes: "200", answer: say("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")},
		"HEAD":                 {codes: "200", method: "HEAD", answer: say("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")},
		"a body without end":   {codes: "200", answer: func(c net.Conn) { say("HTTP/1.0 200 OK\r\n\r\n")(c); hang(c) }},
		"start of a range":     {codes: "200-204", answer: say("HTTP/1.0 200 OK\r\n\r\n")},
		"end of a range":       {codes: "200-204", answer: say("HTTP/1.0 204 No\r\n\r\n")},
		"beyond a range":       {codes: "200-204,301", answer: say("HTTP/1.0 205 No\r\n\r\n"), want: "answered 205"},
		"after a range":        {codes: "200-204,301", answer: say("HTTP/1.0 301 No\r\n\r\n")},
		"of a list":            {codes: "200, 202", answer: say("HTTP/1.0 202 OK\r\n\r\n")},
		"wrong":                {codes: "200", answer: say("HTTP/1.0 500 No\r\n\r\n"), want: "answered 500"},
		"continue, as HAProxy": {codes: "200", answer: say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), want: "answered 100"},
		"no HTTP":              {codes: "200", answer: say("220 mail.example ESMTP\r\n\r\n"), want: "answer: "},
		"half a header":        {codes: "200", answer: say("HTTP/1.0 200 OK\r\nA: b\r\n"), want: "answer: "},
		"nothing":              {codes: "200", answer: say(""), want: "answer: "},
		"header without end":   {codes: "200", answer: flood, want: "longer than 16384 bytes"},
		"slow":                 {codes: "200", answer: drip, want: "answer: ", quick: true},
		"hangs":                {codes: "200", answer: hang, want: "answer: ", quick: true},
	} {
		t.Run(name, func(t *testing.T) {
			expected, err := parseCodes(member.codes)
			must(t, err)
			check := httpCheck{method: member.method, path: "/", version: "1.0", codes: expected}
			if check.method == "" {
				check.method = http.MethodGet
			}
			timeout := testkit.Patience
			if member.quick {
				timeout = 50 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			err = check.run(ctx, serve(t, member.answer))
			if (err == nil) != (member.want == "") || err != nil && !strings.Contains(err.Error(), member.want) {
				t.Errorf("%v, want %q", err, member.want)
			}
			if cut := ctx.Err() != nil; cut != member.quick {
				t.Errorf("cut by the timeout: %v", cut)
			}
		})
	}
}

func TestHTTPS(t *testing.T) {
	member := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || r.TLS.ServerName != "" || r.Proto != "HTTP/1.0" {
			http.Error(w, "odd", http.StatusInternalServerError)
		}
	}))
	member.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	member.StartTLS() // with a certificate that nobody has signed
	t.Cleanup(member.Close)
	check := httpCheck{method: "GET", path: "/", version: "1.0", codes: codes{{200, 200}}, tls: true}
	target := netip.MustParseAddrPort(member.Listener.Addr().String())
	must(t, check.run(t.Context(), target))

	plain := serve(t, func(connection net.Conn) { _, _ = io.WriteString(connection, "HTTP/1.0 200 OK\r\n\r\n") })
	if err := check.run(t.Context(), plain); err == nil || !strings.HasPrefix(err.Error(), "TLS: ") {
		t.Errorf("a member without TLS: %v", err)
	}
	hangs := serve(t, func(connection net.Conn) { _, _ = io.Copy(io.Discard, connection) })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := check.run(ctx, hangs); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a member that hangs in the handshake: %v", err)
	}
}
