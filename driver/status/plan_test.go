package status_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
)

const everything = "h1 l1 l2 lb m1 m2 m3 m4 m5 p1 p2 p3 q1 q2 r1 r2"

// TestPlan has a row for each call of the provider contract: what Octavia sets to PENDING by it must be touched or
// deleted, or it stays PENDING for ever.
func TestPlan(t *testing.T) {
	create, update, remove := model.OpCreate, model.OpUpdate, model.OpDelete
	tests := map[string]struct {
		intents          []model.Intent
		touched, deleted string
	}{
		"nothing":         {nil, "", ""},
		"lb create":       {[]model.Intent{intent(create, model.KindLoadBalancer, "lb", "")}, everything, ""},
		"lb update":       {[]model.Intent{intent(update, model.KindLoadBalancer, "lb", "")}, "lb", ""},
		"lb delete":       {[]model.Intent{intent(remove, model.KindLoadBalancer, "lb", "")}, "", everything},
		"lb failover":     {[]model.Intent{intent(model.OpFailover, model.KindLoadBalancer, "lb", "")}, everything, ""},
		"listener create": {[]model.Intent{intent(create, model.KindListener, "l1", "")}, "l1 lb q1 q2 r1 r2", ""},
		"listener update": {[]model.Intent{intent(update, model.KindListener, "l1", "")}, "l1 lb", ""},
		"listener delete": {[]model.Intent{intent(remove, model.KindListener, "l1", "")}, "lb", "l1 q1 q2 r1 r2"},
		"pool create":     {[]model.Intent{intent(create, model.KindPool, "p1", "")}, "h1 l1 l2 lb m1 m2 p1", ""},
		"pool update":     {[]model.Intent{intent(update, model.KindPool, "p1", "")}, "l1 l2 lb p1", ""},
		"pool delete":     {[]model.Intent{intent(remove, model.KindPool, "p1", "")}, "l1 l2 lb", "h1 m1 m2 p1"},
		"redirect pool":   {[]model.Intent{intent(update, model.KindPool, "p2", "")}, "l1 lb p2", ""},
		"unused pool":     {[]model.Intent{intent(update, model.KindPool, "p3", "")}, "lb p3", ""},
		"member create":   {[]model.Intent{intent(create, model.KindMember, "m1", "p1")}, "l1 l2 lb m1 p1", ""},
		"member update":   {[]model.Intent{intent(update, model.KindMember, "m3", "")}, "l1 lb m3 p2", ""},
		"member delete":   {[]model.Intent{intent(remove, model.KindMember, "m1", "p1")}, "l1 l2 lb p1", "m1"},
		"member gone":     {[]model.Intent{intent(remove, model.KindMember, "old", "p1")}, "l1 l2 lb p1", ""},
		"batch":           {[]model.Intent{batch("p1", "m1")}, "l1 l2 lb m1 p1", "m2"},
		"batch, nobody":   {[]model.Intent{batch("p1")}, "l1 l2 lb p1", "m1 m2"},
		"batch, no pool":  {[]model.Intent{batch("old", "x")}, "lb", ""},
		"monitor create":  {[]model.Intent{intent(create, model.KindHealthMonitor, "h1", "p1")}, "h1 l1 l2 lb p1", ""},
		"monitor delete":  {[]model.Intent{intent(remove, model.KindHealthMonitor, "h1", "p1")}, "l1 l2 lb p1", "h1"},
		"policy create":   {[]model.Intent{intent(create, model.KindL7Policy, "q1", "l1")}, "l1 lb q1 r1 r2", ""},
		"policy update":   {[]model.Intent{intent(update, model.KindL7Policy, "q1", "")}, "l1 lb q1", ""},
		"policy delete":   {[]model.Intent{intent(remove, model.KindL7Policy, "q1", "l1")}, "l1 lb", "q1 r1 r2"},
		"policy gone":     {[]model.Intent{intent(remove, model.KindL7Policy, "old", "l1")}, "l1 lb", ""},
		"rule create":     {[]model.Intent{intent(create, model.KindL7Rule, "r1", "q1")}, "l1 lb q1 r1", ""},
		"rule delete":     {[]model.Intent{intent(remove, model.KindL7Rule, "r1", "q1")}, "l1 lb q1", "r1"},
		"rule gone":       {[]model.Intent{intent(remove, model.KindL7Rule, "old", "q1")}, "l1 lb q1", ""},
		"other tree":      {[]model.Intent{intent(update, model.KindListener, "old", "")}, "lb", ""},

		"create, then delete": {[]model.Intent{
			intent(create, model.KindMember, "m1", "p1"), intent(remove, model.KindMember, "m1", "p1"),
		}, "l1 l2 lb p1", "m1"},
		"pool update, then lb delete": {[]model.Intent{
			intent(update, model.KindPool, "p1", ""), intent(remove, model.KindLoadBalancer, "lb", ""),
		}, "", everything},
		"batch, then a member it did not know": {[]model.Intent{
			batch("p1", "m1"), intent(create, model.KindMember, "m2", "p1"),
		}, "l1 l2 lb m1 m2 p1", ""},
		"batch, then another": {[]model.Intent{batch("p1", "m1"), batch("p1", "m2")}, "l1 l2 lb m2 p1", "m1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			plan := status.NewPlan(sample(), test.intents)
			if got := names(plan.Touched); got != test.touched {
				t.Errorf("touched %q, want %q", got, test.touched)
			}
			if got := names(plan.Deleted); got != test.deleted {
				t.Errorf("deleted %q, want %q", got, test.deleted)
			}
		})
	}
}

