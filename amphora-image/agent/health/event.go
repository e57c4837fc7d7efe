package health

import (
	"encoding/json"
	"fmt"

	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// place is one member as one of Envoy's clusters checks it.
type place struct{ cluster, pool, member string }

// condition is how a member is.
type condition struct {
	state   agentapiv1.MemberHealth_State
	failure string
}

// event is a line of Envoy's log (envoy.data.core.v3.HealthCheckEvent) as far as it matters here.
type event struct {
	Cluster  string `json:"cluster_name"`
	Metadata struct {
		Filters map[string]map[string]any `json:"filter_metadata"`
	} `json:"metadata"`
	Healthy *struct{} `json:"add_healthy_event"`
	Ejected *failure  `json:"eject_unhealthy_event"`
	Failed  *struct {
		failure
		First bool `json:"first_check"`
	} `json:"health_check_failure_event"`
}

type failure struct {
	Type string `json:"failure_type"`
}

// parse reads a line. Events that change nothing are none: a check that failed and was not the last straw, for example.
func parse(line []byte) (place, condition, bool, error) {
	var read event
	if err := json.Unmarshal(line, &read); err != nil {
		return place{}, condition{}, false, fmt.Errorf("a line that is no event: %w", err)
	}
	var now condition
	switch {
	case read.Healthy != nil:
		now.state = agentapiv1.MemberHealth_UP
	case read.Ejected != nil:
		now = condition{agentapiv1.MemberHealth_DOWN, read.Ejected.Type}
	case read.Failed != nil && read.Failed.First:
		now = condition{agentapiv1.MemberHealth_DOWN, read.Failed.Type}
	default:
		return place{}, condition{}, false, nil
	}
	texts := read.Metadata.Filters[translate.MetadataNamespace]
	pool, _ := texts[translate.MetadataPool].(string)
	member, _ := texts[translate.MetadataMember].(string)
	if read.Cluster == "" || pool == "" || member == "" {
		return place{}, condition{}, false, nil // nobody's member
	}
	return place{cluster: read.Cluster, pool: pool, member: member}, now, true, nil
}

// worse reports whether a is to be said rather than b, of one member in two clusters.
func (a condition) worse(b condition) bool { return rank(a.state) > rank(b.state) }

func rank(state agentapiv1.MemberHealth_State) int {
	switch state {
	case agentapiv1.MemberHealth_DOWN:
		return 3
	case agentapiv1.MemberHealth_UNCHECKED:
		return 2
	case agentapiv1.MemberHealth_UP:
		return 1
	}
	return 0
}
