package health

import (
	"maps"
	"strings"
	"time"

	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
)

// maxFailure bounds what an agent may say of a failure, in bytes.
const maxFailure = 256

// news is what an amphora said since it was last written.
type news struct {
	// whole says that what is not named is not there.
	whole     bool
	members   map[string]status.MemberView
	listeners map[string]status.ListenerView
}

// pending is the news of the amphorae of one load balancer.
type pending struct{ amphorae map[string]*news }

func newNews(report *agentapiv1.HealthReport) *news {
	n := &news{
		whole: report.GetWhole(), members: map[string]status.MemberView{}, listeners: map[string]status.ListenerView{},
	}
	for _, member := range report.GetMembers() {
		failure := member.GetFailure()
		failure = strings.ToValidUTF8(failure[:min(len(failure), maxFailure)], "")
		n.members[member.GetMemberId()] = status.MemberView{
			PoolID: member.GetPoolId(), State: stateOf(member.GetState()), Failure: failure,
		}
	}
	for _, listener := range report.GetListeners() {
		n.listeners[listener.GetListenerId()] = status.ListenerView{Full: listener.GetFull()}
	}
	return n
}

func stateOf(state agentapiv1.MemberHealth_State) status.MemberState {
	switch state {
	case agentapiv1.MemberHealth_UP:
		return status.MemberUp
	case agentapiv1.MemberHealth_DOWN:
		return status.MemberDown
	case agentapiv1.MemberHealth_STATE_UNSPECIFIED, agentapiv1.MemberHealth_UNCHECKED:
	}
	return status.MemberUnchecked
}

// add puts newer news on top of what there is. It returns how many changes nobody will hear of by that.
func (p *pending) add(amphora string, newer *news) (superseded int) {
	if p.amphorae == nil {
		p.amphorae = map[string]*news{}
	}
	older := p.amphorae[amphora]
	if older == nil {
		p.amphorae[amphora] = newer
		return 0
	}
	for id, member := range newer.members {
		if was, has := older.members[id]; has && was.State != member.State {
			superseded++
		}
	}
	for id, listener := range newer.listeners {
		if was, has := older.listeners[id]; has && was != listener {
			superseded++
		}
	}
	p.amphorae[amphora] = newer.on(older)
	return superseded
}

// on is the newer news with what only the older has, unless the newer is whole.
func (n *news) on(older *news) *news {
	if n.whole {
		return n
	}
	maps.Copy(older.members, n.members)
	maps.Copy(older.listeners, n.listeners)
	return older
}

// apply brings a view up to date. It returns how many members and listeners changed.
func (n *news) apply(view *status.View, now time.Time) (changes int) {
	if view.Members == nil {
		view.Members = map[string]status.MemberView{}
	}
	if view.Listeners == nil {
		view.Listeners = map[string]status.ListenerView{}
	}
	for id, member := range n.members {
		was, has := view.Members[id]
		if member.Since = now; has && was.State == member.State {
			member.Since = was.Since
		}
		if member.Failure == "" && member.State != status.MemberUp {
			// An agent that has started anew knows that a member is down, not why.
			member.Failure = was.Failure
		}
		if member != was {
			view.Members[id] = member
			changes++
		}
	}
	for id, listener := range n.listeners {
		if was, has := view.Listeners[id]; !has || was != listener {
			view.Listeners[id] = listener
			changes++
		}
	}
	if !n.whole {
		return changes
	}
	for id := range view.Members {
		if _, there := n.members[id]; !there {
			delete(view.Members, id)
			changes++
		}
	}
	for id := range view.Listeners {
		if _, there := n.listeners[id]; !there {
			delete(view.Listeners, id)
			changes++
		}
	}
	return changes
}
