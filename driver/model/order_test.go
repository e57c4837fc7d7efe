package model

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSort(t *testing.T) {
	read := func(ids ...int) *LoadBalancer {
		names := [...]string{"a", "b", "c"}
		lb := &LoadBalancer{}
		for _, i := range ids {
			listener := Listener{ID: names[i]}
			pool := Pool{ID: names[i]}
			for _, j := range ids {
				// Two have the same position: Octavia renumbers them one by one.
				policy := L7Policy{ID: names[j], Position: []int{3, 1, 1}[j]}
				for _, k := range ids {
					policy.Rules = append(policy.Rules, L7Rule{ID: names[k]})
				}
				listener.L7Policies = append(listener.L7Policies, policy)
				pool.Members = append(pool.Members, Member{ID: names[j]})
			}
			lb.Listeners, lb.Pools = append(lb.Listeners, listener), append(lb.Pools, pool)
		}
		lb.Sort()
		return lb
	}
	one := read(0, 1, 2)
	if policies := one.Listeners[0].L7Policies; policies[0].ID+policies[1].ID+policies[2].ID != "bca" {
		t.Errorf("the policies are in the order %v", policies)
	}
	for _, other := range [][]int{{0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		if diff := cmp.Diff(one, read(other...)); diff != "" {
			t.Errorf("%v:\n%s", other, diff)
		}
	}
}
