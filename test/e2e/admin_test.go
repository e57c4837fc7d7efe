package e2e

import (
	"testing"
)

// TestAdminStates takes one object of each kind down and up again.
func TestAdminStates(t *testing.T) {
	t.Parallel()
	c := shared
	s := c.populate(t, "e2e-admin", []fields{
		listener("web", "HTTP", 80, "web", fields{"l7policies": []fields{{
			"name": "away", "action": "REDIRECT_TO_URL", "redirect_url": "http://away.example.com/",
			"rules": []fields{{"type": "PATH", "compare_type": "STARTS_WITH", "value": "/away"}},
		}}}),
		listener("other", "HTTP", 81, "other"),
	}, []fields{pool("web", "HTTP", []fields{c.member(1, 80)}), pool("other", "HTTP", []fields{c.member(2, 80)})})
	const away = "http://away.example.com/"
	for _, test := range []struct {
		kind, object, words, path   string
		root, policy, other, status string
	}{
		{"loadbalancer", "lb", "loadbalancer set", "loadbalancers/", "refused", "refused", "refused", "OFFLINE"},
		{"listener", "listener web", "loadbalancer listener set", "listeners/", "refused", "refused", "200 member2", "OFFLINE"},
		{"pool", "pool web", "loadbalancer pool set", "pools/", "503", away, "200 member2", "OFFLINE"},
		{"member", "member web/member1", "loadbalancer member set", "", "503", away, "200 member2", "OFFLINE"},
		{"l7policy", "policy away", "loadbalancer l7policy set", "l7policies/", "200 member1", "200 member1", "200 member2", "OFFLINE"},
		// A policy without a rule takes nothing.
		{"l7rule", "rule away/0", "loadbalancer l7rule set", "", "200 member1", "200 member1", "200 member2", "OFFLINE"},
	} {
		t.Run(test.kind, func(t *testing.T) {
			id, path, parent := s.lb.ID, test.path, ""
			if test.object != "lb" {
				id = s.id(t, test.object)
			}
			switch test.kind {
			case "member":
				path, parent = "pools/"+s.id(t, "pool web")+"/members/", "[pool web] "
			case "l7rule":
				path, parent = "l7policies/"+s.id(t, "policy away")+"/rules/", "[policy away] "
			}
			kind := test.kind
			if kind == "l7rule" {
				kind = "rule"
			}
			state := func(want string) {
				t.Helper()
				now, err := c.get(t, kind, path+id)
				if err != nil || now.ProvisioningStatus != "ACTIVE" || now.OperatingStatus != want {
					t.Errorf("it is %s and %s, not %s, error %v", now.ProvisioningStatus, now.OperatingStatus, want, err)
				}
			}
			before, err := c.get(t, kind, path+id)
			if err != nil {
				t.Fatal(err)
			}
			s.cli(t, test.words+" --disable "+parent+id)
			state(test.status)
			c.answers(t, s.at(80), "/", test.root)
			c.answers(t, s.at(80), "/away", test.policy)
			c.answers(t, s.at(81), "/", test.other)

			s.put(t, kind, path+id, fields{"admin_state_up": true}) // not by the CLI, whose start takes longer than all this
			state(before.OperatingStatus)
			c.answers(t, s.at(80), "/", "200 member1")
			c.answers(t, s.at(80), "/away", away)
			c.answers(t, s.at(81), "/", "200 member2")
		})
	}
	s.allActive(t)
}
