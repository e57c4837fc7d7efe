package metrics

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"github.com/stretchr/testify/require"

	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
	"github.com/octavia-envoy/octavia-envoy/driver/amphora"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/statistics"
)

var update = flag.Bool("update", false, "rewrite the golden file")

// running is an agent whose Envoy serves.
func running(lb string) amphora.AgentState {
	return amphora.AgentState{
		AmphoraID: "amphora-" + lb, LoadBalancerID: lb, Connected: true,
		Envoy: &agentapiv1.EnvoyStatus{State: agentapiv1.EnvoyStatus_RUNNING, XdsConnected: true},
	}
}

// counted is a listener that has counted something of everything.
func counted(id string) statistics.Listener {
	listener := statistics.Listener{ID: id, ActiveConnections: 2, Counters: model.Counters{
		TotalConnections: 5, BytesIn: 1000, BytesOut: 2000, RequestErrors: 3, Responses: [5]uint64{1, 20, 3, 4, 5}, RequestTimeSum: 1500,
	}}
	for i, bound := range []float64{0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000} {
		listener.RequestTimes = append(listener.RequestTimes, model.TimeBucket{UpperBound: bound, Count: uint64(i + 1)})
	}
	return listener
}

func TestLoadBalancers(t *testing.T) {
	starting := running("starting")
	starting.Envoy = &agentapiv1.EnvoyStatus{State: agentapiv1.EnvoyStatus_STARTING}
	cutOff := running("cut-off")
	cutOff.Envoy = &agentapiv1.EnvoyStatus{State: agentapiv1.EnvoyStatus_RUNNING}
	lost := running("lost")
	lost.Connected = false
	replaced := running("busy")
	replaced.AmphoraID, replaced.Connected = "former", false
	collector := &LoadBalancers{
		Fleet: func() []amphora.AgentState {
			return []amphora.AgentState{running("busy"), replaced, starting, cutOff, lost, {LoadBalancerID: "silent", Connected: true}}
		},
		Statistics: func() []statistics.LoadBalancer {
			return []statistics.LoadBalancer{
				{ID: "busy", Listeners: []statistics.Listener{counted("one"), counted("two")}},
				{ID: "lost", Listeners: []statistics.Listener{counted("three")}},
				{ID: "elsewhere", Listeners: []statistics.Listener{counted("four")}},
			}
		},
		Members: func() map[string]map[model.OperatingStatus]int {
			return map[string]map[model.OperatingStatus]int{"busy": {model.OperatingOnline: 3, model.OperatingError: 1}}
		},
	}
	for name, want := range map[string]string{
		"serving": `
			# HELP octavia_envoy_loadbalancer_serving 1 if at least one amphora's Envoy runs and is connected to this controller, otherwise 0.
			# TYPE octavia_envoy_loadbalancer_serving gauge
			octavia_envoy_loadbalancer_serving{loadbalancer="busy"} 1
			octavia_envoy_loadbalancer_serving{loadbalancer="cut-off"} 0
			octavia_envoy_loadbalancer_serving{loadbalancer="lost"} 0
			octavia_envoy_loadbalancer_serving{loadbalancer="silent"} 0
			octavia_envoy_loadbalancer_serving{loadbalancer="starting"} 0
		`,
		"request_errors_total": `
			# HELP octavia_envoy_loadbalancer_request_errors_total Requests that came to no proper end, as in Octavia's statistics.
			# TYPE octavia_envoy_loadbalancer_request_errors_total counter
			octavia_envoy_loadbalancer_request_errors_total{loadbalancer="busy"} 6
			octavia_envoy_loadbalancer_request_errors_total{loadbalancer="cut-off"} 0
			octavia_envoy_loadbalancer_request_errors_total{loadbalancer="silent"} 0
			octavia_envoy_loadbalancer_request_errors_total{loadbalancer="starting"} 0
		`,
	} {
		require.NoError(t, testutil.CollectAndCompare(collector, strings.NewReader(want), "octavia_envoy_loadbalancer_"+name))
	}
	got, golden := only(t, collector, `loadbalancer="busy"`), "testdata/busy.prom"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(got), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// only returns the series that hold a text, as they are scraped.
func only(t *testing.T, collector prometheus.Collector, text string) string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(string(scrape(t, collector))) {
		if strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func scrape(t *testing.T, collector prometheus.Collector) []byte {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector)
	families, err := registry.Gather()
	require.NoError(t, err)
	var text bytes.Buffer
	for _, family := range families {
		_, err := expfmt.MetricFamilyToText(&text, family)
		require.NoError(t, err)
	}
	return text.Bytes()
}

func TestNames(t *testing.T) {
	problems, err := testutil.CollectAndLint(fleetOf(1))
	require.NoError(t, err)
	require.Empty(t, problems)
}

// fleetOf are load balancers with Octavia's ids, each with three listeners.
func fleetOf(count int) *LoadBalancers {
	collector := &LoadBalancers{}
	var agents []amphora.AgentState
	var all []statistics.LoadBalancer
	members := map[string]map[model.OperatingStatus]int{}
	for i := range count {
		id := fmt.Sprintf("%08d-0000-4000-8000-000000000000", i)
		agents = append(agents, running(id))
		all = append(all, statistics.LoadBalancer{ID: id, Listeners: []statistics.Listener{counted("a"), counted("b"), counted("c")}})
		members[id] = map[model.OperatingStatus]int{model.OperatingOnline: 10}
	}
	collector.Fleet = func() []amphora.AgentState { return agents }
	collector.Statistics = func() []statistics.LoadBalancer { return all }
	collector.Members = func() map[string]map[model.OperatingStatus]int { return members }
	return collector
}

// TestSize is what METRICS.md says of the size of a scrape: nothing in a load balancer makes it larger.
func TestSize(t *testing.T) {
	text := scrape(t, fleetOf(1000))
	series := 0
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte("#")) {
			series++
		}
	}
	require.Equal(t, 1000*SeriesPerLoadBalancer, series)
	require.Less(t, len(text)/1000, BytesPerLoadBalancer)
	t.Logf("%d series, %d bytes", series, len(text))
}
