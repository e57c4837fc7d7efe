package translate

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// sick is a member that answers a status as long as there is one, and its name.
func sick(t *testing.T, name string, status *atomic.Int32) string {
	t.Helper()
	return server(t, func(w http.ResponseWriter, _ *http.Request) {
		if code := int(status.Load()); code > 0 {
			w.WriteHeader(code)
		}
		_, _ = io.WriteString(w, name)
	})
}

// rounds is how many requests tally sends: each member of two that take turns has half of them.
const rounds = 12

// tally counts the answers to some requests.
func tally(t *testing.T, l *model.Listener) map[string]int {
	t.Helper()
	got := map[string]int{}
	for range rounds {
		response, body := ask(t, l, get)
		got[fmt.Sprintf("%d %.5s", response.StatusCode, body)]++
	}
	return got
}

// out waits until the answers are as they are to be. Envoy takes a member out a little after it has failed.
func out(t *testing.T, l *model.Listener, is func(map[string]int) bool) {
	t.Helper()
	testkit.Eventually(t, func() error {
		if got := tally(t, l); !is(got) {
			return fmt.Errorf("listener %s: %v", l.ID, got)
		}
		return nil
	})
}

// TestOutlierDetection takes members out for good: nobody comes back within an hour.
func TestOutlierDetection(t *testing.T) {
	var well, ill, gateway atomic.Int32
	ill.Store(500)
	gateway.Store(503)
	good, bad, worse, away := sick(t, "good", &well), sick(t, "bad", &ill), sick(t, "worse", &ill), sick(t, "away", &gateway)
	lb := &model.LoadBalancer{
		Flavor: map[string]any{"outlier_detection": map[string]any{"consecutive_5xx": 2, "ejection_ms": 3_600_000}},
		Pools: []model.Pool{
			pool("pair", "HTTP", good, bad), pool("away", "HTTP", good, away), pool("only", "HTTP", bad),
			pool("three", "HTTP", good, bad, worse), pool("both", "HTTP", bad, worse),
		},
	}
	// A member that is down is no second one.
	down := pool("down", "HTTP", bad, good)
	down.Members[1].AdminStateUp = false
	lb.Pools = append(lb.Pools, down)
	for _, p := range lb.Pools {
		lb.Listeners = append(lb.Listeners, listener(t, p.ID, "HTTP", p.ID))
	}
	serve(t, lb)
	for _, id := range []string{"pair", "away"} {
		out(t, lb.Listener(id), func(got map[string]int) bool { return got["200 good"] == rounds })
	}
	// 10 % of them is none, and one goes all the same. The other stays, whatever it answers.
	three := func(got map[string]int) bool {
		return got["200 good"] == rounds/2 && max(got["500 bad"], got["500 worse"]) == rounds/2
	}
	out(t, lb.Listener("three"), three)
	if got := tally(t, lb.Listener("three")); !three(got) {
		t.Errorf("three, of which two are bad: %v", got)
	}
	if got := tally(t, lb.Listener("both")); got["500 bad"]+got["500 worse"] != rounds {
		t.Errorf("two bad members: %v", got)
	}
	// By now the only member of a pool would be out as well.
	for _, id := range []string{"only", "down"} {
		for range 2 {
			if diff := cmp.Diff(map[string]int{"500 bad": rounds}, tally(t, lb.Listener(id))); diff != "" {
				t.Errorf("%s: %s", id, diff)
			}
		}
	}
}

// TestOutlierDetectionOfGateways shows that an application's own 500 is no reason there, but a broken connection is.
func TestOutlierDetectionOfGateways(t *testing.T) {
	var well, ill, gateway atomic.Int32
	ill.Store(500)
	gateway.Store(502)
	good, bad, away := sick(t, "good", &well), sick(t, "bad", &ill), sick(t, "away", &gateway)
	lb := &model.LoadBalancer{
		Flavor: map[string]any{"outlier_detection": map[string]any{
			"consecutive_gateway_errors": 2, "ejection_ms": 3_600_000, "max_ejected_percent": 100,
		}},
		Pools: []model.Pool{pool("bad", "HTTP", good, bad), pool("away", "HTTP", good, away), pool("only", "HTTP", away)},
	}
	for _, p := range lb.Pools {
		lb.Listeners = append(lb.Listeners, listener(t, p.ID, "HTTP", p.ID))
	}
	serve(t, lb)
	out(t, lb.Listener("away"), func(got map[string]int) bool { return got["200 good"] == rounds })
	// Whoever says 100 % can be left with none.
	out(t, lb.Listener("only"), func(got map[string]int) bool { return got["503 <html"] == rounds })
	if diff := cmp.Diff(map[string]int{"200 good": rounds / 2, "500 bad": rounds / 2}, tally(t, lb.Listener("bad"))); diff != "" {
		t.Error(diff)
	}
}

// TestOutlierComesBack waits for a member that was out.
func TestOutlierComesBack(t *testing.T) {
	var well, ill atomic.Int32
	good, bad := sick(t, "good", &well), sick(t, "bad", &ill)
	web := listener(t, "web", "HTTP", "blue")
	serve(t, &model.LoadBalancer{
		Flavor: map[string]any{"outlier_detection": map[string]any{
			"consecutive_5xx": 1, "ejection_ms": 3000, "interval_ms": 100,
		}},
		Listeners: []model.Listener{web},
		Pools:     []model.Pool{pool("blue", "HTTP", good, bad)},
	})
	ill.Store(500)
	// It fails and is out: all are answered by the other.
	out(t, &web, func(got map[string]int) bool { return got["200 good"] == rounds })
	ill.Store(0)
	out(t, &web, func(got map[string]int) bool { return got["200 bad"] > 0 })
}
