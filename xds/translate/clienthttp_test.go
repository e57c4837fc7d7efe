package translate

import (
	"bufio"
	"encoding/binary"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// TestClientHTTP is what clients see of limits on how they speak.
func TestClientHTTP(t *testing.T) {
	arrived, leave := make(chan struct{}, 1), make(chan struct{})
	member := server(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			connection, buffered, _ := http.NewResponseController(w).Hijack()
			_, _ = io.WriteString(connection, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			_, _ = io.Copy(connection, buffered)
			_ = connection.Close()
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/slow" {
			arrived <- struct{}{}
			<-leave
		}
		_, _ = io.WriteString(w, "ok")
	})
	serving := func(t *testing.T, limits map[string]any) *model.Listener {
		t.Helper()
		web := listener(t, "web", "HTTP", "blue")
		web.TimeoutClientData, web.TimeoutMemberData = maxTimeout, maxTimeout
		serve(t, &model.LoadBalancer{
			Flavor:    map[string]any{"client_http": limits},
			Listeners: []model.Listener{web}, Pools: []model.Pool{pool("blue", "HTTP", member)},
		})
		return &web
	}
	timeout := page("408 Request Time-out", "Your browser didn't send a complete request in time.")
	t.Run("headers timeout", func(t *testing.T) {
		connection := dial(t, serving(t, map[string]any{"request_headers_timeout_ms": 200}))
		_, _ = io.WriteString(connection, "GET / HTTP/1.1\r\nHost: x\r\n")
		if got := drained(t, connection); !strings.HasPrefix(got, "HTTP/1.1 408 ") || !strings.HasSuffix(got, timeout) {
			t.Errorf("got %q", got)
		}
	})
	t.Run("request timeout", func(t *testing.T) {
		connection := dial(t, serving(t, map[string]any{"request_timeout_ms": 200}))
		_, _ = io.WriteString(connection, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
		if got := drained(t, connection); !strings.HasPrefix(got, "HTTP/1.1 408 ") || !strings.HasSuffix(got, timeout) {
			t.Errorf("got %q", got)
		}
	})
	t.Run("requests a connection", func(t *testing.T) {
		connection := dial(t, serving(t, map[string]any{"max_requests_per_connection": 2}))
		reader := bufio.NewReader(connection)
		for _, last := range []bool{false, true} {
			response := again(t, connection, reader)
			if response.StatusCode != http.StatusOK || response.Close != last {
				t.Errorf("got %s, close %v, want %v", response.Status, response.Close, last)
			}
		}
		if got := drained(t, connection); got != "" {
			t.Errorf("got %q after the last", got)
		}
	})
	t.Run("duration of a connection", func(t *testing.T) {
		web := serving(t, map[string]any{"max_connection_duration_ms": 1000, "drain_timeout_ms": 100})
		socket, busy, idle := dial(t, web), dial(t, web), dial(t, web)
		_, _ = io.WriteString(socket, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		frames := bufio.NewReader(socket)
		if response, err := http.ReadResponse(frames, nil); err != nil || response.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("got %v, %v", response, err)
		}
		_, _ = io.WriteString(busy, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
		<-arrived
		if response := again(t, idle, bufio.NewReader(idle)); response.StatusCode != http.StatusOK {
			t.Errorf("got %s", response.Status)
		}
		if got := drained(t, idle); got != "" {
			t.Errorf("got %q", got)
		}
		// These are as old, and what is on them is finished first: a WebSocket lives on.
		close(leave)
		if got := drained(t, busy); !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.HasSuffix(got, "\r\n\r\nok") {
			t.Errorf("got %q", got)
		}
		_, _ = io.WriteString(socket, "frame")
		if got, err := frames.Peek(len("frame")); err != nil || string(got) != "frame" {
			t.Errorf("got %q, %v", got, err)
		}
	})
	t.Run("streams of HTTP/2", func(t *testing.T) {
		connection := dial(t, serving(t, map[string]any{"max_concurrent_streams": 7}))
		// The preface, and settings without any (RFC 9113, sections 3.4 and 6.5).
		_, _ = io.WriteString(connection, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
		header := make([]byte, 9)
		if _, err := io.ReadFull(connection, header); err != nil || header[3] != 4 {
			t.Fatalf("the first frame is %v, %v", header, err)
		}
		settings := make([]byte, binary.BigEndian.Uint16(header[1:3]))
		if _, err := io.ReadFull(connection, settings); err != nil {
			t.Fatal(err)
		}
		got := map[uint16]uint32{}
		for ; len(settings) >= 6; settings = settings[6:] {
			got[binary.BigEndian.Uint16(settings)] = binary.BigEndian.Uint32(settings[2:])
		}
		const maxConcurrentStreams = 3
		if got[maxConcurrentStreams] != 7 {
			t.Errorf("settings %v", got)
		}
	})
}

// again sends a request on a connection and returns its answer.
func again(t *testing.T, connection io.Writer, reader *bufio.Reader) *http.Response {
	t.Helper()
	_, _ = io.WriteString(connection, get)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	return response
}
