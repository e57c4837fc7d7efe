package translate

import (
	"errors"
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

// tally asks so often and counts the answers.
func tally(t *testing.T, l *model.Listener, times int) map[string]int {
	t.Helper()
	got := map[string]int{}
	for range times {
		response, body := ask(t, l, get)
		got[fmt.Sprintf("%d %.5s", response.StatusCode, body)]++
	}
	return got
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
	for id, want := range map[string]map[string]int{
		"pair": {"200 good": 18, "500 bad": 2},
		"away": {"200 good": 18, "503 away": 2},
		"only": {"500 bad": 20},
		"down": {"500 bad": 20},
		// 10 % of them is none, and one goes all the same. The other stays, whatever it answers.
		"three": {"200 good": 10, "500 bad": 2, "500 worse": 8},
	} {
		if got := tally(t, lb.Listener(id), 20); !cmp.Equal(got, want) && !(id == "three" && got["500 bad"]+got["500 worse"] > 4) {
			t.Errorf("%s: %s", id, cmp.Diff(want, got))
		}
	}
	if got := tally(t, lb.Listener("both"), 20); got["500 bad"]+got["500 worse"] != 20 {
		t.Errorf("two bad members: %v", got)
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
	for id, want := range map[string]map[string]int{
		"bad":  {"200 good": 10, "500 bad": 10},
		"away": {"200 good": 18, "502 away": 2},
		// Whoever says 100 % can be left with none.
		"only": {"502 away": 2, "503 <html": 18},
	} {
		if diff := cmp.Diff(want, tally(t, lb.Listener(id), 20)); diff != "" {
			t.Errorf("%s: %s", id, diff)
		}
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
	// A machine may be so busy that it is back before we look: then again.
	testkit.Until(t, "a member that fails is out", func() bool {
		ill.Store(500)
		testkit.Until(t, "it fails", func() bool { return tally(t, &web, 1)["500 bad"] == 1 })
		ill.Store(0)
		return tally(t, &web, 6)["200 bad"] == 0
	})
	testkit.Eventually(t, func() error {
		if tally(t, &web, 1)["200 bad"] == 0 {
			return errors.New("the member is still out")
		}
		return nil
	})
}
