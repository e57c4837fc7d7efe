package main

import (
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/api"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
	"github.com/octavia-envoy/octavia-envoy/store"
)

const (
	goodLB = "0e56a5c9-2f33-4f3b-8a8c-6f4f3d1d5b1e"
	badLB  = "7a1f0a52-5b55-4e16-8f57-3c2f0a6e9d10"
)

// report has a load balancer without a fault and one of which Envoy refused a listener.
func report() api.StatusReport {
	return api.StatusReport{LoadBalancers: []api.LoadBalancerStatus{
		{
			ID: goodLB, Name: "good", ProvisioningStatus: "ACTIVE", OperatingStatus: "ONLINE", Revision: 7, PendingIntents: 2,
			Amphorae: []api.AmphoraStatus{{
				ID: "amphora-good", Role: "STANDALONE", Status: "ALLOCATED", Connected: true, LastHeartbeat: time.Now(),
				Resources: []api.ResourceStatus{{Type: "cluster", Name: "blue", Sent: "1234567890abcdef", Acknowledged: "1234567890abcdef"}},
			}, {
				ID: "amphora-other", Role: "BACKUP", Status: "ALLOCATED", FullListeners: []string{"web-listener"},
				Members: []api.MemberStatus{{
					ID: "member-1", Name: "red", PoolID: "pool-1", Address: "10.0.0.7:80", State: "DOWN", Failure: "NETWORK_TIMEOUT",
					Since: time.Now().Add(-90 * time.Second),
				}},
			}},
		},
		{
			ID: badLB, Name: "bad", ProvisioningStatus: "ERROR", OperatingStatus: "ERROR", LastError: "listener web: refused",
			Certificates: []api.CertificateStatus{
				{Name: "web/default", Subject: "ending.example", NotAfter: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), Validity: "expiring"},
				{Name: "web/sni/0", Subject: "unstapled.example", Validity: "valid", Staple: "late"},
				{Name: "web/sni/1", Subject: "good.example", Validity: "valid", Staple: "stapled"},
			},
			Amphorae: []api.AmphoraStatus{{
				ID: "amphora-bad", Role: "STANDALONE", Status: "ALLOCATED",
				Resources: []api.ResourceStatus{
					{Type: "listener", Name: "web", Sent: "fedcba0987654321", Error: "cannot bind"},
					{Type: "cluster", Name: "green", Sent: "aaaa", Acknowledged: "aaaa"},
				},
			}},
		},
	}}
}

