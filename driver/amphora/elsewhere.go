package amphora

import (
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// elsewhereFor is how long ago an amphora may have been heard by another controller to count as connected to it: three
// records of its heartbeat.
const elsewhereFor = 3 * DefaultRecordEvery

// Elsewhere says whether the amphora's agent is connected to another controller, as far as the store tells: it has been heard
// a short time ago, and not here, or was told here to go there. So it is right after a start of this controller, too, until its
// agents are back.
func (f *Fleet) Elsewhere(amphora model.Amphora) bool {
	var state AgentState
	var sentAway bool
	f.mu.Lock()
	if a := f.agents[amphora.ID]; a != nil {
		state, sentAway = a.state, a.sentAway
	}
	f.mu.Unlock()
	now := f.options.Now()
	return !state.Connected && now.Sub(amphora.LastHeartbeat) < elsewhereFor &&
		(sentAway || amphora.LastHeartbeat.Sub(state.LastReport) > time.Second)
}
