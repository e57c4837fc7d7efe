package status_test

import (
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
)

func TestAgentMetricsHoldTheAgentsShare(t *testing.T) {
	const busy = 20 * time.Millisecond // what the fake takes: the least that may be measured
	fake := newFakeAgent(t, func(conn net.Conn, request map[string]any) {
		time.Sleep(busy)
		if request["object"] != nil {
			_, _ = conn.Write(frame(`{}`))
			return
		}
		_, _ = conn.Write(frame(`{"status_code": 200}`))
	})
	registry := prometheus.NewRegistry()
	agent := fake.client()
	agent.Metrics = status.NewAgentMetrics(registry)

	ask := func(times int, request func() error) {
		for range times {
			_ = request() // ErrGone is an answer too
		}
	}
	ask(1, func() error { return agent.Barrier(t.Context(), "lb", model.OperatingOnline) })
	ask(2, func() error { _, err := agent.LoadBalancer(t.Context(), "lb"); return err })
	update := model.StatusUpdate{LoadBalancers: []model.ObjectStatus{{ID: "lb", OperatingStatus: model.OperatingOnline}}}
	ask(3, func() error { return agent.Update(t.Context(), update) })
	ask(1, func() error { return agent.Update(t.Context(), model.StatusUpdate{}) }) // asks nothing

	want := map[string]uint64{"barrier": 1, "get": 2, "update": 3}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if len(families) != 1 || families[0].GetName() != "octavia_envoy_driver_agent_seconds" {
		t.Fatalf("registered: %v", families)
	}
	for _, metric := range families[0].GetMetric() {
		request, histogram := metric.GetLabel()[0].GetValue(), metric.GetHistogram()
		if histogram.GetSampleCount() != want[request] {
			t.Errorf("%s: %d requests, want %d", request, histogram.GetSampleCount(), want[request])
		}
		if least := float64(want[request]) * busy.Seconds(); histogram.GetSampleSum() < least {
			t.Errorf("%s: %g s, the agent took at least %g", request, histogram.GetSampleSum(), least)
		}
		delete(want, request)
	}
	if len(want) > 0 {
		t.Errorf("no series for %v", want)
	}
}
