package status_test

import (
	"sort"
	"strings"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// sample is a load balancer with one of everything:
//
//	l1 (HTTP)  default pool p1; policy q1 redirects to p2, rules r1, r2; policy q2, no rule
//	l2 (TCP)   default pool p1
//	p1         members m1, m2 (weight 0); monitor h1
//	p2         member m3
//	p3         members m4 (down), m5; used by nobody
func sample() *model.LoadBalancer {
	up := func(id string) model.Member { return model.Member{ID: id, AdminStateUp: true, Weight: 1} }
	drained := up("m2")
	drained.Weight = 0
	rule := func(id string) model.L7Rule { return model.L7Rule{ID: id, AdminStateUp: true} }
	return &model.LoadBalancer{
		ID: "lb", AdminStateUp: true,
		Flavor: map[string]any{"k": "v"},
		Listeners: []model.Listener{
			{
				ID: "l1", AdminStateUp: true, DefaultPoolID: "p1", InsertHeaders: map[string]string{"X-Forwarded-For": "true"},
				L7Policies: []model.L7Policy{
					{ID: "q1", AdminStateUp: true, RedirectPoolID: "p2", Rules: []model.L7Rule{rule("r1"), rule("r2")}},
					{ID: "q2"},
				},
			},
			{ID: "l2", AdminStateUp: true, DefaultPoolID: "p1"},
		},
		Pools: []model.Pool{
			{
				ID: "p1", AdminStateUp: true, ListenerID: "l1", Members: []model.Member{up("m1"), drained},
				HealthMonitor: &model.HealthMonitor{ID: "h1", AdminStateUp: true},
			},
			{ID: "p2", AdminStateUp: true, ListenerID: "l1", Members: []model.Member{up("m3")}},
			{ID: "p3", AdminStateUp: true, Members: []model.Member{{ID: "m4", Weight: 1}, up("m5")}},
		},
	}
}

// names lists objects by id, sorted; the ids of the sample tell the kinds.
func names(refs []model.Ref) string {
	var all []string
	for _, ref := range refs {
		all = append(all, ref.ID)
	}
	sort.Strings(all)
	return strings.Join(all, " ")
}

// lines renders an update as "id PROVISIONING OPERATING", "-" for none, sorted.
func lines(update model.StatusUpdate) string {
	var all []string
	for _, kind := range []model.Kind{
		model.KindLoadBalancer, model.KindListener, model.KindPool, model.KindMember, model.KindHealthMonitor,
		model.KindL7Policy, model.KindL7Rule,
	} {
		for _, record := range *update.Records(kind) {
			provisioning, operating := string(record.ProvisioningStatus), string(record.OperatingStatus)
			if provisioning == "" {
				provisioning = "-"
			}
			if operating == "" {
				operating = "-"
			}
			all = append(all, record.ID+" "+provisioning+" "+operating)
		}
	}
	sort.Strings(all)
	return strings.Join(all, "\n")
}

func intent(op model.Op, kind model.Kind, id, parent string) model.Intent {
	return model.Intent{LoadBalancerID: "lb", Op: op, Object: model.Ref{Kind: kind, ID: id}, ParentID: parent}
}

func batch(poolID string, members ...string) model.Intent {
	return model.Intent{
		LoadBalancerID: "lb", Op: model.OpBatchUpdate, Object: model.Ref{Kind: model.KindPool, ID: poolID}, MemberIDs: members,
	}
}
