package translate

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// TestOddHTTP has what HAProxy lets pass, or refuses, and Envoy by itself does not: found by test/parity.
func TestOddHTTP(t *testing.T) {
	member := server(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		_, _ = w.Write(append([]byte(r.Method+" "), body...))
	})
	twice := raw(t, func(connection net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(connection)); err == nil {
			_, _ = io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
		}
	})
	lb := &model.LoadBalancer{Pools: []model.Pool{pool("plain", "HTTP", member), pool("twice", "HTTP", twice)}}
	lb.Listeners = []model.Listener{listener(t, "l0", "HTTP", "plain"), listener(t, "l1", "HTTP", "twice")}
	serve(t, lb)
	const chunks = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, test := range []struct {
		name, request string
		listener      int
		status        int
		body          string
	}{
		{"a method that Envoy does not know", "M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n", 0, http.StatusBadRequest, ""},
		{"a method of the user's own", "MAKE!COFFEE / HTTP/1.1\r\nHost: a\r\n\r\n", 0, http.StatusBadRequest, ""},
		{"no method", "MAKE(COFFEE / HTTP/1.1\r\nHost: a\r\n\r\n", 0, http.StatusBadRequest, ""},
		{"an answer with a length and chunks", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1, http.StatusOK, "hello"},
		{"a request with a length and chunks", strings.Replace(chunks, "Host", "Content-Length: 3\r\nHost", 1) + "0\r\n\r\n", 0, http.StatusBadRequest, ""},
		{"a chunk longer than it says", chunks + "3\r\nabcd\r\n0\r\n\r\n", 0, http.StatusBadRequest, ""},
		{"chunks", chunks + "3;name=value\r\nabc\r\n0\r\n\r\n", 0, http.StatusOK, "POST abc"},
	} {
		t.Run(test.name, func(t *testing.T) {
			response, body := ask(t, &lb.Listeners[test.listener], test.request)
			if response.StatusCode != test.status || test.body != "" && body != test.body {
				t.Errorf("%d %q, not %d %q", response.StatusCode, body, test.status, test.body)
			}
		})
	}
	// WebDAV (RFC 4918) and what CalDAV, CardDAV, Subversion and UPnP add.
	for method := range strings.FieldsSeq("PATCH PURGE PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK ACL SEARCH REPORT MKCALENDAR " +
		"MKACTIVITY CHECKOUT MERGE BIND REBIND UNBIND LINK UNLINK NOTIFY SUBSCRIBE UNSUBSCRIBE") {
		t.Run(method, func(t *testing.T) {
			response, body := ask(t, &lb.Listeners[0], method+" / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
			if response.StatusCode != http.StatusOK || body != method+" abc" {
				t.Errorf("%d %q", response.StatusCode, body)
			}
		})
	}
}
