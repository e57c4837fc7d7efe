package status

import (
	"encoding/json"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
)

const (
	// AwayAfter is how long an agent may be silent until what it said last counts for nothing beside what others say. Its
	// heartbeats reach the store every 10 s.
	AwayAfter = 45 * time.Second
	// Grace is how long an amphora may take to name a listener that it has been sent. Agents name all that they have every
	// few seconds.
	Grace = 30 * time.Second
)

// MemberState is what the checks of one Envoy say of a member.
type MemberState string

// States of a member, after agentapi's MemberHealth.State.
const (
	MemberUp        MemberState = "UP"
	MemberDown      MemberState = "DOWN"
	MemberUnchecked MemberState = "UNCHECKED"
)

// MemberView is a member as one Envoy sees it.
type MemberView struct {
	PoolID string      `json:"pool"`
	State  MemberState `json:"state"`
	// Failure is what the last failed check failed by, in Envoy's words.
	Failure string `json:"failure,omitempty"`
	// Since is when it was first heard to be in that state.
	Since time.Time `json:"since"`
}

// ListenerView is a listener that one Envoy has.
type ListenerView struct {
	// Full says that its connections are at its connection limit.
	Full bool `json:"full,omitempty"`
}

// View is what one Envoy says of members and listeners, by their ids. What it does not name it does not have.
type View struct {
	Members   map[string]MemberView   `json:"members"`
	Listeners map[string]ListenerView `json:"listeners"`
}

// AmphoraView is the view of an amphora's Envoy.
type AmphoraView struct {
	AmphoraID string
	View
	// Heard is when its agent was last heard.
	Heard time.Time
}

// Health is what Operating goes by, besides the tree.
type Health struct {
	// Amphorae are those that have said something.
	Amphorae []AmphoraView
	// Before is what was reported last.
	Before map[model.Ref]model.OperatingStatus
	// Refused are the objects that cannot be served.
	Refused map[model.Ref]bool
	// Published says that the amphorae have acknowledged the tree just now: what they said before is older.
	Published bool
	// PublishedAt is when that was last so.
	PublishedAt time.Time
	Now         time.Time
}

// NewHealth reads what the store keeps. A view that cannot be read counts for nothing: the agent's next one replaces it.
func NewHealth(stored store.Health, now time.Time) Health {
	health := Health{Before: stored.Reported, Refused: stored.Refused, PublishedAt: stored.PublishedAt, Now: now}
	for _, amphora := range stored.Amphorae {
		if view, err := DecodeView(amphora.View); err == nil {
			health.Amphorae = append(health.Amphorae, AmphoraView{AmphoraID: amphora.AmphoraID, View: view, Heard: amphora.LastHeartbeat})
		}
	}
	return health
}

// DecodeView reads what Encode wrote.
func DecodeView(body []byte) (View, error) {
	var view View
	err := json.Unmarshal(body, &view)
	return view, err
}

// Encode writes a view as the store keeps it.
func (v View) Encode() ([]byte, error) { return json.Marshal(v) }

// counting returns the views that count: those of agents that are there, or all of them when none is.
func (h Health) counting() []AmphoraView {
	var there []AmphoraView
	for _, amphora := range h.Amphorae {
		if h.Now.Sub(amphora.Heard) <= AwayAfter {
			there = append(there, amphora)
		}
	}
	if len(there) == 0 {
		return h.Amphorae
	}
	return there
}