// controllerSocket answers /v1/status as a controller does, on a unix socket.
func controllerSocket(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "api.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(report()) })
	routes.HandleFunc("GET /v1/status/{id}", func(w http.ResponseWriter, r *http.Request) {
		for _, lb := range report().LoadBalancers {
			if lb.ID == r.PathValue("id") {
				_ = json.NewEncoder(w).Encode(api.StatusReport{LoadBalancers: []api.LoadBalancerStatus{lb}})
				return
			}
		}
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"error":{"code":"not_found","message":"There is no such load balancer.","detail":"in the store"}}`))
	})
	server := &http.Server{Handler: routes, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close(); <-done })
	return path
}

func TestStatusShowsWhatNeedsAnEye(t *testing.T) {
	out := mustRun(t, "status", "--socket", controllerSocket(t))
	contains(t, out, goodLB, "1 of 2 connected", "0 of 1 connected", badLB+": listener web: refused", "amphora-bad", "cannot bind",
		"fedcba098765", "last heard never", "web/default", "ending.example", "2026-12-01 00:00:00", "expiring", "unstapled.example", "late")
	for _, dull := range []string{"amphora-good", "blue", "green", "fedcba0987654321", "good.example"} {
		if strings.Contains(out, dull) {
			t.Errorf("%q is no trouble, and shown:\n%s", dull, out)
		}
	}
	if line := strings.Fields(lineOf(out, goodLB)); strings.Join(line[1:7], " ") != "good ACTIVE ONLINE 7 2 0" {
		t.Errorf("the line is %q", line)
	}
}

func TestStatusShowsHowMembersAre(t *testing.T) {
	out := mustRun(t, "status", "--socket", controllerSocket(t))
	contains(t, out, "amphora amphora-other", "listener web-listener is at its connection limit")
	line := strings.Join(strings.Fields(lineOf(out, "member-1")), " ")
	if !strings.HasPrefix(line, "member-1 red 10.0.0.7:80 pool-1 DOWN 1m3") || !strings.HasSuffix(line, "s ago NETWORK_TIMEOUT") {
		t.Errorf("the line is %q in\n%s", line, out)
	}
}

// TestHealthIsShown goes from what an agent said to what an operator reads.
func TestHealthIsShown(t *testing.T) {
	since := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	view := status.View{
		Members: map[string]status.MemberView{
			"m1":   {PoolID: "p", State: status.MemberDown, Failure: "ACTIVE", Since: since},
			"m2":   {PoolID: "p", State: status.MemberUp, Since: since},
			"gone": {PoolID: "p", State: status.MemberDown, Since: since},
		},
		Listeners: map[string]status.ListenerView{"l1": {Full: true}, "l2": {}},
	}
	body, err := view.Encode()
	if err != nil {
		t.Fatal(err)
	}
	tree := &model.LoadBalancer{
		Listeners: []model.Listener{{ID: "l1"}, {ID: "l2"}},
		Pools: []model.Pool{{ID: "p", Members: []model.Member{
			{ID: "m2", Address: "10.0.0.2", ProtocolPort: 80}, {ID: "m1", Name: "one", Address: "fd00::1", ProtocolPort: 8080}, {ID: "m3"},
		}}},
	}
	down := api.MemberStatus{ID: "m1", PoolID: "p", Name: "one", Address: "[fd00::1]:8080", State: "DOWN", Failure: "ACTIVE", Since: since}
	up := api.MemberStatus{ID: "m2", PoolID: "p", Address: "10.0.0.2:80", State: "UP", Since: since}
	for detail, want := range map[bool][]api.MemberStatus{true: {up, down}, false: {down}} {
		var shown api.AmphoraStatus
		showHealth(&shown, store.AmphoraHealth{View: body}, tree, detail)
		if diff := cmp.Diff(api.AmphoraStatus{Members: want, FullListeners: []string{"l1"}}, shown); diff != "" {
			t.Errorf("detail %v (-want +got):\n%s", detail, diff)
		}
	}
	var nothing api.AmphoraStatus
	showHealth(&nothing, store.AmphoraHealth{}, tree, true)
	if len(nothing.Members) != 0 {
		t.Errorf("of an amphora that has said nothing: %+v", nothing)
	}
}

func TestStatusOfOneShowsAll(t *testing.T) {
	out := mustRun(t, "status", goodLB, "--socket", controllerSocket(t))
	contains(t, out, "amphora-good", "cluster", "blue", "1234567890ab")
	if strings.Contains(out, badLB) {
		t.Errorf("it shows the other, too:\n%s", out)
	}
	contains(t, mustRun(t, "status", badLB, "--socket", controllerSocket(t)), "good.example", "stapled")
}

func TestStatusInJSONIsTheAnswer(t *testing.T) {
	var got api.StatusReport
	if err := json.Unmarshal([]byte(mustRun(t, "status", "--json", "--socket", controllerSocket(t))), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.LoadBalancers) != 2 || got.LoadBalancers[1].Amphorae[0].Resources[0].Error != "cannot bind" {
		t.Errorf("got %+v", got)
	}
}

func TestStatusPassesOnTheRefusal(t *testing.T) {
	_, err := run(t, "status", "b0d7c2f4-0000-4000-8000-000000000000", "--socket", controllerSocket(t))
	if err == nil || err.Error() != "There is no such load balancer. in the store" {
		t.Errorf("got %v", err)
	}
}

func TestStatusWithoutControllerNamesTheSocket(t *testing.T) {
	_, err := run(t, "status", "--socket", "/nonexistent/api.sock")
	if err == nil || !strings.Contains(err.Error(), "/nonexistent/api.sock") || !strings.Contains(err.Error(), "--socket") {
		t.Errorf("got %v", err)
	}
}

func lineOf(text, part string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			return line
		}
	}
	return ""
}
