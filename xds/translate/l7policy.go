package translate

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// l7Routes returns the routes of a listener's L7 policies, in the order in which they are tried. The first one whose
// matchers all hold decides.
//
// That order is HAProxy's and not that of positions alone: `http-request deny` comes before `redirect`, and that before
// `use_backend`, wherever they stand. As in Octavia's template, a policy that is down or has no rule that is up does
// nothing, and neither does one that leads to a pool that is down.
func (t *translation) l7Routes(listener *model.Listener) ([]*routev3.Route, error) {
	var routes []*routev3.Route
	for _, policy := range inHAProxysOrder(listener.L7Policies) {
		rules := rulesUp(policy)
		if !policy.AdminStateUp || len(rules) == 0 {
			continue
		}
		owner := model.Ref{Kind: model.KindL7Policy, ID: policy.ID}
		act, err := t.l7Action(listener, policy)
		if err != nil {
			return nil, refused(owner, err)
		}
		if act == nil {
			continue
		}
		matches, err := l7Matches(listener, rules)
		if err != nil {
			return nil, refused(owner, err)
		}
		for _, match := range matches {
			route := &routev3.Route{Name: policy.ID, Match: match}
			act(route)
			if err := route.ValidateAll(); err != nil {
				return nil, refused(owner, err)
			}
			routes = append(routes, route)
		}
	}
	return routes, nil
}

// inHAProxysOrder sorts by action, then by position.
func inHAProxysOrder(policies []model.L7Policy) []*model.L7Policy {
	order := sorted(policies, func(p *model.L7Policy) string { return p.ID })
	slices.SortStableFunc(order, func(a, b *model.L7Policy) int {
		return cmp.Or(cmp.Compare(l7Rank(a.Action), l7Rank(b.Action)), cmp.Compare(a.Position, b.Position))
	})
	return order
}

func l7Rank(action string) int {
	switch action {
	case model.L7ActionReject:
		return 0
	case model.L7ActionRedirectToURL, model.L7ActionRedirectPrefix:
		return 1
	}
	return 2
}

func rulesUp(policy *model.L7Policy) []*model.L7Rule {
	rules := sorted(policy.Rules, func(r *model.L7Rule) string { return r.ID })
	return slices.DeleteFunc(rules, func(r *model.L7Rule) bool { return !r.AdminStateUp })
}

// l7Action returns what writes the action of a policy into a route; nil when the policy does nothing.
func (t *translation) l7Action(listener *model.Listener, policy *model.L7Policy) (func(*routev3.Route), error) {
	switch policy.Action {
	case model.L7ActionReject:
		// The page comes from the listener, see localReplies.
		return func(route *routev3.Route) { route.Action = answer(http.StatusForbidden) }, nil
	case model.L7ActionRedirectToURL, model.L7ActionRedirectPrefix:
		return func(route *routev3.Route) { redirect(route, policy) }, nil
	case model.L7ActionRedirectToPool:
		return t.l7Pool(listener, policy)
	}
	return nil, fmt.Errorf("no action %.32q", policy.Action)
}

// l7Pool forwards to the pool of a policy. One that is down, or that is being deleted and has gone from the policy, makes
// the policy do nothing, as in Octavia's template. One that cannot be served has its own error, and answers 503: what a policy
// takes must not end up in the default pool.
func (t *translation) l7Pool(listener *model.Listener, policy *model.L7Policy) (func(*routev3.Route), error) {
	if policy.RedirectPoolID == "" {
		return nil, nil
	}
	pool := t.pools[policy.RedirectPoolID]
	if pool == nil {
		return func(route *routev3.Route) { route.Action = answer(http.StatusServiceUnavailable) }, nil
	}
	if !pool.AdminStateUp {
		return nil, nil
	}
	cluster, err := t.httpCluster(listener, pool)
	if err != nil {
		return nil, err
	}
	return forward(listener, pool, cluster)
}

// answer is a direct response without a body.
func answer(status uint32) *routev3.Route_DirectResponse {
	return &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: status}}
}
