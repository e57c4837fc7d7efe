package translate

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// h2c is an HTTP/2 member without TLS; it returns its address. It knows no RFC 8441.
func h2c(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return strings.TrimPrefix(s.URL, "http://")
}

// TestMemberHTTP2 is what members see that are spoken to by HTTP/2.
func TestMemberHTTP2(t *testing.T) {
	member := h2c(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Trailer", "X-Back")
		w.Header().Set("Seen", strings.Join([]string{r.Proto, r.Host, r.RequestURI, r.Header.Get("X-Mixed"), r.RemoteAddr}, " "))
		_, _ = fmt.Fprintf(w, "%s %s", body, r.Trailer.Get("X-Sent"))
		w.(http.Flusher).Flush() // Without a Content-Length: with one HTTP/1.1 has no trailers.
		w.Header().Set("X-Back", "down")
	})
	old := server(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "old") })
	echo := raw(t, func(c net.Conn) {
		reader := bufio.NewReader(c)
		_, _ = http.ReadRequest(reader)
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(c, reader)
	})
	web, behind, proxied := listener(t, "web", "HTTP", "blue"), listener(t, "old", "HTTP", "old"), listener(t, "proxied", "HTTP", "proxy")
	lb := &model.LoadBalancer{
		ID: "lb", VIPAddress: vip, AdminStateUp: true,
		Flavor: map[string]any{"member_http": map[string]any{
			"version": "2", "idle_timeout_ms": 60_000, "max_requests_per_connection": 2, "max_concurrent_streams": 10,
		}},
		Listeners: []model.Listener{web, behind, proxied},
		Pools:     []model.Pool{pool("blue", "HTTP", member), pool("old", "HTTP", old), pool("proxy", "HTTP", echo)},
	}
	// A second Envoy's worth of it is a member that knows RFC 8441 and speaks HTTP/1.1 to its own member.
	plain := &model.LoadBalancer{ID: "plain", VIPAddress: vip, AdminStateUp: true, Listeners: []model.Listener{listener(t, "inner", "HTTP", "echo")}}
	plain.Pools = []model.Pool{pool("echo", "HTTP", echo)}
	lb.Pools[2].Members[0].ProtocolPort = plain.Listeners[0].ProtocolPort
	inner := translated(t, plain)
	editManager(t, inner, "inner", func(manager *hcmv3.HttpConnectionManager) {
		manager.Http2ProtocolOptions = &corev3.Http2ProtocolOptions{AllowConnect: true}
	})
	serveResources(t, plain, inner)
	serve(t, lb)

	t.Run("a request", func(t *testing.T) {
		connections := map[string]int{}
		for range 6 {
			response, body := ask(t, &web, "POST /a//b/../c?d=%2f HTTP/1.1\r\nHost: www.example\r\nTrailer: X-Sent\r\nX-Mixed: v\r\n"+
				"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sent: up\r\n\r\n")
			seen, from, _ := strings.Cut(response.Header.Get("Seen"), " 127.0.0.1:")
			if want := "HTTP/2.0 www.example /a//b/../c?d=%2f v"; seen != want || body != "a up" || response.Trailer.Get("X-Back") != "down" {
				t.Errorf("the member saw %q, the client got %q and %v", seen, body, response.Trailer)
			}
			connections[from]++
		}
		for _, requests := range connections {
			if requests != 2 {
				t.Errorf("requests a connection: %v, want 2", connections)
				break
			}
		}
	})
	t.Run("a client of HTTP/2", func(t *testing.T) {
		response, err := h2Client(t).Get("http://" + place(&web) + "/")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if response.Proto != "HTTP/2.0" || response.Trailer.Get("X-Back") != "down" {
			t.Errorf("got %s, trailers %v", response.Proto, response.Trailer)
		}
	})
	t.Run("a member that does not speak it", func(t *testing.T) {
		response, body := ask(t, &behind, get)
		if response.StatusCode != 502 || body != page("502 Bad Gateway", "The server returned an invalid or incomplete response.") {
			t.Errorf("got %s\n%s", response.Status, body)
		}
	})
	const upgrade = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	t.Run("websocket", func(t *testing.T) {
		connection := dial(t, &proxied)
		_, _ = io.WriteString(connection, upgrade)
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
	t.Run("websocket to a member that does not know it", func(t *testing.T) {
		if response, _ := ask(t, &web, upgrade); response.StatusCode != http.StatusBadGateway {
			t.Errorf("got %s", response.Status)
		}
		if response, _ := ask(t, &web, get); response.StatusCode != http.StatusOK {
			t.Errorf("another request got %s", response.Status)
		}
	})
}

// TestMemberHTTP1 shows the limits of connections to members.
func TestMemberHTTP1(t *testing.T) {
	member := server(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto+" "+r.RemoteAddr) })
	web := listener(t, "web", "HTTP", "blue")
	serve(t, &model.LoadBalancer{
		Flavor:    map[string]any{"member_http": map[string]any{"idle_timeout_ms": 60_000, "max_requests_per_connection": 3}},
		Listeners: []model.Listener{web}, Pools: []model.Pool{pool("blue", "HTTP", member)},
	})
	connections := map[string]int{}
	for range 9 {
		_, body := ask(t, &web, get)
		connections[body]++
	}
	for from, requests := range connections {
		if requests != 3 || !strings.HasPrefix(from, "HTTP/1.1 ") {
			t.Errorf("requests a connection: %v, want 3", connections)
		}
	}
}

// h2Client speaks HTTP/2 without TLS.
func h2Client(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
