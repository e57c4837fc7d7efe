package status_test

import (
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// monitored is a load balancer that is all well, with what its amphora says:
//
//	l1  default pool p1; policy q1 (rule r1) redirects to p2
//	l2  default pool p1
//	p1  monitor h1; members m1, m2, and backup b1
//	p2  member m3
//	p3  monitor h3; member m4; used by nobody
func monitored() (*model.LoadBalancer, *status.Health) {
	up := func(id string) model.Member { return model.Member{ID: id, AdminStateUp: true, Weight: 1} }
	monitor := func(id string) *model.HealthMonitor { return &model.HealthMonitor{ID: id, AdminStateUp: true} }
	backup := up("b1")
	backup.Backup = true
	tree := &model.LoadBalancer{
		ID: "lb", AdminStateUp: true,
		Listeners: []model.Listener{
			{ID: "l1", AdminStateUp: true, DefaultPoolID: "p1", L7Policies: []model.L7Policy{
				{ID: "q1", AdminStateUp: true, RedirectPoolID: "p2", Rules: []model.L7Rule{{ID: "r1", AdminStateUp: true}}},
			}},
			{ID: "l2", AdminStateUp: true, DefaultPoolID: "p1"},
		},
		Pools: []model.Pool{
			{ID: "p1", AdminStateUp: true, HealthMonitor: monitor("h1"), Members: []model.Member{up("m1"), up("m2"), backup}},
			{ID: "p2", AdminStateUp: true, Members: []model.Member{up("m3")}},
			{ID: "p3", AdminStateUp: true, HealthMonitor: monitor("h3"), Members: []model.Member{up("m4")}},
		},
	}
	return tree, &status.Health{
		Amphorae: []status.AmphoraView{view("a1")}, PublishedAt: noon.Add(-time.Hour), Now: noon,
	}
}

// view is an amphora that has both listeners and sees all members up; others are "member STATE", "-listener", "listener full".
func view(id string, others ...string) status.AmphoraView {
	v := status.AmphoraView{AmphoraID: id, Heard: noon.Add(-5 * time.Second), View: status.View{
		Members:   map[string]status.MemberView{},
		Listeners: map[string]status.ListenerView{"l1": {}, "l2": {}},
	}}
	for _, member := range []string{"m1", "m2", "b1"} {
		v.Members[member] = status.MemberView{State: status.MemberUp}
	}
	for _, other := range others {
		what, state, _ := strings.Cut(other, " ")
		switch {
		case strings.HasPrefix(what, "-"):
			delete(v.Listeners, what[1:])
		case state == "full":
			v.Listeners[what] = status.ListenerView{Full: true}
		default:
			v.Members[what] = status.MemberView{State: status.MemberState(state)}
		}
	}
	return v
}

func before(words string) map[model.Ref]model.OperatingStatus {
	all := map[model.Ref]model.OperatingStatus{}
	for word := range strings.FieldsSeq(words) {
		id, was, _ := strings.Cut(word, "=")
		all[refOf(id)] = model.OperatingStatus(was)
	}
	return all
}

func refOf(id string) model.Ref {
	kinds := map[byte]model.Kind{
		'l': model.KindListener, 'p': model.KindPool, 'm': model.KindMember, 'b': model.KindMember, 'h': model.KindHealthMonitor,
		'q': model.KindL7Policy, 'r': model.KindL7Rule,
	}
	if id == "lb" {
		return model.Ref{Kind: model.KindLoadBalancer, ID: id}
	}
	return model.Ref{Kind: kinds[id[0]], ID: id}
}

// TestOperating is the table of the roll-up's rules: what makes a difference from a load balancer that is all well, and
// which ("id=STATUS", "-" for one that nothing decides).
func TestOperating(t *testing.T) {
	amphorae := func(views ...status.AmphoraView) func(*model.LoadBalancer, *status.Health) {
		return func(_ *model.LoadBalancer, h *status.Health) { h.Amphorae = views }
	}
	away := func(v status.AmphoraView) status.AmphoraView {
		v.Heard = noon.Add(-status.AwayAfter - time.Second)
		return v
	}
	type change = func(*model.LoadBalancer, *status.Health)
	tests := map[string]struct {
		change change
		want   string
	}{
		"all is well": {func(*model.LoadBalancer, *status.Health) {}, ""},

		// Members, and what they make of their pool and the load balancer.
		"a member is down":         {amphorae(view("a1", "m1 DOWN")), "lb=DEGRADED m1=ERROR p1=DEGRADED"},
		"all but the backup down":  {amphorae(view("a1", "m1 DOWN", "m2 DOWN")), "lb=DEGRADED m1=ERROR m2=ERROR p1=DEGRADED"},
		"the backup is down":       {amphorae(view("a1", "b1 DOWN")), "b1=ERROR lb=DEGRADED p1=DEGRADED"},
		"all members are down":     {amphorae(view("a1", "m1 DOWN", "m2 DOWN", "b1 DOWN")), "b1=ERROR lb=ERROR m1=ERROR m2=ERROR p1=ERROR"},
		"weight 0":                 {func(lb *model.LoadBalancer, _ *status.Health) { lb.Pools[0].Members[0].Weight = 0 }, "m1=DRAINING"},
		"weight 0, no monitor":     {func(lb *model.LoadBalancer, _ *status.Health) { lb.Pools[1].Members[0].Weight = 0 }, "lb=ERROR m3=DRAINING p2=ERROR"},
		"weight 0, used by nobody": {func(lb *model.LoadBalancer, _ *status.Health) { lb.Pools[2].Members[0].Weight = 0 }, "m4=DRAINING"},
		"disabled":                 {func(lb *model.LoadBalancer, _ *status.Health) { lb.Pools[0].Members[0].AdminStateUp = false }, "m1=OFFLINE"},
		"the only one is disabled": {func(lb *model.LoadBalancer, _ *status.Health) { lb.Pools[1].Members[0].AdminStateUp = false }, "lb=ERROR m3=OFFLINE p2=ERROR"},
		"no members":               {func(lb *model.LoadBalancer, _ *status.Health) { lb.Pools[1].Members = nil }, "m3=-"},
		"no monitor":               {func(lb *model.LoadBalancer, _ *status.Health) { lb.Pools[0].HealthMonitor = nil }, "b1=NO_MONITOR h1=- m1=NO_MONITOR m2=NO_MONITOR"},
		"disabled monitor":         {func(lb *model.LoadBalancer, _ *status.Health) { lb.Pools[0].HealthMonitor.AdminStateUp = false }, "b1=NO_MONITOR h1=OFFLINE m1=NO_MONITOR m2=NO_MONITOR"},
		"monitor gone, view is old": {func(lb *model.LoadBalancer, h *status.Health) {
			lb.Pools[0].HealthMonitor = nil
			h.Amphorae[0] = view("a1", "m1 DOWN")
		}, "b1=NO_MONITOR h1=- m1=NO_MONITOR m2=NO_MONITOR"},
		"weight 0 and down, another is up": {func(lb *model.LoadBalancer, h *status.Health) {
			lb.Pools[0].Members[0].Weight = 0
			h.Amphorae[0] = view("a1", "m1 DOWN")
		}, "lb=DEGRADED m1=ERROR p1=DEGRADED"},
		"the rest drains": {func(lb *model.LoadBalancer, h *status.Health) {
			lb.Pools[0].Members[0].Weight = 0
			h.Amphorae[0] = view("a1", "m2 DOWN", "b1 DOWN")
		}, "b1=ERROR lb=ERROR m1=DRAINING m2=ERROR p1=ERROR"},
		"disabled and down": {func(lb *model.LoadBalancer, h *status.Health) {
			lb.Pools[0].Members[0].AdminStateUp = false
			h.Amphorae[0] = view("a1", "m1 DOWN")
		}, "m1=OFFLINE"},

		// Before the first check.
		"not checked yet":   {amphorae(view("a1", "m1 UNCHECKED")), "m1=OFFLINE"},
		"nobody has spoken": {amphorae(), "b1=OFFLINE l1=- l2=- m1=OFFLINE m2=OFFLINE"},
		"not checked, was up": {func(_ *model.LoadBalancer, h *status.Health) {
			h.Amphorae[0], h.Before = view("a1", "m1 UNCHECKED"), before("m1=ONLINE")
		}, ""},
		"not checked, was down": {func(_ *model.LoadBalancer, h *status.Health) {
			h.Amphorae[0], h.Before = view("a1", "m1 UNCHECKED"), before("m1=ERROR")
		}, "lb=DEGRADED m1=ERROR p1=DEGRADED"},
		"a monitor is new": {func(_ *model.LoadBalancer, h *status.Health) {
			h.Amphorae[0], h.Before = view("a1", "m1 UNCHECKED"), before("m1=NO_MONITOR")
		}, "m1=NO_MONITOR"},
		"not checked, was draining": {func(_ *model.LoadBalancer, h *status.Health) {
			h.Amphorae[0], h.Before = view("a1", "m1 UNCHECKED"), before("m1=DRAINING")
		}, "m1=OFFLINE"},
		"none checked, all were down": {func(_ *model.LoadBalancer, h *status.Health) {
			h.Amphorae[0] = view("a1", "m1 UNCHECKED", "m2 UNCHECKED", "b1 UNCHECKED")
			h.Before = before("m1=ERROR m2=ERROR b1=ERROR")
		}, "b1=ERROR lb=ERROR m1=ERROR m2=ERROR p1=ERROR"},

		// Pools.
		"disabled pool":          {func(lb *model.LoadBalancer, _ *status.Health) { lb.Pools[0].AdminStateUp = false }, "b1=OFFLINE m1=OFFLINE m2=OFFLINE p1=OFFLINE"},
		"no listener uses it":    {func(lb *model.LoadBalancer, _ *status.Health) { lb.Listeners[0].L7Policies = nil }, "p2=OFFLINE q1=- r1=-"},
		"its policy is disabled": {func(lb *model.LoadBalancer, _ *status.Health) { lb.Listeners[0].L7Policies[0].AdminStateUp = false }, "p2=OFFLINE q1=OFFLINE"},
		"its policy has no rule": {func(lb *model.LoadBalancer, _ *status.Health) { lb.Listeners[0].L7Policies[0].Rules = nil }, "p2=OFFLINE r1=-"},
		"its only rule is disabled": {func(lb *model.LoadBalancer, _ *status.Health) {
			lb.Listeners[0].L7Policies[0].Rules[0].AdminStateUp = false
		}, "p2=OFFLINE r1=OFFLINE"},
		"one of its listeners is disabled": {func(lb *model.LoadBalancer, h *status.Health) {
			lb.Listeners[1].AdminStateUp = false
			h.Amphorae[0] = view("a1", "-l2")
		}, "l2=OFFLINE"},
		"an unused pool with a view":       {amphorae(view("a1", "m4 DOWN")), ""},
		"a refused pool that never served": {func(_ *model.LoadBalancer, h *status.Health) { h.Refused = map[model.Ref]bool{refOf("p2"): true} }, "p2=-"},
		"a refused pool that serves as it was": {func(_ *model.LoadBalancer, h *status.Health) {
			h.Refused, h.Before, h.Amphorae[0] = map[model.Ref]bool{refOf("p1"): true}, before("p1=ONLINE"), view("a1", "m1 DOWN")
		}, "lb=DEGRADED m1=ERROR p1=DEGRADED"},

		// Listeners.
		"at its connection limit": {amphorae(view("a1", "l1 full")), "l1=DEGRADED lb=DEGRADED"},
		"disabled listener":       {func(lb *model.LoadBalancer, _ *status.Health) { lb.Listeners[0].AdminStateUp = false }, "l1=OFFLINE p2=OFFLINE"},
		"nobody has it":           {amphorae(view("a1", "-l1")), "l1=ERROR lb=DEGRADED"},
		"nobody has any":          {amphorae(view("a1", "-l1", "-l2")), "l1=ERROR l2=ERROR lb=ERROR"},
		"nobody has the only one that is up": {func(lb *model.LoadBalancer, h *status.Health) {
			lb.Listeners[1].AdminStateUp = false
			h.Amphorae[0] = view("a1", "-l1", "-l2")
		}, "l1=ERROR l2=OFFLINE lb=ERROR"},
		"just published": {func(_ *model.LoadBalancer, h *status.Health) { h.Amphorae[0], h.Published = view("a1", "-l1"), true }, ""},
		"published a moment ago": {func(_ *model.LoadBalancer, h *status.Health) {
			h.Amphorae[0], h.PublishedAt, h.Before = view("a1", "-l1"), noon.Add(-status.Grace), before("l1=ONLINE")
		}, ""},
		"refused at its creation": {func(_ *model.LoadBalancer, h *status.Health) {
			h.Amphorae[0], h.PublishedAt, h.Refused = view("a1", "-l1"), noon.Add(-time.Second), map[model.Ref]bool{refOf("l1"): true}
		}, "l1=-"},
		"refused, and there as it was": {func(_ *model.LoadBalancer, h *status.Health) { h.Refused = map[model.Ref]bool{refOf("l1"): true} }, ""},
		"left out for a refused rule": {func(_ *model.LoadBalancer, h *status.Health) {
			h.Published, h.Refused = true, map[model.Ref]bool{refOf("r1"): true}
		}, "l1=ERROR lb=DEGRADED r1=-"},
		"left out for a refused policy, and disabled": {func(lb *model.LoadBalancer, h *status.Health) {
			lb.Listeners[0].AdminStateUp, h.Refused = false, map[model.Ref]bool{refOf("q1"): true}
		}, "l1=OFFLINE p2=OFFLINE q1=-"},

		// The load balancer.
		"disabled load balancer": {func(lb *model.LoadBalancer, h *status.Health) {
			lb.AdminStateUp, h.Amphorae[0] = false, view("a1", "-l1", "-l2", "m1 DOWN", "m2 DOWN", "b1 DOWN")
		}, "b1=OFFLINE l1=OFFLINE l2=OFFLINE lb=OFFLINE m1=OFFLINE m2=OFFLINE p1=OFFLINE p2=OFFLINE"},
		"one pool is dead, one listener full": {
			amphorae(view("a1", "l1 full", "m1 DOWN", "m2 DOWN", "b1 DOWN")),
			"b1=ERROR l1=DEGRADED lb=ERROR m1=ERROR m2=ERROR p1=ERROR",
		},
		"disabled children": {func(lb *model.LoadBalancer, _ *status.Health) {
			lb.Listeners[0].L7Policies[0].Rules = append(lb.Listeners[0].L7Policies[0].Rules, model.L7Rule{ID: "r2"})
		}, "r2=OFFLINE"},

		// Two amphorae.
		"two agree":               {amphorae(view("a1", "m1 DOWN"), view("a2", "m1 DOWN")), "lb=DEGRADED m1=ERROR p1=DEGRADED"},
		"two disagree":            {amphorae(view("a1", "m1 DOWN"), view("a2")), "lb=DEGRADED m1=DEGRADED p1=DEGRADED"},
		"all down for one":        {amphorae(view("a1", "m1 DOWN", "m2 DOWN", "b1 DOWN"), view("a2")), "b1=DEGRADED lb=DEGRADED m1=DEGRADED m2=DEGRADED p1=DEGRADED"},
		"one has not checked":     {amphorae(view("a1", "m1 UNCHECKED"), view("a2", "m1 DOWN")), "lb=DEGRADED m1=ERROR p1=DEGRADED"},
		"one lacks a listener":    {amphorae(view("a1", "-l1"), view("a2")), "l1=DEGRADED lb=DEGRADED"},
		"one is away":             {amphorae(away(view("a1", "m1 DOWN", "-l1")), view("a2")), ""},
		"one is away, other side": {amphorae(view("a1", "m1 DOWN"), away(view("a2"))), "lb=DEGRADED m1=ERROR p1=DEGRADED"},
		"the only one is away":    {amphorae(away(view("a1", "m1 DOWN"))), "lb=DEGRADED m1=ERROR p1=DEGRADED"},
		"both are away":           {amphorae(away(view("a1", "m1 DOWN")), away(view("a2"))), "lb=DEGRADED m1=DEGRADED p1=DEGRADED"},
	}
	tree, health := monitored()
	well := status.Operating(tree, *health)
	if got, want := statuses(well), "b1=ONLINE h1=ONLINE h3=ONLINE l1=ONLINE l2=ONLINE lb=ONLINE m1=ONLINE m2=ONLINE m3=NO_MONITOR "+
		"m4=OFFLINE p1=ONLINE p2=ONLINE p3=OFFLINE q1=ONLINE r1=ONLINE"; got != want {
		t.Fatalf("when all is well: %s", got)
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tree, health := monitored()
			test.change(tree, health)
			got := status.Operating(tree, *health)
			differences := map[model.Ref]model.OperatingStatus{}
			for ref := range well {
				if got[ref] != well[ref] {
					differences[ref] = got[ref]
				}
			}
			for ref := range got {
				if got[ref] != well[ref] {
					differences[ref] = got[ref]
				}
			}
			if diff := cmp.Diff(test.want, statuses(differences)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func statuses(all map[model.Ref]model.OperatingStatus) string {
	var words []string
	for ref, is := range all {
		if is == "" {
			is = "-"
		}
		words = append(words, ref.ID+"="+string(is))
	}
	sort.Strings(words)
	return strings.Join(words, " ")
}

func TestDifferenceIsWhatChanged(t *testing.T) {
	tree, health := monitored()
	health.Before = status.Operating(tree, *health)
	if update := status.Difference(tree, *health); !update.Empty() {
		t.Errorf("nothing changed, but %s", lines(update))
	}
	health.Amphorae[0] = view("a1", "m1 DOWN")
	if got, want := lines(status.Difference(tree, *health)), "lb - DEGRADED\nm1 - ERROR\np1 - DEGRADED"; got != want {
		t.Errorf("got %s", got)
	}
}

func TestLookAgainForAListenerThatIsAwaited(t *testing.T) {
	tree, health := monitored()
	if at := status.LookAgain(tree, *health); !at.IsZero() {
		t.Errorf("all is well, and again at %s", at)
	}
	health.Amphorae[0], health.PublishedAt = view("a1", "-l1"), noon.Add(-time.Second)
	if at := status.LookAgain(tree, *health); !at.After(health.PublishedAt.Add(status.Grace)) {
		t.Errorf("again at %s, before it can be known to be missing", at)
	}
	health.PublishedAt = noon.Add(-time.Hour)
	if at := status.LookAgain(tree, *health); !at.IsZero() {
		t.Errorf("it is missing for sure, and again at %s", at)
	}
	health.Amphorae[0].Heard = noon.Add(-2 * time.Hour)
	if at := status.LookAgain(tree, *health); !at.After(noon) {
		t.Errorf("again at %s", at)
	}
}

func TestViewSurvivesTheStore(t *testing.T) {
	want := view("a1", "m1 DOWN", "l1 full").View
	want.Members["m1"] = status.MemberView{PoolID: "p1", State: status.MemberDown, Failure: "ACTIVE_TIMEOUT", Since: noon}
	body, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := status.DecodeView(body)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
