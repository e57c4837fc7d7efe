package translate

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// TestRetries is what clients and members see of requests that a member fails. Each pool has such a member and a good one.
func TestRetries(t *testing.T) {
	var failed, served atomic.Int32
	good := server(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		served.Add(1)
		_, _ = fmt.Fprintf(w, "good %d", len(body))
	})
	fails := func(status int) string {
		return server(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			failed.Add(1)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "bad")
		})
	}
	closes := raw(t, func(c net.Conn) {
		request, err := http.ReadRequest(bufio.NewReader(c))
		if err == nil {
			_, _ = io.Copy(io.Discard, request.Body)
			failed.Add(1)
		}
	})
	hangs := server(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		failed.Add(1)
		<-r.Context().Done()
	})
	half := raw(t, func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			failed.Add(1)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
		}
	})
	slow := server(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "begin ")
		w.(http.Flusher).Flush()
		time.Sleep(2 * time.Second) // Far longer than a try may take.
		_, _ = io.WriteString(w, "end")
	})
	lb := &model.LoadBalancer{
		Flavor: map[string]any{
			"retries":      map[string]any{"retry_on": []any{"5xx", "retriable-4xx"}, "attempts": 2, "try_timeout_ms": 1000, "backoff_ms": 1},
			"buffer_bytes": 16384,
		},
		Pools: []model.Pool{
			pool("503", "HTTP", fails(503), good), pool("409", "HTTP", fails(409), good), pool("404", "HTTP", fails(404), good),
			pool("reset", "HTTP", closes, good), pool("hangs", "HTTP", hangs, good), pool("dead", "HTTP", dead(t), good),
			pool("half", "HTTP", half), pool("slow", "HTTP", slow), pool("bad", "HTTP", fails(503)),
		},
	}
	kept := pool("kept", "HTTP", fails(503), good)
	kept.SessionPersistence = &model.SessionPersistence{Type: persistHTTPCookie}
	lb.Pools = append(lb.Pools, kept)
	for _, p := range lb.Pools {
		lb.Listeners = append(lb.Listeners, listener(t, p.ID, "HTTP", p.ID))
	}
	serve(t, lb)

	// send sends some requests, and returns how many were answered by each status and how many each member had.
	send := func(t *testing.T, id, method, headers string, body int) (statuses map[int]int, bad, fine int) {
		t.Helper()
		failed.Store(0)
		served.Store(0)
		statuses = map[int]int{}
		for range rounds {
			request := fmt.Sprintf("%s / HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", method, headers, body, strings.Repeat("x", body))
			response, text := ask(t, lb.Listener(id), request)
			statuses[response.StatusCode]++
			if want := fmt.Sprintf("good %d", body); response.StatusCode == http.StatusOK && text != want {
				t.Errorf("%s %s: got %q, want %q", method, id, text, want)
			}
		}
		return statuses, int(failed.Load()), int(served.Load())
	}
	for _, test := range []struct {
		pool, method, headers string
		body                  int
		again                 bool
		status                int
	}{
		{"503", "GET", "", 0, true, 0},
		{"503", "PUT", "", 1000, true, 0},
		{"503", "DELETE", "", 0, true, 0},
		{"503", "POST", "", 1000, false, 503},
		{"503", "PATCH", "", 10, false, 503},
		{"503", "PURGE", "", 0, false, 503},
		{"503", "PUT", "", 200_000, false, 503},
		{"409", "GET", "", 0, true, 0},
		{"409", "POST", "", 10, false, 409},
		{"404", "GET", "", 0, false, 404},
		{"reset", "GET", "", 0, true, 0},
		{"reset", "POST", "", 10, false, 502},
		{"kept", "GET", "", 0, true, 0},
		// A client has no say.
		{"503", "POST", "X-Envoy-Retry-On: 5xx\r\nX-Envoy-Max-Retries: 9\r\n", 10, false, 503},
		{"404", "GET", "X-Envoy-Retry-On: retriable-status-codes\r\nX-Envoy-Retriable-Status-Codes: 404\r\n", 0, false, 404},
	} {
		name := fmt.Sprintf("%s %s %d %s", test.method, test.pool, test.body, test.headers)
		statuses, bad, fine := send(t, test.pool, test.method, test.headers, test.body)
		switch {
		case test.again && (statuses[200] != rounds || fine != rounds || bad == 0):
			t.Errorf("%s: it is to be sent again: %v, %d failed, %d served", name, statuses, bad, fine)
		case !test.again && (bad+fine != rounds || statuses[test.status] != bad || bad == 0):
			t.Errorf("%s: it is not to be sent again: %v, %d failed, %d served", name, statuses, bad, fine)
		}
	}
	t.Run("a connect that fails, whatever the method", func(t *testing.T) {
		for _, method := range []string{"GET", "POST"} {
			if statuses, _, fine := send(t, "dead", method, "", 10); statuses[200] != rounds || fine != rounds {
				t.Errorf("%s: %v, %d served", method, statuses, fine)
			}
		}
	})
	t.Run("a member that says nothing", func(t *testing.T) {
		failed.Store(0)
		for range 2 { // one of them is for it
			if response, body := ask(t, lb.Listener("hangs"), get); body != "good 0" {
				t.Errorf("got %s %q", response.Status, body)
			}
		}
		if failed.Load() == 0 {
			t.Error("nobody asked it")
		}
	})
	t.Run("only bad members", func(t *testing.T) {
		failed.Store(0)
		response, body := ask(t, lb.Listener("bad"), get)
		if tries := failed.Load(); response.StatusCode != 503 || body != "bad" || tries != 3 {
			t.Errorf("got %s %q after %d tries", response.Status, body, tries)
		}
	})
	t.Run("what has begun to pass", func(t *testing.T) {
		failed.Store(0)
		connection := dial(t, lb.Listener("half"))
		_, _ = io.WriteString(connection, get)
		if got := drained(t, connection); !strings.HasSuffix(got, "\r\n\r\nhalf") || failed.Load() != 1 {
			t.Errorf("got %q after %d tries", got, failed.Load())
		}
	})
	t.Run("a download longer than a try", func(t *testing.T) {
		if response, body := ask(t, lb.Listener("slow"), get); body != "begin end" {
			t.Errorf("got %s %q", response.Status, body)
		}
	})
}
