package metrics

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
	"github.com/octavia-envoy/octavia-envoy/driver/amphora"
)

// away is the label `envoy` of an amphora whose agent was connected to this controller and is not now.
const away = "away"

// Amphorae is a prometheus.Collector that counts amphorae by how their Envoys are.
type Amphorae struct {
	// Fleet returns the agents that are or were connected.
	Fleet func() []amphora.AgentState
}

func (a *Amphorae) description() *prometheus.Desc {
	return prometheus.NewDesc("octavia_envoy_amphorae",
		"Amphorae that are or were connected to this controller, by their Envoy: starting, running, backoff (it ended and waits), "+
			"failed (it cannot be started), draining, unspecified (nothing heard of it yet), or away (the agent has no connection).",
		[]string{"envoy"}, nil)
}

// Describe implements prometheus.Collector.
func (a *Amphorae) Describe(to chan<- *prometheus.Desc) { to <- a.description() }

// Collect implements prometheus.Collector.
func (a *Amphorae) Collect(to chan<- prometheus.Metric) {
	counts := map[string]int{away: 0}
	for state := range agentapiv1.EnvoyStatus_State_name {
		counts[label(agentapiv1.EnvoyStatus_State(state))] = 0
	}
	for _, agent := range a.Fleet() {
		if agent.Connected {
			counts[label(agent.Envoy.GetState())]++
		} else {
			counts[away]++
		}
	}
	for state, count := range counts {
		to <- prometheus.MustNewConstMetric(a.description(), prometheus.GaugeValue, float64(count), state)
	}
}

func label(state agentapiv1.EnvoyStatus_State) string {
	return strings.ToLower(strings.TrimPrefix(state.String(), "STATE_"))
}
