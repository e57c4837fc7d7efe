package translate

import (
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// TestSlowCheck has a member that answers a check later than an idle connection to it lives, and within the monitor's timeout.
func TestSlowCheck(t *testing.T) {
	slow := pool("slow", "HTTP", server(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == checkPath {
			time.Sleep(idleMemberConnection + 500*time.Millisecond) // what is tested
		}
		_, _ = io.WriteString(w, "slow")
	}))
	lb := &model.LoadBalancer{
		Listeners: []model.Listener{listener(t, "slow", "HTTP", "slow")},
		Pools:     []model.Pool{checkedBy("HTTP", slow, func(h *model.HealthMonitor) { h.Delay, h.Timeout = 10, 7 })},
	}
	serve(t, lb)
	testkit.Until(t, "the member is up", func() bool {
		return slices.Equal(answers(t, &lb.Listeners[0], 1, get), []string{"slow"})
	})
}
