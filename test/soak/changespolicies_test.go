package soak

import (
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// never is where no client goes: the first rule of each policy asks for it, and stays.
const never = "/never"

func (s *site) policyChanges() map[string]change {
	return map[string]change{
		"policy: create": func(c *call) bool {
			l := s.listenerOf(c, func(l *model.Listener) bool { return readsRequests(l) && len(l.L7Policies) < 6 })
			if l == nil {
				return false
			}
			p := model.L7Policy{
				ID: s.id(), ListenerID: l.ID, ProjectID: "soak", Name: s.unique("policy "), AdminStateUp: true, Position: 1 + s.pick(len(l.L7Policies)+1),
				Action:           one(s, model.L7ActionReject, model.L7ActionRedirectToURL, model.L7ActionRedirectPrefix, model.L7ActionRedirectToPool),
				RedirectHTTPCode: 302,
			}
			switch p.Action {
			case model.L7ActionRedirectToURL:
				p.RedirectURL = "https://other.example/"
			case model.L7ActionRedirectPrefix:
				p.RedirectPrefix = "https://other.example"
			case model.L7ActionRedirectToPool:
				p.RedirectPoolID = s.fitting(c.tree, model.ProtocolHTTP)
			}
			for i := range l.L7Policies {
				if other := &l.L7Policies[i]; other.Position >= p.Position {
					other.Position++ // Octavia does so, without telling
				}
			}
			l.L7Policies = append(l.L7Policies, p)
			l.Sort()
			c.lock(model.ProvisioningPendingUpdate, model.Ref{Kind: model.KindListener, ID: l.ID})
			c.lock(model.ProvisioningPendingCreate, model.Ref{Kind: model.KindL7Policy, ID: p.ID})
			return c.post("/v1/l7policies", document(p))
		},
		"policy: change": s.onPolicy(func(c *call, l *model.Listener, p *model.L7Policy) bool {
			return c.changePolicy(l, p, func() {
				p.Name, p.AdminStateUp = s.unique("policy "), s.pick(4) > 0
				if p.RedirectURL != "" {
					p.RedirectURL, p.RedirectHTTPCode = "https://other.example/"+s.unique("path"), one(s, 301, 302, 303, 307, 308)
				}
			})
		}),
		"policy: delete": s.onPolicy(func(c *call, l *model.Listener, p *model.L7Policy) bool {
			c.lock(model.ProvisioningPendingUpdate, model.Ref{Kind: model.KindListener, ID: l.ID})
			c.lock(model.ProvisioningPendingDelete, model.Ref{Kind: model.KindL7Policy, ID: p.ID})
			return c.remove("/v1/l7policies/" + p.ID + "?listener_id=" + l.ID)
		}),
	}
}

func (s *site) onPolicy(change func(*call, *model.Listener, *model.L7Policy) bool) change {
	return func(c *call) bool {
		l := s.listenerOf(c, func(l *model.Listener) bool { return len(l.L7Policies) > 0 })
		return l != nil && change(c, l, &l.L7Policies[s.pick(len(l.L7Policies))])
	}
}

func (s *site) ruleChanges() map[string]change {
	// further picks a rule that is not the first.
	further := func(p *model.L7Policy) *model.L7Rule {
		i := s.pick(len(p.Rules) + 1)
		if i == len(p.Rules) || p.Rules[i].Value == never {
			return nil
		}
		return &p.Rules[i]
	}
	return map[string]change{
		"rule: create": s.onPolicy(func(c *call, l *model.Listener, p *model.L7Policy) bool {
			if len(p.Rules) > 4 {
				return false
			}
			r := model.L7Rule{Type: model.L7TypePath, CompareType: model.L7CompareStartsWith, Value: never}
			if len(p.Rules) > 0 {
				r = one(s,
					model.L7Rule{Type: model.L7TypeHostName, CompareType: model.L7CompareEqualTo, Value: "x.example"},
					model.L7Rule{Type: model.L7TypeFileType, CompareType: model.L7CompareRegex, Value: "jpg|png"},
					model.L7Rule{Type: model.L7TypeHeader, CompareType: model.L7CompareContains, Key: "x-soak", Value: "yes", Invert: true},
					model.L7Rule{Type: model.L7TypeCookie, CompareType: model.L7CompareEndsWith, Key: "c", Value: "end"},
				)
			}
			r.ID, r.L7PolicyID, r.ProjectID, r.AdminStateUp = s.id(), p.ID, "soak", true
			p.Rules = append(p.Rules, r)
			c.lock(model.ProvisioningPendingUpdate, model.Ref{Kind: model.KindListener, ID: l.ID}, model.Ref{Kind: model.KindL7Policy, ID: p.ID})
			c.lock(model.ProvisioningPendingCreate, model.Ref{Kind: model.KindL7Rule, ID: r.ID})
			return c.post("/v1/l7policies/"+p.ID+"/rules", document(r))
		}),
		"rule: change": s.onPolicy(func(c *call, l *model.Listener, p *model.L7Policy) bool {
			r := further(p)
			return r != nil && c.changeRule(l, p, r, func() { r.Value, r.Invert = s.unique("value"), !r.Invert })
		}),
		"rule: delete": s.onPolicy(func(c *call, l *model.Listener, p *model.L7Policy) bool {
			r := further(p)
			if r == nil {
				return false
			}
			c.lock(model.ProvisioningPendingUpdate, model.Ref{Kind: model.KindListener, ID: l.ID}, model.Ref{Kind: model.KindL7Policy, ID: p.ID})
			c.lock(model.ProvisioningPendingDelete, model.Ref{Kind: model.KindL7Rule, ID: r.ID})
			return c.remove("/v1/l7policies/" + p.ID + "/rules/" + r.ID)
		}),
	}
}
