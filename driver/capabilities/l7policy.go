package capabilities

import (
	"fmt"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

func (c *checker) l7Policy(listener object, i int, l *model.Listener, p *model.L7Policy) {
	o := listener.child(model.KindL7Policy, p.ID, fmt.Sprintf("l7policies[%d]", i))
	c.identity(o, "l7policy_id", "listener_id", p.ListenerID, l.ID)
	c.unsupported(o, "", "L7 policies are not supported yet; use one listener per pool instead.")
	for j := range p.Rules {
		c.l7Rule(o, j, p, &p.Rules[j])
	}
}

func (c *checker) l7Rule(policy object, i int, p *model.L7Policy, r *model.L7Rule) {
	o := policy.child(model.KindL7Rule, r.ID, fmt.Sprintf("rules[%d]", i))
	c.identity(o, "l7rule_id", "l7policy_id", r.L7PolicyID, p.ID)
	c.unsupported(o, "", "L7 rules are not supported yet; use one listener per pool instead.")
}
