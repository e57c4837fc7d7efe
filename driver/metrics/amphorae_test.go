package metrics

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
	"github.com/octavia-envoy/octavia-envoy/driver/amphora"
)

func TestAmphorae(t *testing.T) {
	failed := running("c")
	failed.Envoy = &agentapiv1.EnvoyStatus{State: agentapiv1.EnvoyStatus_FAILED}
	lost := running("d")
	lost.Connected = false
	collector := &Amphorae{Fleet: func() []amphora.AgentState {
		return []amphora.AgentState{running("a"), running("b"), failed, lost, {Connected: true}}
	}}
	const want = `
		# HELP octavia_envoy_amphorae Amphorae that are or were connected to this controller, by their Envoy: starting, running, backoff (it ended and waits), failed (it cannot be started), draining, unspecified (nothing heard of it yet), or away (the agent has no connection).
		# TYPE octavia_envoy_amphorae gauge
		octavia_envoy_amphorae{envoy="away"} 1
		octavia_envoy_amphorae{envoy="backoff"} 0
		octavia_envoy_amphorae{envoy="draining"} 0
		octavia_envoy_amphorae{envoy="failed"} 1
		octavia_envoy_amphorae{envoy="running"} 2
		octavia_envoy_amphorae{envoy="starting"} 0
		octavia_envoy_amphorae{envoy="unspecified"} 1
	`
	require.NoError(t, testutil.CollectAndCompare(collector, strings.NewReader(want)))
	problems, err := testutil.CollectAndLint(collector)
	require.NoError(t, err)
	require.Empty(t, problems)
}
