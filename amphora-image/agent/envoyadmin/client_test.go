package envoyadmin

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// serve answers as an Envoy 1.40 does, cut short. What a real one answers is read in the agent's tests.
func serve(t *testing.T, answers map[string]string) *Client {
	t.Helper()
	socket := filepath.Join(testkit.SocketDir(t), "admin.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		answer, known := answers[request.URL.Path]
		if !known {
			w.WriteHeader(http.StatusNotFound)
		}
		fmt.Fprint(w, answer)
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return New(socket)
}

func TestAnswers(t *testing.T) {
	client := serve(t, map[string]string{
		"/stats":     `{"stats":[{"name":"a.b","value":18446744073709551615},{"histograms":{}},{"name":"text","value":null}]}`,
		"/listeners": `{"listener_statuses":[{"name":"web","local_address":{}}]}`,
		"/clusters": `{"cluster_statuses":[{"name":"blue","added_via_api":true,"host_statuses":[
			{"address":{"socket_address":{"address":"2001:db8::1","port_value":80}},"hostname":"p/m","weight":7,"priority":1,
			 "stats":[{"name":"rq_total","value":"18446744073709551615"},{"name":"cx_total"}],
			 "health_status":{"eds_health_status":"DRAINING"}},
			{"address":{"pipe":{"path":"/run/x"}},"health_status":{"failed_active_health_check":true,"pending_active_hc":true,"active_hc_timeout":true}},
			{"health_status":{"eds_health_status":"UNHEALTHY"}},{"health_status":{"failed_outlier_check":true}}]}]}`,
	})
	stats, err := client.Stats(t.Context(), "^a")
	if diff := cmp.Diff(map[string]uint64{"a.b": 1<<64 - 1}, stats); err != nil || diff != "" {
		t.Error(err, diff)
	}
	listeners, err := client.Listeners(t.Context())
	if diff := cmp.Diff([]string{"web"}, listeners); err != nil || diff != "" {
		t.Error(err, diff)
	}
	clusters, err := client.Clusters(t.Context())
	want := []Cluster{{Name: "blue", Dynamic: true, Hosts: []Host{
		{
			Address: "[2001:db8::1]:80", Name: "p/m", Weight: 7, Priority: 1, Draining: true,
			Stats: map[string]uint64{"rq_total": 1<<64 - 1, "cx_total": 0},
		},
		{Failed: true, FailedCheck: true, PendingCheck: true, CheckTimedOut: true, Stats: map[string]uint64{}},
		{Failed: true, Stats: map[string]uint64{}},
		{Failed: true, Stats: map[string]uint64{}},
	}}}
	if diff := cmp.Diff(want, clusters); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestConfigurationsAndHistograms(t *testing.T) {
	client := serve(t, map[string]string{
		"/config_dump": `{"configs":[{"cluster":{"name":"blue","health_checks":[{"timeout":"2s"}]}},{"cluster":{"name":"red"}},
			{"active_state":{"listener":{"name":"web","filter_chains":[
				{"filters":[{"typed_config":{"max_connections":"7"}},{"typed_config":{"stat_prefix":"web"}}]},{"filters":[]}]}}}]}`,
		"/stats": `# TYPE times histogram
times_bucket{who="web",le="0.5"} 2
times_bucket{who="web",le="3e+05"} 3
times_bucket{who="web",le="+Inf"} 4
times_sum{who="web"} 300001.05
times_count{who="web"} 4
timesother_sum{who="web"} 9
`,
		"/server_info": `{"state":"PRE_INITIALIZING"}`,
	})
	checked, err := client.CheckedClusters(t.Context())
	if diff := cmp.Diff(map[string]bool{"blue": true}, checked); err != nil || diff != "" {
		t.Error(err, diff)
	}
	limits, err := client.ConnectionLimits(t.Context(), []string{"web"})
	if diff := cmp.Diff(map[string]uint64{"web": 7}, limits); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if limits, err := client.ConnectionLimits(t.Context(), nil); err != nil || len(limits) != 0 {
		t.Error(err, limits)
	}
	histograms, err := client.Histograms(t.Context(), "^", "times", "who")
	want := map[string]*Histogram{"web": {Buckets: []Bucket{{0.5, 2}, {300000, 3}}, Count: 4, Sum: 300001.05}}
	if diff := cmp.Diff(want, histograms); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if state, err := client.State(t.Context()); err != nil || state != "PRE_INITIALIZING" {
		t.Error(err, state)
	}
	if state, err := serve(t, map[string]string{"/server_info": "{}"}).State(t.Context()); err != nil || state != "LIVE" {
		t.Error(err, state)
	}
}

func TestTrouble(t *testing.T) {
	client := serve(t, map[string]string{"/stats": "no JSON"})
	for want, ask := range map[string]func() error{
		"read Envoy's /stats":    func() error { _, err := client.Stats(t.Context(), ""); return err },
		"404":                    func() error { _, err := client.Clusters(t.Context()); return err },
		"ask Envoy's admin inte": func() error { _, err := New("/nowhere").Listeners(t.Context()); return err },
	} {
		if err := ask(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
