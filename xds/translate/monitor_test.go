package translate

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// TestMonitorPlace gives the cluster a health check, which the translator does not yet, and sees what it asks: the places
// that the members name. A member is out when its place says so, however well itself is.
func TestMonitorPlace(t *testing.T) {
	const path = "/health"
	asked := make(chan string, 100)
	member := func(name string) string {
		return server(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == path {
				select {
				case asked <- name:
				default:
				}
			}
			_, _ = io.WriteString(w, name)
		})
	}
	monitor := func(name string, status int) netip.AddrPort {
		return netip.MustParseAddrPort(server(t, func(w http.ResponseWriter, _ *http.Request) {
			select {
			case asked <- "monitor of " + name:
			default:
			}
			w.WriteHeader(status)
		}))
	}
	members := pool("blue", "HTTP", member("itself"), member("port"), member("address"), member("out"))
	members.Members[1].MonitorPort = int(monitor("port", http.StatusOK).Port())
	// 127.0.0.2 is another address where, without a port of its own, nobody listens: that member is out, too.
	members.Members[2].MonitorAddress = "127.0.0.2"
	out := monitor("out", http.StatusServiceUnavailable)
	members.Members[3].Address, members.Members[3].MonitorAddress = "127.0.0.1", out.Addr().String()
	members.Members[3].MonitorPort = int(out.Port())

	lb := &model.LoadBalancer{ID: "lb", VIPAddress: vip, AdminStateUp: true, Listeners: []model.Listener{listener(t, "web", "HTTP", "blue")}}
	lb.Pools = []model.Pool{members}
	res := translated(t, lb)
	res.Clusters["blue"].HealthChecks = []*corev3.HealthCheck{{
		Timeout: durationpb.New(time.Second), Interval: durationpb.New(100 * time.Millisecond), NoTrafficInterval: durationpb.New(100 * time.Millisecond),
		HealthyThreshold: wrapperspb.UInt32(1), UnhealthyThreshold: wrapperspb.UInt32(1),
		HealthChecker: &corev3.HealthCheck_HttpHealthCheck_{HttpHealthCheck: &corev3.HealthCheck_HttpHealthCheck{Path: path, Host: "monitor"}},
	}}
	serveResources(t, lb, res)
	seen := map[string]bool{}
	deadline := time.After(testkit.Patience)
	for !seen["itself"] || !seen["monitor of port"] || !seen["monitor of out"] {
		select {
		case name := <-asked:
			seen[name] = true
		case <-deadline:
			t.Fatalf("only these were asked: %v", seen)
		}
	}
	testkit.Eventually(t, func() error {
		if got := answers(t, &lb.Listeners[0], 8, get); !slices.Equal(got, []string{"itself", "port"}) {
			return fmt.Errorf("answered by %v", got)
		}
		return nil
	})
	for len(asked) > 0 {
		seen[<-asked] = true
	}
	if seen["port"] || seen["address"] || seen["out"] {
		t.Errorf("members were asked that have a place elsewhere: %v", seen)
	}
}
