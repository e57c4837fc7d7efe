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
		sentAway  bool
		want      bool
	}{
		"never heard":                           {time.Time{}, nil, false, false},
		"heard by another":                      {now.Add(-5 * time.Second), nil, false, true},
		"heard by another after us":             {now.Add(-5 * time.Second), &AgentState{LastReport: now.Add(-time.Minute)}, false, true},
		"heard by us, and lost":                 {now.Add(-5 * time.Second), &AgentState{LastReport: now.Add(-4 * time.Second)}, false, false},
		"here":                                  {now, &AgentState{Connected: true, LastReport: now.Add(-time.Minute)}, false, false},
		"dead, whoever it was connected to":     {now.Add(-elsewhereFor), nil, false, false},
		"heard by us, and recorded a bit later": {now, &AgentState{LastReport: now.Add(-time.Second)}, false, false},
		"sent there by us":                      {now.Add(-5 * time.Second), &AgentState{LastReport: now.Add(-5 * time.Second)}, true, true},
		"sent there, and back":                  {now, &AgentState{Connected: true, LastReport: now}, true, false},
		"sent there, and not heard since":       {now.Add(-elsewhereFor), &AgentState{LastReport: now.Add(-elsewhereFor)}, true, false},
	} {
		fleet := NewFleet(FleetOptions{Now: func() time.Time { return now }})
		if test.state != nil {
			fleet.agents["a"] = &agent{state: *test.state, sentAway: test.sentAway}
		}
		if got := fleet.Elsewhere(model.Amphora{ID: "a", LastHeartbeat: test.heartbeat}); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
