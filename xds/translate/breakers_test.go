package translate

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// TestCircuitBreaking sends five requests at once to a member that takes its time.
func TestCircuitBreaking(t *testing.T) {
	for name, test := range map[string]struct {
		limits map[string]any
		// served of the five are answered by the member, the others are not even queued.
		served int
	}{
		"requests":                     {map[string]any{"max_requests": 2}, 2},
		"one connection and one waits": {map[string]any{"max_connections": 1, "max_pending_requests": 1}, 2},
		"connections, and all wait":    {map[string]any{"max_connections": 1}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			arrived, leave := make(chan struct{}, 10), make(chan struct{})
			slow := server(t, func(_ http.ResponseWriter, r *http.Request) {
				arrived <- struct{}{}
				select {
				case <-leave:
				case <-r.Context().Done():
				}
			})
			web := listener(t, "web", "HTTP", "slow")
			serve(t, &model.LoadBalancer{
				Flavor:    map[string]any{"circuit_breaking": test.limits},
				Listeners: []model.Listener{web}, Pools: []model.Pool{pool("slow", "HTTP", slow)},
			})
			const requests = 5
			pages := make(chan string, requests)
			statuses := make(chan int, requests)
			for i := range requests {
				connection := dial(t, &web)
				_, _ = io.WriteString(connection, get)
				go func() {
					response, err := http.ReadResponse(bufio.NewReader(connection), nil)
					if err != nil {
						statuses <- 0
						return
					}
					body, _ := io.ReadAll(response.Body)
					_ = response.Body.Close()
					pages <- string(body)
					statuses <- response.StatusCode
				}()
				if i == 0 {
					<-arrived // Until its connection is there, it waits itself.
				}
			}
			for range requests - test.served {
				status := <-statuses
				if body := <-pages; status != 503 || body != page("503 Service Unavailable", "No server is available to handle this request.") {
					t.Errorf("one above the limit: %d\n%s", status, body)
				}
			}
			close(leave)
			for range test.served {
				if status := <-statuses; status != 200 {
					t.Errorf("one within the limit: %d", status)
				}
			}
			if response, _ := ask(t, &web, get); response.StatusCode != 200 {
				t.Errorf("one afterwards: %s", response.Status)
			}
		})
	}
}

// TestCircuitBreakingOfTCP closes the connections above the limit.
func TestCircuitBreakingOfTCP(t *testing.T) {
	greets := raw(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "hello")
		_, _ = io.Copy(io.Discard, c)
	})
	db := listener(t, "db", "TCP", "greets")
	serve(t, &model.LoadBalancer{
		Flavor:    map[string]any{"circuit_breaking": map[string]any{"max_connections": 1}},
		Listeners: []model.Listener{db}, Pools: []model.Pool{pool("greets", "TCP", greets)},
	})
	// The connection that found the listener ready may still count.
	testkit.Until(t, "the listener serves", func() bool {
		_, err := io.ReadFull(dial(t, &db), make([]byte, len("hello")))
		return err == nil
	})
	if got := drained(t, dial(t, &db)); got != "" {
		t.Errorf("the second connection got %q", got)
	}
}
