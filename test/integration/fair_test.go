package integration

import (
	"fmt"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// Forty load balancers of one tenant whose amphorae are dead, ten times as many as are worked on at once, keep no other tenant
// from creating and changing its own.
func TestDeadAmphoraeOfOneTenant(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	w := &warming{}
	c := s.controller(w)
	const dead = 40
	name := func(i int) string { return fmt.Sprintf("dead %d", i) }
	for i := range dead {
		tree := loadBalancer(nil, pool("p1"))
		tree.ID, tree.ProjectID = name(i), "unlucky"
		s.change(tree)
	}
	w.envoy = startEnvoy(t, s.ca, "lb", "lb", c.address)
	l, members := listener(t, "l1", "p1"), []model.Member{member(t, "m1"), member(t, "m2")}
	for i := range 4 {
		tree := loadBalancer([]model.Listener{l}, pool("p1", members[i%2]))
		tree.ProjectID = "other"
		s.change(tree)
		s.active("lb")
		serves(t, l, members[i%2].ID)
	}
	if failed := c.attempts("error"); failed != 0 {
		t.Errorf("%d attempts at the dead ones had to end before", failed)
	}
	for i := range dead {
		intents, err := s.store.Intents(t.Context(), name(i))
		must(t, err)
		if len(intents) == 0 {
			t.Errorf("%s was not dead: its change has ended", name(i))
		}
	}
}

// attempts counts those of the loop that have ended.
func (c *controller) attempts(outcome string) uint64 {
	c.t.Helper()
	families, err := c.registry.Gather()
	must(c.t, err)
	for _, family := range families {
		if family.GetName() != "octavia_envoy_reconcile_attempt_seconds" {
			continue
		}
		for _, m := range family.GetMetric() {
			if m.GetLabel()[0].GetValue() == outcome {
				return m.GetHistogram().GetSampleCount()
			}
		}
	}
	c.t.Fatalf("no attempts of outcome %s", outcome)
	return 0
}
