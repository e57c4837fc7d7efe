package amphora

import (
	"testing"
	"time"

	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
)

func TestApart(t *testing.T) {
	const every, patience = 3 * time.Second, 8 * time.Second
	running := &agentapiv1.EnvoyStatus{State: agentapiv1.EnvoyStatus_RUNNING, XdsConnected: true}
	starting := &agentapiv1.EnvoyStatus{State: agentapiv1.EnvoyStatus_STARTING, XdsConnected: true}
	lonely := &agentapiv1.EnvoyStatus{State: agentapiv1.EnvoyStatus_RUNNING}
	type heartbeat struct {
		envoy *agentapiv1.EnvoyStatus
		here  bool
	}
	for name, test := range map[string]struct {
		heartbeats []heartbeat // the last ones are repeated
		wantAfter  int         // heartbeats; 0 for never
	}{
		"elsewhere":                    {[]heartbeat{{running, false}}, 4},
		"elsewhere, and not live yet":  {[]heartbeat{{starting, false}}, 4},
		"here":                         {[]heartbeat{{running, true}}, 0},
		"connected to nobody":          {[]heartbeat{{lonely, false}}, 0},
		"starts":                       {[]heartbeat{{&agentapiv1.EnvoyStatus{State: agentapiv1.EnvoyStatus_STARTING}, false}}, 0},
		"dead":                         {[]heartbeat{{&agentapiv1.EnvoyStatus{State: agentapiv1.EnvoyStatus_BACKOFF, XdsConnected: true}, false}}, 0},
		"drains":                       {[]heartbeat{{&agentapiv1.EnvoyStatus{State: agentapiv1.EnvoyStatus_DRAINING, XdsConnected: true}, false}}, 0},
		"nothing said":                 {[]heartbeat{{nil, false}}, 0},
		"comes back within a moment":   {[]heartbeat{{running, true}, {running, false}, {running, false}, {running, true}}, 0},
		"dials in vain now and then":   {[]heartbeat{{running, false}, {running, false}, {lonely, false}, {running, false}, {running, false}, {lonely, false}}, 0},
		"begins again after a silence": {[]heartbeat{{running, false}, {running, false}, {lonely, false}, {running, false}}, 7},
		"leaves":                       {[]heartbeat{{running, true}, {running, false}}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			now, p, got := time.Now(), parting{}, 0
			for count := 1; count <= 20 && got == 0; count++ {
				each := test.heartbeats[min(count, len(test.heartbeats))-1]
				if p.apart(each.envoy, each.here, now, patience) {
					got = count
				}
				now = now.Add(every)
			}
			if got != test.wantAfter {
				t.Errorf("sent away with heartbeat %d, want %d", got, test.wantAfter)
			}
		})
	}
}

// An agent that comes back again and again, and never to where its Envoy is, is sent away ever less often.
func TestApartAgainAndAgain(t *testing.T) {
	running := &agentapiv1.EnvoyStatus{State: agentapiv1.EnvoyStatus_RUNNING, XdsConnected: true}
	now := time.Now()
	var p parting
	last, wants := now, []time.Duration{1, 2, 4, 8, 16, 32, 64, 120, 120}
	for range 1000 {
		if now = now.Add(time.Second); !p.apart(running, false, now, time.Second) {
			continue
		}
		if len(wants) == 0 {
			break
		}
		// Only from the next heartbeat on does it count.
		if got, want := now.Sub(last), (wants[0]+1)*time.Second; got != want {
			t.Errorf("after %v, want %v", got, want)
		}
		last, wants = now, wants[1:]
	}
	if len(wants) > 0 {
		t.Errorf("never after %v", wants)
	}
	p.apart(running, true, now, time.Second)
	if p.patience != time.Second {
		t.Errorf("once its Envoy was here, it has to wait for %v", p.patience)
	}
}