func TestPlanDesired(t *testing.T) {
	ids := func(lb *model.LoadBalancer) string {
		// All objects that are left, by way of a plan that touches them.
		return names(status.NewPlan(lb, []model.Intent{intent(model.OpCreate, model.KindLoadBalancer, "lb", "")}).Touched)
	}
	t.Run("whole", func(t *testing.T) {
		plan := status.NewPlan(sample(), nil)
		if diff := cmp.Diff(sample(), plan.Desired); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("pool deleted", func(t *testing.T) {
		plan := status.NewPlan(sample(), []model.Intent{
			intent(model.OpDelete, model.KindPool, "p1", ""), intent(model.OpDelete, model.KindPool, "p2", ""),
		})
		if got, want := ids(plan.Desired), "l1 l2 lb m4 m5 p3 q1 q2 r1 r2"; got != want {
			t.Errorf("left: %s, want %s", got, want)
		}
		l1, l2 := plan.Desired.Listeners[0], plan.Desired.Listeners[1]
		if l1.DefaultPoolID != "" || l2.DefaultPoolID != "" || l1.L7Policies[0].RedirectPoolID != "" {
			t.Error("a reference to a deleted pool is left")
		}
	})
	t.Run("children deleted", func(t *testing.T) {
		plan := status.NewPlan(sample(), []model.Intent{
			intent(model.OpDelete, model.KindListener, "l2", ""), intent(model.OpDelete, model.KindMember, "m1", "p1"),
			intent(model.OpDelete, model.KindHealthMonitor, "h1", "p1"), intent(model.OpDelete, model.KindL7Policy, "q2", "l1"),
			intent(model.OpDelete, model.KindL7Rule, "r1", "q1"), batch("p3", "m5"),
		})
		if got, want := ids(plan.Desired), "l1 lb m2 m3 m5 p1 p2 p3 q1 r2"; got != want {
			t.Errorf("left: %s, want %s", got, want)
		}
	})
	t.Run("the pool's listener deleted", func(t *testing.T) {
		plan := status.NewPlan(sample(), []model.Intent{intent(model.OpDelete, model.KindListener, "l1", "")})
		if plan.Desired.Pools[0].ListenerID != "" {
			t.Error("the pool still names its listener")
		}
	})
	t.Run("load balancer deleted", func(t *testing.T) {
		plan := status.NewPlan(sample(), []model.Intent{intent(model.OpDelete, model.KindLoadBalancer, "lb", "")})
		if plan.Desired != nil {
			t.Error("a deleted load balancer is desired")
		}
	})
	t.Run("gone", func(t *testing.T) {
		plan := status.NewPlan(nil, []model.Intent{intent(model.OpCreate, model.KindLoadBalancer, "lb", "")})
		plan.TouchAll()
		if plan.Desired != nil || plan.LoadBalancerID != "" {
			t.Error("something is desired")
		}
		if report, failed := status.Report(plan, nil, status.Health{}), status.Failed(plan); !report.Empty() || !failed.Empty() {
			t.Errorf("reported: %v, %v", report, failed)
		}
	})
}

// TestPlanCopies changes what a plan wants in every place that has a list or a pointer: the tree must not notice.
func TestPlanCopies(t *testing.T) {
	tree := sample()
	before, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	desired := status.NewPlan(tree, nil).Desired
	desired.Flavor["k"] = "changed"
	desired.Listeners[0].Name = "changed"
	desired.Listeners[0].InsertHeaders["X-Forwarded-For"] = "changed"
	desired.Listeners[0].L7Policies[0].Name = "changed"
	desired.Listeners[0].L7Policies[0].Rules[0].Value = "changed"
	desired.Pools[0].Name = "changed"
	desired.Pools[0].Members[0].Name = "changed"
	desired.Pools[0].HealthMonitor.Name = "changed"
	after, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(before), string(after)); diff != "" {
		t.Errorf("the tree changed:\n%s", diff)
	}
}

func TestPlanDeletesChildrenFirst(t *testing.T) {
	plan := status.NewPlan(sample(), []model.Intent{intent(model.OpDelete, model.KindLoadBalancer, "lb", "")})
	if last := plan.Deleted[len(plan.Deleted)-1]; last.ID != "lb" {
		t.Errorf("the last is %v", last)
	}
}
