package status_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
)

func TestReport(t *testing.T) {
	create, update, remove := model.OpCreate, model.OpUpdate, model.OpDelete
	tests := map[string]struct {
		// change makes the tree from the sample; what was reported is the sample as it is, unless fresh.
		change   func(lb *model.LoadBalancer)
		fresh    bool
		intents  []model.Intent
		rejected []model.Ref
		want     string
	}{
		"create of everything": {
			fresh: true, intents: []model.Intent{intent(create, model.KindLoadBalancer, "lb", "")},
			want: `h1 ACTIVE ONLINE
l1 ACTIVE ONLINE
l2 ACTIVE ONLINE
lb ACTIVE ONLINE
m1 ACTIVE OFFLINE
m2 ACTIVE DRAINING
m3 ACTIVE NO_MONITOR
m4 ACTIVE OFFLINE
m5 ACTIVE NO_MONITOR
p1 ACTIVE ONLINE
p2 ACTIVE ONLINE
p3 ACTIVE OFFLINE
q1 ACTIVE ONLINE
q2 ACTIVE OFFLINE
r1 ACTIVE ONLINE
r2 ACTIVE ONLINE`,
		},
		"adopted": {
			fresh: true, intents: []model.Intent{intent(update, model.KindLoadBalancer, "lb", "")},
			want: `h1 - ONLINE
l1 - ONLINE
l2 - ONLINE
lb ACTIVE ONLINE
m1 - OFFLINE
m2 - DRAINING
m3 - NO_MONITOR
m4 - OFFLINE
m5 - NO_MONITOR
p1 - ONLINE
p2 - ONLINE
p3 - OFFLINE
q1 - ONLINE
q2 - OFFLINE
r1 - ONLINE
r2 - ONLINE`,
		},
		"nothing to do": {want: ""},
		"disabled": {
			change: func(lb *model.LoadBalancer) {
				lb.AdminStateUp, lb.Listeners[1].AdminStateUp, lb.Pools[1].AdminStateUp = false, false, false
			},
			intents: []model.Intent{
				intent(update, model.KindLoadBalancer, "lb", ""), intent(update, model.KindPool, "p2", ""),
			},
			want: "l1 ACTIVE OFFLINE\nl2 - OFFLINE\nlb ACTIVE OFFLINE\np1 - OFFLINE\np2 ACTIVE OFFLINE",
		},
		"member weight": {
			change:  func(lb *model.LoadBalancer) { lb.Pools[1].Members[0].Weight = 0 },
			intents: []model.Intent{intent(update, model.KindMember, "m3", "p2")},
			want:    "l1 ACTIVE ONLINE\nlb ACTIVE ERROR\nm3 ACTIVE DRAINING\np2 ACTIVE ERROR",
		},
		"member deleted": {
			intents: []model.Intent{intent(remove, model.KindMember, "m3", "p2")},
			want:    "l1 ACTIVE ONLINE\nlb ACTIVE ONLINE\nm3 DELETED -\np2 ACTIVE ONLINE",
		},
		"a listener takes an unused pool": {
			change:  func(lb *model.LoadBalancer) { lb.Listeners[1].DefaultPoolID = "p3" },
			intents: []model.Intent{intent(update, model.KindListener, "l2", "")},
			want:    "l2 ACTIVE ONLINE\nlb ACTIVE ONLINE\np3 - ONLINE",
		},
		"the last user of a pool goes": {
			intents: []model.Intent{intent(remove, model.KindL7Policy, "q1", "l1")},
			want:    "l1 ACTIVE ONLINE\nlb ACTIVE ONLINE\np2 - OFFLINE\nq1 DELETED -\nr1 DELETED -\nr2 DELETED -",
		},
		"the monitor goes": {
			intents: []model.Intent{intent(remove, model.KindHealthMonitor, "h1", "p1")},
			want: "h1 DELETED -\nl1 ACTIVE ONLINE\nl2 ACTIVE ONLINE\nlb ACTIVE ONLINE\nm1 - NO_MONITOR\n" +
				"p1 ACTIVE ONLINE",
		},
		"a listener is refused": {
			intents: []model.Intent{intent(update, model.KindListener, "l1", "")},
			rejected: []model.Ref{
				{Kind: model.KindListener, ID: "l1"}, {Kind: model.KindPool, ID: "p1"}, {Kind: model.KindPool, ID: "not here"},
			},
			want: "l1 ERROR -\nlb ACTIVE ONLINE\np1 ERROR -",
		},
		"a rule is refused, and with it its listener left out": {
			intents:  []model.Intent{intent(create, model.KindL7Rule, "r1", "q1")},
			rejected: []model.Ref{{Kind: model.KindL7Rule, ID: "r1"}},
			want:     "l1 ACTIVE ERROR\nlb ACTIVE DEGRADED\nq1 ACTIVE ONLINE\nr1 ERROR -",
		},
		"a policy is refused of a listener that is down": {
			change:   func(lb *model.LoadBalancer) { lb.Listeners[0].AdminStateUp = false },
			intents:  []model.Intent{intent(update, model.KindListener, "l1", "")},
			rejected: []model.Ref{{Kind: model.KindL7Policy, ID: "q1"}},
			want:     "l1 ACTIVE OFFLINE\nlb ACTIVE ONLINE\np2 - OFFLINE\nq1 ERROR -",
		},
		"the load balancer is refused": {
			intents:  []model.Intent{intent(update, model.KindLoadBalancer, "lb", "")},
			rejected: []model.Ref{{Kind: model.KindLoadBalancer, ID: "lb"}},
			want:     "lb ERROR -",
		},
		"load balancer deleted": {
			intents: []model.Intent{intent(remove, model.KindLoadBalancer, "lb", "")},
			want: `h1 DELETED -
l1 DELETED -
l2 DELETED -
lb DELETED -
m1 DELETED -
m2 DELETED -
m3 DELETED -
m4 DELETED -
m5 DELETED -
p1 DELETED -
p2 DELETED -
p3 DELETED -
q1 DELETED -
q2 DELETED -
r1 DELETED -
r2 DELETED -`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tree := sample()
			health := status.Health{Now: noon}
			if !test.fresh {
				health.Before = status.Operating(sample(), status.Health{Published: true, Now: noon})
			}
			if test.change != nil {
				test.change(tree)
			}
			rejected := map[model.Ref]string{}
			for _, ref := range test.rejected {
				rejected[ref] = "Envoy says no"
			}
			got := lines(status.Report(status.NewPlan(tree, test.intents), rejected, health))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestReportNeverNamesAnObjectTwice: the agent applies in order of kinds, so ACTIVE could follow DELETED.
func TestReportNeverNamesAnObjectTwice(t *testing.T) {
	var intents []model.Intent
	for _, op := range []model.Op{model.OpCreate, model.OpUpdate, model.OpDelete, model.OpFailover} {
		for kind, id := range map[model.Kind]string{
			model.KindListener: "l1", model.KindPool: "p1", model.KindMember: "m1", model.KindHealthMonitor: "h1",
			model.KindL7Policy: "q1", model.KindL7Rule: "r1",
		} {
			intents = append(intents, intent(op, kind, id, ""))
		}
	}
	update := status.Report(status.NewPlan(sample(), append(intents, batch("p3", "m5"))), nil, status.Health{})
	seen := map[string]bool{}
	for _, kind := range []model.Kind{
		model.KindLoadBalancer, model.KindListener, model.KindPool, model.KindMember, model.KindHealthMonitor,
		model.KindL7Policy, model.KindL7Rule,
	} {
		for _, record := range *update.Records(kind) {
			if seen[record.ID] {
				t.Errorf("%s twice", record.ID)
			}
			seen[record.ID] = true
		}
	}
	if len(seen) != 16 {
		t.Errorf("%d objects reported, the tree has 16", len(seen))
	}
}

func TestTouchAllReportsWhatStays(t *testing.T) {
	plan := status.NewPlan(sample(), []model.Intent{intent(model.OpDelete, model.KindMember, "m1", "p1")})
	plan.TouchAll()
	if got, want := names(plan.Touched), "h1 l1 l2 lb m2 m3 m4 m5 p1 p2 p3 q1 q2 r1 r2"; got != want {
		t.Errorf("touched %s", got)
	}
	if got := names(plan.Deleted); got != "m1" {
		t.Errorf("deleted %s", got)
	}
}

func TestFailed(t *testing.T) {
	create, update, remove := model.OpCreate, model.OpUpdate, model.OpDelete
	tests := map[string]struct {
		intents []model.Intent
		want    string
	}{
		"member create": {
			[]model.Intent{intent(create, model.KindMember, "m3", "p2")},
			"l1 ACTIVE -\nlb ERROR -\nm3 ERROR -\np2 ACTIVE -",
		},
		"pool delete": {
			[]model.Intent{intent(remove, model.KindPool, "p2", "")},
			"l1 ACTIVE -\nlb ERROR -\np2 ERROR -",
		},
		"batch": {
			[]model.Intent{batch("p1", "m1")},
			"l1 ACTIVE -\nl2 ACTIVE -\nlb ERROR -\nm1 ERROR -\nm2 ERROR -\np1 ACTIVE -",
		},
		"rule update": {
			[]model.Intent{intent(update, model.KindL7Rule, "r1", "q1")},
			"l1 ACTIVE -\nlb ERROR -\nq1 ACTIVE -\nr1 ERROR -",
		},
		"listener create": {
			[]model.Intent{intent(create, model.KindListener, "l1", "")},
			"l1 ERROR -\nlb ERROR -\nq1 ERROR -\nq2 ERROR -\nr1 ERROR -\nr2 ERROR -",
		},
		"cascade delete": {
			[]model.Intent{intent(remove, model.KindLoadBalancer, "lb", "")},
			"lb ERROR -",
		},
		"without a call": {nil, "lb ERROR -"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := lines(status.Failed(status.NewPlan(sample(), test.intents)))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("failover", func(t *testing.T) {
		plan := status.NewPlan(sample(), []model.Intent{intent(model.OpFailover, model.KindLoadBalancer, "lb", "")})
		if got := lines(status.Failed(plan)); got != "lb ERROR -" {
			t.Errorf("got %s", got)
		}
	})
}
