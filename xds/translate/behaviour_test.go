package translate

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

const get = "GET /a//b/../c?d=%2f HTTP/1.1\r\nHost: www.example\r\n\r\n"

// page is HAProxy's answer, seen on the wire of HAProxy 2.6.
func page(title, sentence string) string {
	return "<html><body><h1>" + title + "</h1>\n" + sentence + "\n</body></html>\n"
}

// TestHTTP is what a client and a member see of HTTP listeners through the real Envoy.
func TestHTTP(t *testing.T) {
	hits := make(chan string, 100)
	member := func(name string) string {
		return server(t, func(w http.ResponseWriter, r *http.Request) {
			hits <- name
			w.Header().Set("Seen", r.Proto+" "+r.Host+" "+r.RequestURI)
			for _, key := range slices.Sorted(maps.Keys(r.Header)) {
				w.Header().Add("Got", fmt.Sprintf("%s=%s", key, strings.Join(r.Header[key], "|")))
			}
			_, _ = io.WriteString(w, name)
		})
	}
	one, two := member("one"), member("two")
	slow := server(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	late := server(t, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(time.Second) // Far longer than the client may be silent.
		_, _ = io.WriteString(w, "at last")
	})
	rude := raw(t, func(c net.Conn) { _, _ = http.ReadRequest(bufio.NewReader(c)) })
	trailing := server(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Trailer", "X-Back")
		_, _ = io.WriteString(w, r.Trailer.Get("X-Sent"))
		w.Header().Set("X-Back", "down")
	})
	upgrade := raw(t, func(c net.Conn) {
		reader := bufio.NewReader(c)
		_, _ = http.ReadRequest(reader)
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(c, reader)
	})

	web, none := listener(t, "web", "HTTP", "blue"), listener(t, "none", "HTTP", "")
	headers, down := listener(t, "headers", "HTTP", "blue"), listener(t, "down", "HTTP", "down")
	headers.InsertHeaders = map[string]string{"X-Forwarded-For": "true", "X-Forwarded-Port": "true", "X-Forwarded-Proto": "true"}
	waits, closes := listener(t, "waits", "HTTP", "slow"), listener(t, "closes", "HTTP", "rude")
	waits.TimeoutMemberData, waits.TimeoutClientData = 200, maxTimeout
	hasty := listener(t, "hasty", "HTTP", "late")
	hasty.TimeoutMemberData, hasty.TimeoutClientData = maxTimeout, 200
	half, socket := listener(t, "half", "HTTP", "half"), listener(t, "socket", "HTTP", "socket")
	drains, refuses := listener(t, "drains", "HTTP", "drains"), listener(t, "refuses", "HTTP", "refuses")
	trails, policies := listener(t, "trails", "HTTP", "trails"), listener(t, "policies", "HTTP", "blue")
	policies.L7Policies = []model.L7Policy{{
		ID: "https", ListenerID: "policies", AdminStateUp: true, Position: 1, Action: model.L7ActionReject,
		Rules: []model.L7Rule{{
			ID: "is", L7PolicyID: "https", AdminStateUp: true,
			Type: model.L7TypeHeader, Key: "X-Forwarded-Proto", CompareType: model.L7CompareEqualTo, Value: "https",
		}},
	}}
	down2 := pool("down", "HTTP", one)
	down2.AdminStateUp = false
	draining := pool("drains", "HTTP", one, two)
	draining.Members[0].Weight = 0
	serve(t, &model.LoadBalancer{
		Listeners: []model.Listener{web, none, headers, down, waits, closes, hasty, half, socket, drains, refuses, trails, policies},
		Pools: []model.Pool{
			pool("blue", "HTTP", one, two), pool("slow", "HTTP", slow), pool("late", "HTTP", late), pool("rude", "HTTP", rude), down2, draining,
			pool("half", "HTTP", dead(t), one), pool("socket", "HTTP", upgrade), pool("refuses", "HTTP", dead(t)),
			pool("trails", "HTTP", trailing),
		},
	})

	t.Run("round robin", func(t *testing.T) {
		spread := map[string]int{}
		for range 20 {
			_, body := ask(t, &web, get)
			spread[body]++
		}
		if diff := cmp.Diff(map[string]int{"one": 10, "two": 10}, spread); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a request arrives as it was sent", func(t *testing.T) {
		response, _ := ask(t, &web, strings.Replace(get, "\r\n\r\n",
			"\r\nX-Request-Id: mine\r\nX-Forwarded-For: 192.0.2.7\r\nX-Mixed: v\r\n\r\n", 1))
		if got, want := response.Header.Get("Seen"), "HTTP/1.1 www.example /a//b/../c?d=%2f"; got != want {
			t.Errorf("the member saw %q, want %q", got, want)
		}
		want := []string{"X-Forwarded-For=192.0.2.7", "X-Mixed=v", "X-Request-Id=mine"}
		if diff := cmp.Diff(want, response.Header["Got"]); diff != "" {
			t.Errorf("headers at the member (-want +got):\n%s", diff)
		}
		for key := range response.Header {
			if strings.HasPrefix(key, "X-Envoy") || key == "Server" {
				t.Errorf("the client sees %s", key)
			}
		}
	})
	t.Run("the scheme that a proxy before us says stays", func(t *testing.T) {
		for sent, want := range map[string][]string{
			"X-Forwarded-Proto: https\r\n":                                        {"X-Forwarded-Proto=https"},
			"X-Octavia-Forwarded-Proto: spoofed\r\n":                              nil,
			"X-Octavia-Forwarded-Proto: spoofed\r\nX-Forwarded-Proto: gopher\r\n": {"X-Forwarded-Proto=gopher"},
		} {
			response, _ := ask(t, &web, strings.TrimSuffix(get, "\r\n")+sent+"\r\n")
			if diff := cmp.Diff(want, response.Header["Got"]); diff != "" {
				t.Errorf("%q: headers at the member (-want +got):\n%s", sent, diff)
			}
			response, _ = ask(t, &policies, strings.TrimSuffix(get, "\r\n")+sent+"\r\n")
			if rejected := strings.Contains(sent, "https"); rejected != (response.StatusCode == http.StatusForbidden) {
				t.Errorf("%q: a policy for X-Forwarded-Proto https: %s", sent, response.Status)
			}
		}
	})
	t.Run("offers of other protocols", func(t *testing.T) {
		for _, offer := range []string{"TLS/1.2", "h2c", "irc/6.9", "wide", "te"} {
			request := strings.TrimSuffix(get, "\r\n") + "Connection: Upgrade\r\nUpgrade: " + offer + "\r\n\r\n"
			if response, _ := ask(t, &web, request); response.StatusCode != http.StatusOK {
				t.Errorf("%s: %s", offer, response.Status)
			}
		}
		for _, offer := range []string{"SPDY/3.1", "tcp"} {
			request := strings.TrimSuffix(get, "\r\n") + "Connection: Upgrade\r\nUpgrade: " + offer + "\r\n\r\n"
			if response, _ := ask(t, &socket, request); response.StatusCode != http.StatusSwitchingProtocols {
				t.Errorf("%s: %s", offer, response.Status)
			}
		}
	})
	t.Run("trailers", func(t *testing.T) {
		response, body := ask(t, &trails, "POST / HTTP/1.1\r\nHost: x\r\nTrailer: X-Sent\r\n"+
			"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sent: up\r\n\r\n")
		if got := response.Trailer.Get("X-Back"); body != "up" || got != "down" {
			t.Errorf("the member got %q, the client %q", body, got)
		}
	})
	t.Run("bad requests", func(t *testing.T) {
		for name, request := range map[string]string{
			"two lengths": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
			"no request":  "hello\r\n\r\n",
			"too long":    "GET / HTTP/1.1\r\nHost: x\r\nLong: " + strings.Repeat("x", 70_000) + "\r\n\r\n",
		} {
			response, body := ask(t, &web, request)
			if response.StatusCode != http.StatusBadRequest || body != page("400 Bad request", "Your browser sent an invalid request.") {
				t.Errorf("%s: %s\n%s", name, response.Status, body)
			}
		}
	})
	t.Run("inserted headers", func(t *testing.T) {
		response, _ := ask(t, &headers, strings.Replace(get, "\r\n\r\n",
			"\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: gopher\r\nX-Forwarded-Port: 7\r\n\r\n", 1))
		want := []string{
			"X-Forwarded-For=192.0.2.7,127.0.0.1", fmt.Sprintf("X-Forwarded-Port=%d", headers.ProtocolPort), "X-Forwarded-Proto=http",
		}
		if diff := cmp.Diff(want, response.Header["Got"]); diff != "" {
			t.Errorf("headers at the member (-want +got):\n%s", diff)
		}
	})
	t.Run("HTTP/1.0", func(t *testing.T) {
		response, _ := ask(t, &web, "GET / HTTP/1.0\r\n\r\n")
		if response.StatusCode != http.StatusOK || response.Header.Get("Seen") != "HTTP/1.1 127.0.0.1 /" {
			t.Errorf("got %s, the member saw %q", response.Status, response.Header.Get("Seen"))
		}
	})
	t.Run("a dead member is passed over", func(t *testing.T) {
		for range 6 {
			if response, body := ask(t, &half, get); body != "one" {
				t.Errorf("got %s %q", response.Status, body)
			}
		}
	})
	t.Run("weight 0", func(t *testing.T) {
		for range 6 {
			if response, body := ask(t, &drains, get); body != "two" {
				t.Errorf("got %s %q", response.Status, body)
			}
		}
	})
	t.Run("pages", func(t *testing.T) {
		unavailable := page("503 Service Unavailable", "No server is available to handle this request.")
		for _, test := range []struct {
			listener *model.Listener
			status   int
			body     string
		}{
			{&none, 503, unavailable},
			{&down, 503, unavailable},
			{&refuses, 503, unavailable},
			{&waits, 504, page("504 Gateway Time-out", "The server didn't respond in time.")},
			{&closes, 502, page("502 Bad Gateway", "The server returned an invalid or incomplete response.")},
		} {
			response, body := ask(t, test.listener, get)
			if response.StatusCode != test.status || body != test.body {
				t.Errorf("listener %s answers %s\n%s", test.listener.ID, response.Status, body)
			}
			if response.Header.Get("Content-Type") != "text/html" || response.Header.Get("Cache-Control") != "no-cache" {
				t.Errorf("listener %s answers with %v", test.listener.ID, response.Header)
			}
		}
	})
	t.Run("a client may wait for its answer", func(t *testing.T) {
		if response, body := ask(t, &hasty, get); body != "at last" {
			t.Errorf("got %s %q", response.Status, body)
		}
	})
	t.Run("a silent client is closed", func(t *testing.T) {
		if got := drained(t, dial(t, &hasty)); got != "" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("a request that stops half way", func(t *testing.T) {
		connection := dial(t, &hasty)
		_, _ = io.WriteString(connection, "GET / HTTP/1.1\r\nHost: x\r\n")
		if got := drained(t, connection); !strings.HasPrefix(got, "HTTP/1.1 408 ") || !strings.Contains(got, "408 Request Time-out") {
			t.Errorf("got %q", got)
		}
	})
	t.Run("websocket", func(t *testing.T) {
		connection := dial(t, &socket)
		_, _ = io.WriteString(connection, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
		reader := bufio.NewReader(connection)
		response, err := http.ReadResponse(reader, nil)
		if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("got %v, %v", response, err)
		}
		_, _ = io.WriteString(connection, "frame")
		echo := make([]byte, 5)
		if _, err := io.ReadFull(reader, echo); err != nil || string(echo) != "frame" {
			t.Errorf("got %q, %v", echo, err)
		}
	})
}

// TestTCP is what a client and a member see of TCP and HTTPS listeners through the real Envoy.
func TestTCP(t *testing.T) {
	echo := raw(t, func(c net.Conn) { _, _ = io.Copy(c, c) })
	greets := raw(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "hello")
		_, _ = io.Copy(io.Discard, c)
	})
	half, none, secure := listener(t, "half", "TCP", "half"), listener(t, "none", "TCP", ""), listener(t, "secure", "HTTPS", "echo")
	down, idle, limited := listener(t, "down", "TCP", "down"), listener(t, "idle", "TCP", "greets"), listener(t, "limited", "TCP", "greets")
	idle.TimeoutClientData, idle.TimeoutMemberData = 200, 100
	limited.ConnectionLimit = 1
	disabled := pool("down", "TCP", echo)
	disabled.AdminStateUp = false
	serve(t, &model.LoadBalancer{
		Listeners: []model.Listener{half, none, secure, down, idle, limited},
		Pools: []model.Pool{
			pool("half", "TCP", dead(t), echo), disabled, pool("greets", "TCP", greets), pool("echo", "HTTPS", echo),
		},
	})

	for _, l := range []*model.Listener{&half, &secure} {
		// More than once: the dead member of one of them has its turn.
		for range 4 {
			connection := dial(t, l)
			_, _ = io.WriteString(connection, "bytes")
			answer := make([]byte, 5)
			if _, err := io.ReadFull(connection, answer); err != nil || string(answer) != "bytes" {
				t.Errorf("listener %s: got %q, %v", l.ID, answer, err)
			}
			_ = connection.Close()
		}
	}
	for _, l := range []*model.Listener{&none, &down} {
		if got := drained(t, dial(t, l)); got != "" {
			t.Errorf("listener %s answers %q", l.ID, got)
		}
	}
	if got := drained(t, dial(t, &idle)); got != "hello" {
		t.Errorf("listener idle: got %q", got)
	}
	t.Run("connection limit", func(t *testing.T) {
		// The connection that found the listener ready may still count: try until one is served.
		deadline := time.Now().Add(testkit.Patience)
		first := dial(t, &limited)
		greeting := make([]byte, 5)
		for _, err := io.ReadFull(first, greeting); err != nil; _, err = io.ReadFull(first, greeting) {
			if time.Now().After(deadline) {
				t.Fatal("the listener serves nobody")
			}
			first = dial(t, &limited)
		}
		if got := drained(t, dial(t, &limited)); got != "" {
			t.Errorf("the second connection got %q", got)
		}
	})
}
