package translate

import (
	"io"
	"net/http"
	"testing"

	"github.com/google/uuid"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// TestRequestID is what becomes of X-Request-Id.
func TestRequestID(t *testing.T) {
	member := server(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Header.Get("X-Request-Id")) })
	const mine = "X-Request-Id: 0d7d2a3c-5ac3-4ef6-a0ae-5a3c5e2b9f11\r\n"
	for _, test := range []struct {
		mode, sent string
		// passed says that the member sees what was sent, told that the client hears what the member saw.
		passed, told bool
	}{
		{"pass", "", true, false},
		{"pass", mine, true, false},
		{"pass", "X-Request-Id: anything\r\n", true, false},
		{"keep", "", false, true},
		{"keep", mine, true, true},
		{"keep", "X-Request-Id: anything\r\n", true, true},
		{"replace", "", false, true},
		{"replace", mine, false, true},
		{"replace", "X-Request-Id: anything\r\n", false, true},
	} {
		t.Run(test.mode+" "+test.sent, func(t *testing.T) {
			web, none := listener(t, "web", "HTTP", "blue"), listener(t, "none", "HTTP", "")
			serve(t, &model.LoadBalancer{
				Flavor:    map[string]any{"request_id": test.mode},
				Listeners: []model.Listener{web, none}, Pools: []model.Pool{pool("blue", "HTTP", member)},
			})
			request := "GET / HTTP/1.1\r\nHost: x\r\n" + test.sent + "\r\n"
			response, seen := ask(t, &web, request)
			sent := ""
			if test.sent != "" {
				sent = test.sent[len("X-Request-Id: ") : len(test.sent)-2]
			}
			if (seen == sent) != test.passed {
				t.Errorf("sent %q, the member saw %q", sent, seen)
			}
			if _, err := uuid.Parse(seen); err != nil && !test.passed {
				t.Errorf("the new id is %q: %v", seen, err)
			}
			if heard := response.Header.Get("X-Request-Id"); test.told && heard != seen || !test.told && heard != "" {
				t.Errorf("the member saw %q, the client heard %q", seen, heard)
			}
			// Envoy's own answers have one, too.
			if response, _ := ask(t, &none, request); (response.Header.Get("X-Request-Id") != "") != test.told {
				t.Errorf("%s with %v", response.Status, response.Header)
			}
		})
	}
}
