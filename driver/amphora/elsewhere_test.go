package amphora

import (
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

func TestElsewhere(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		heartbeat time.Time
		state     *AgentState
		want      bool
	}{
		"never heard":                           {time.Time{}, nil, false},
		"heard by another":                      {now.Add(-5 * time.Second), nil, true},
		"heard by another after us":             {now.Add(-5 * time.Second), &AgentState{LastReport: now.Add(-time.Minute)}, true},
		"heard by us, and lost":                 {now.Add(-5 * time.Second), &AgentState{LastReport: now.Add(-4 * time.Second)}, false},
		"here":                                  {now, &AgentState{Connected: true, LastReport: now.Add(-time.Minute)}, false},
		"dead, whoever it was connected to":     {now.Add(-elsewhereFor), nil, false},
		"heard by us, and recorded a bit later": {now, &AgentState{LastReport: now.Add(-time.Second)}, false},
	} {
		fleet := NewFleet(FleetOptions{Now: func() time.Time { return now }})
		if test.state != nil {
			fleet.agents["a"] = &agent{state: *test.state}
		}
		if got := fleet.Elsewhere(model.Amphora{ID: "a", LastHeartbeat: test.heartbeat}); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
