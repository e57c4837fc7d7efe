package status

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

func TestParts(t *testing.T) {
	records := func(status model.ProvisioningStatus, what string, n int) []model.ObjectStatus {
		var all []model.ObjectStatus
		for i := range n {
			all = append(all, model.ObjectStatus{ID: fmt.Sprint(what, i), ProvisioningStatus: status})
		}
		return all
	}
	some := func(what string, n int) []model.ObjectStatus { return records(model.ProvisioningActive, what, n) }
	gone := func(n int) []model.ObjectStatus { return records(model.ProvisioningDeleted, "gone", n) }
	lb := some("lb", 1)
	for name, test := range map[string]struct {
		update model.StatusUpdate
		want   []model.StatusUpdate
	}{
		"nothing": {},
		"little": {
			model.StatusUpdate{LoadBalancers: lb, Members: some("m", 3)},
			[]model.StatusUpdate{{LoadBalancers: lb, Members: some("m", 3)}},
		},
		"just one part": {
			model.StatusUpdate{LoadBalancers: lb, Members: some("m", 99)},
			[]model.StatusUpdate{{LoadBalancers: lb, Members: some("m", 99)}},
		},
		"the load balancer is left over": {
			model.StatusUpdate{LoadBalancers: lb, Members: some("m", 100)},
			[]model.StatusUpdate{{Members: some("m", 100)}, {LoadBalancers: lb}},
		},
		"deletions count more": {
			model.StatusUpdate{Members: gone(30), Pools: some("p", 51), LoadBalancers: lb},
			[]model.StatusUpdate{{Members: gone(20)}, {Members: gone(30)[20:], Pools: some("p", 50)}, {Pools: some("p", 51)[50:], LoadBalancers: lb}},
		},
		"children first": {
			model.StatusUpdate{
				LoadBalancers: lb, Listeners: some("l", 1), Pools: some("p", 60), HealthMonitors: some("h", 60), Members: some("m", 190),
				L7Policies: some("q", 1), L7Rules: some("r", 1),
			},
			[]model.StatusUpdate{
				{Members: some("m", 190)[:100]},
				{Members: some("m", 190)[100:], HealthMonitors: some("h", 10)},
				{HealthMonitors: some("h", 60)[10:], Pools: some("p", 50)},
				{Pools: some("p", 60)[50:], L7Rules: some("r", 1), L7Policies: some("q", 1), Listeners: some("l", 1), LoadBalancers: lb},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []model.StatusUpdate
			for part := range parts(test.update) {
				got = append(got, part)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for range parts(model.StatusUpdate{Members: some("m", 1000)}) {
		break // a part that fails ends the message
	}
}
