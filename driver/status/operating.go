package status

import (
	"slices"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// Operating says how each object of a tree operates. "" is a status that nothing decides: Octavia keeps what it has.
//
// The rules are those of Octavia's own driver (octavia/amphorae/drivers/health/heartbeat_udp.py), with what HAProxy's
// statistics say replaced by what Envoy's health checks say. TestOperating has them as a table. Where they differ:
//
//   - There may be several amphorae, and they may disagree. A member that is up for some and down for others is DEGRADED,
//     and so is a listener that only some have. An amphora whose agent is away (AwayAfter) has no say while another has.
//   - A member that no check has ended for stays what it was if that was by a check or by its absence; otherwise it is
//     OFFLINE, Octavia's default. Octavia does that while keepalived restarts; HAProxy has no such state.
//   - A listener that nobody has degrades the load balancer, or is its ERROR if no listener is left. Octavia lets the
//     amphora fail over instead.
//   - Members with weight 0 are DRAINING without a monitor, too. With one, DOWN is still ERROR, as with HAProxy.
//   - What is below a load balancer or a listener that is disabled does not serve: OFFLINE, as far as it has no status of
//     its own (monitors, policies, rules: ONLINE iff enabled, whoever uses them).
func Operating(lb *model.LoadBalancer, health Health) map[model.Ref]model.OperatingStatus {
	// About as many as there were before, so that the map need not grow through all sizes with each change.
	all := make(map[model.Ref]model.OperatingStatus, len(health.Before))
	o := rollup{Health: health, lb: lb, views: health.counting(), all: all}
	worst := online(lb.AdminStateUp)
	worst = worse(worst, o.listeners())
	for i := range lb.Pools {
		worst = worse(worst, o.pool(&lb.Pools[i]))
	}
	o.all[model.Ref{Kind: model.KindLoadBalancer, ID: lb.ID}] = worst
	return o.all
}

// Difference is what Octavia is to be told when health, and nothing else, has changed.
func Difference(lb *model.LoadBalancer, health Health) model.StatusUpdate {
	var update model.StatusUpdate
	now := Operating(lb, health)
	for _, ref := range refs(lb) {
		if now[ref] != "" && now[ref] != health.Before[ref] {
			record(&update, ref, "", now[ref])
		}
	}
	return update
}

// LookAgain is when Operating may come to something else without anybody saying anything; zero is never.
func LookAgain(lb *model.LoadBalancer, health Health) time.Time {
	o := rollup{Health: health, lb: lb, views: health.counting()}
	for i := range lb.Listeners {
		if lb.AdminStateUp && lb.Listeners[i].AdminStateUp && len(o.views) > 0 && o.presence(lb.Listeners[i].ID) == presenceUnknown {
			// Its heartbeat is in the store some seconds later.
			first, later := health.PublishedAt.Add(Grace+AwayAfter/3), health.Now.Add(Grace)
			if first.After(health.Now) {
				return first
			}
			return later
		}
	}
	return time.Time{}
}

// rollup is one run of Operating.
type rollup struct {
	Health
	lb    *model.LoadBalancer
	views []AmphoraView
	all   map[model.Ref]model.OperatingStatus
}

// listeners sets the statuses of listeners and all below them. It returns what they make of the load balancer.
func (o *rollup) listeners() model.OperatingStatus {
	worst, serving, silent := model.OperatingOnline, 0, 0
	for i := range o.lb.Listeners {
		listener := &o.lb.Listeners[i]
		ref := model.Ref{Kind: model.KindListener, ID: listener.ID}
		status := o.listener(listener)
		o.all[ref] = status
		switch status {
		case model.OperatingError:
			worst, silent = worse(worst, model.OperatingDegraded), silent+1
		case model.OperatingOffline:
		default:
			worst, serving = worse(worst, status), serving+1
		}
		for _, policy := range listener.L7Policies {
			o.own(model.Ref{Kind: model.KindL7Policy, ID: policy.ID}, policy.AdminStateUp)
			for _, rule := range policy.Rules {
				o.own(model.Ref{Kind: model.KindL7Rule, ID: rule.ID}, rule.AdminStateUp)
			}
		}
	}
	if silent > 0 && serving == 0 {
		return model.OperatingError
	}
	return worst
}

// own sets the status of an object that only its user decides about.
func (o *rollup) own(ref model.Ref, up bool) {
	o.all[ref] = online(up)
	if o.Refused[ref] {
		o.all[ref] = o.Before[ref]
	}
}

func (o *rollup) listener(listener *model.Listener) model.OperatingStatus {
	all := listenerRefs(listener)
	ref, below := all[0], all[1:]
	if !o.lb.AdminStateUp || !listener.AdminStateUp {
		return model.OperatingOffline
	}
	if slices.ContainsFunc(below, func(ref model.Ref) bool { return o.Refused[ref] }) {
		// It is left out as a whole: nobody listens there. Octavia sends the policies of a fully-populated create to no
		// provider, so that none of them can be refused at once.
		return model.OperatingError
	}
	switch o.presence(listener.ID) {
	case presenceHere:
		return model.OperatingOnline
	case presencePartly, presenceFull:
		return model.OperatingDegraded
	case presenceNowhere:
		return model.OperatingError
	case presenceUnknown:
	}
	if o.Published && !o.Refused[ref] {
		return model.OperatingOnline
	}
	return o.Before[ref]
}

// presence is what the amphorae say of a listener that ought to be there.
type presence int

const (
	presenceUnknown presence = iota
	presenceHere
	presenceFull
	presencePartly
	presenceNowhere
)

func (o *rollup) presence(id string) presence {
	here, absent, full := 0, 0, false
	for _, amphora := range o.views {
		listener, has := amphora.Listeners[id]
		switch {
		case has:
			here++
			full = full || listener.Full
		case !o.Published && !amphora.Heard.Before(o.PublishedAt.Add(Grace)):
			absent++
		}
	}
	switch {
	case full:
		return presenceFull
	case here > 0 && absent > 0:
		return presencePartly
	case here > 0:
		return presenceHere
	case absent > 0 && absent == len(o.views):
		return presenceNowhere
	default:
		return presenceUnknown
	}
}

// pool sets the statuses of a pool and all below it. It returns what they make of the load balancer.
func (o *rollup) pool(pool *model.Pool) model.OperatingStatus {
	serves := pool.AdminStateUp && o.serves(pool.ID)
	working, failing := 0, 0
	for i := range pool.Members {
		member := &pool.Members[i]
		ref := model.Ref{Kind: model.KindMember, ID: member.ID}
		status, works := o.member(pool, member, serves)
		o.all[ref] = status
		if works {
			working++
		}
		if status == model.OperatingError || status == model.OperatingDegraded {
			failing++
		}
	}
	if pool.HealthMonitor != nil {
		o.own(model.Ref{Kind: model.KindHealthMonitor, ID: pool.HealthMonitor.ID}, pool.HealthMonitor.AdminStateUp)
	}
	ref := model.Ref{Kind: model.KindPool, ID: pool.ID}
	status := model.OperatingOnline
	switch {
	case !serves:
		o.all[ref] = model.OperatingOffline
		return model.OperatingOnline
	case o.Refused[ref] && o.Before[ref] == "":
		o.all[ref] = ""
		return model.OperatingOnline
	case len(pool.Members) > 0 && working == 0:
		// HAProxy: a backend is up while the weights of its usable servers, backups included, are not 0 together, or when
		// it has no servers at all. Disabled servers are servers.
		status = model.OperatingError
	case failing > 0:
		status = model.OperatingDegraded
	}
	o.all[ref] = status
	return status
}

// serves says whether requests can come to a pool.
func (o *rollup) serves(poolID string) bool {
	return o.lb.AdminStateUp && slices.ContainsFunc(o.lb.Listeners, func(listener model.Listener) bool {
		redirects := func(policy model.L7Policy) bool {
			return policy.AdminStateUp && policy.RedirectPoolID == poolID &&
				slices.ContainsFunc(policy.Rules, func(rule model.L7Rule) bool { return rule.AdminStateUp })
		}
		return listener.AdminStateUp && (listener.DefaultPoolID == poolID || slices.ContainsFunc(listener.L7Policies, redirects))
	})
}

// member returns how a member operates, and whether it may get new connections.
func (o *rollup) member(pool *model.Pool, member *model.Member, serves bool) (status model.OperatingStatus, works bool) {
	monitored := pool.HealthMonitor != nil && pool.HealthMonitor.AdminStateUp
	up, down := o.votes(member.ID)
	takes := member.Weight > 0
	switch {
	case !member.AdminStateUp:
		return model.OperatingOffline, false
	case !monitored && !takes:
		return model.OperatingDraining, false
	case !monitored:
		return model.OperatingNoMonitor, true
	case !serves && !takes:
		return model.OperatingDraining, false
	case !serves:
		return model.OperatingOffline, false
	case up > 0 && down > 0:
		return model.OperatingDegraded, takes
	case down > 0:
		return model.OperatingError, false
	case !takes:
		return model.OperatingDraining, false
	case up > 0:
		return model.OperatingOnline, true
	}
	// Nobody has checked it yet. HAProxy takes servers for up until a check fails, and so does its pool.
	switch was := o.Before[model.Ref{Kind: model.KindMember, ID: member.ID}]; was {
	case model.OperatingError:
		return was, false
	case model.OperatingOnline, model.OperatingDegraded, model.OperatingNoMonitor:
		return was, true
	default:
		return model.OperatingOffline, true
	}
}

// votes counts the amphorae for which a member is up, and down.
func (o *rollup) votes(memberID string) (up, down int) {
	for _, amphora := range o.views {
		switch amphora.Members[memberID].State {
		case MemberUp:
			up++
		case MemberDown:
			down++
		case MemberUnchecked:
		}
	}
	return up, down
}

func online(yes bool) model.OperatingStatus {
	if yes {
		return model.OperatingOnline
	}
	return model.OperatingOffline
}

// worse is what a load balancer comes to by a part of it; one that is disabled stays OFFLINE.
func worse(one, other model.OperatingStatus) model.OperatingStatus {
	switch {
	case one == model.OperatingOffline:
		return one
	case one == model.OperatingError || other == model.OperatingError:
		return model.OperatingError
	case one == model.OperatingDegraded || other == model.OperatingDegraded:
		return model.OperatingDegraded
	default:
		return one
	}
}
