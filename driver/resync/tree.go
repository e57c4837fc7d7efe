package resync

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
)

// Tree reads a whole load balancer, for when the driver-agent cannot: it gives no answer at all about a load balancer
// one certificate of which it cannot read. The certificates are not in it, only the references to them. The error wraps
// status.ErrGone when Octavia does not have the load balancer.
//
// The REST API names its objects' attributes as octavia-lib's dictionaries do, but for ids and for what is below an object.
func (a *API) Tree(ctx context.Context, id string) (*model.LoadBalancer, error) {
	lb, err := show[document](ctx, a, "loadbalancer", "loadbalancers", id)
	if gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
		return nil, fmt.Errorf("%w: %s", status.ErrGone, id)
	}
	if err != nil {
		return nil, err
	}
	flavor, err := a.flavor(ctx, lb.text("flavor_id"))
	if err != nil {
		return nil, err
	}
	listeners, err := a.listeners(ctx, id)
	if err != nil {
		return nil, err
	}
	pools, err := a.pools(ctx, id)
	if err != nil {
		return nil, err
	}
	lb.rename("loadbalancer_id")
	lb.set("flavor", flavor)
	lb.set("listeners", listeners)
	lb.set("pools", pools)
	encoded, err := json.Marshal(lb)
	if err != nil {
		return nil, err
	}
	tree := &model.LoadBalancer{}
	if err := json.Unmarshal(encoded, tree); err != nil {
		return nil, fmt.Errorf("read load balancer %s from Octavia's API: %w", id, err)
	}
	tree.Sort()
	return tree, nil
}

func (a *API) listeners(ctx context.Context, id string) ([]document, error) {
	listeners, err := a.documents(ctx, "listeners", url.Values{"loadbalancer_id": {id}}, "listeners")
	if err != nil {
		return nil, err
	}
	for _, listener := range listeners {
		policies, err := a.documents(ctx, "l7policies", url.Values{"listener_id": {listener.text("id")}}, "l7policies")
		if err != nil {
			return nil, err
		}
		for _, policy := range policies {
			rules, err := a.documents(ctx, "rules", nil, "l7policies", policy.text("id"), "rules")
			if err != nil {
				return nil, err
			}
			for _, rule := range rules {
				rule.set("l7policy_id", policy.text("id"))
				rule.rename("l7rule_id")
			}
			policy.set("rules", rules)
			policy.rename("l7policy_id")
		}
		listener.set("loadbalancer_id", id)
		listener.set("l7policies", policies)
		listener.rename("listener_id")
	}
	return listeners, nil
}

func (a *API) pools(ctx context.Context, id string) ([]document, error) {
	pools, err := a.documents(ctx, "pools", url.Values{"loadbalancer_id": {id}}, "pools")
	if err != nil {
		return nil, err
	}
	for _, pool := range pools {
		members, err := a.documents(ctx, "members", nil, "pools", pool.text("id"), "members")
		if err != nil {
			return nil, err
		}
		for _, member := range members {
			member.set("pool_id", pool.text("id"))
			member.rename("member_id")
		}
		pool.set("members", members)
		if monitor := pool.text("healthmonitor_id"); monitor != "" {
			found, err := show[document](ctx, a, "healthmonitor", "healthmonitors", monitor)
			if err != nil {
				return nil, err
			}
			found.set("pool_id", pool.text("id"))
			found.rename("healthmonitor_id")
			pool.set("healthmonitor", found)
		}
		pool.set("loadbalancer_id", id)
		// As in octavia-lib's dictionary: the first of those that use it.
		var users []document
		if err := decode(pool["listeners"], &users); err != nil {
			return nil, fmt.Errorf("read the listeners of pool %s: %w", pool.text("id"), err)
		}
		if len(users) > 0 {
			pool.set("listener_id", users[0].text("id"))
		}
		pool.rename("pool_id")
	}
	return pools, nil
}

// flavor returns the metadata of a flavor's profile; nil without a flavor.
func (a *API) flavor(ctx context.Context, id string) (map[string]any, error) {
	if id == "" {
		return nil, nil
	}
	flavor, err := show[document](ctx, a, "flavor", "flavors", id)
	if err != nil {
		return nil, err
	}
	profile, err := show[document](ctx, a, "flavorprofile", "flavorprofiles", flavor.text("flavor_profile_id"))
	if err != nil {
		return nil, err
	}
	var metadata map[string]any
	if err := json.Unmarshal([]byte(profile.text("flavor_data")), &metadata); err != nil {
		return nil, fmt.Errorf("read the metadata of flavor %s: %w", id, err)
	}
	return metadata, nil
}

func (a *API) documents(ctx context.Context, key string, query url.Values, path ...string) ([]document, error) {
	return list(ctx, a, func(d document) string { return d.text("id") }, key, query, path...)
}

// document is an object as the REST API shows it.
type document map[string]json.RawMessage

// text returns an attribute that is a text; "" when it is missing or null.
func (d document) text(key string) string {
	var text string
	if err := json.Unmarshal(d[key], &text); err != nil {
		return ""
	}
	return text
}

func (d document) set(key string, value any) {
	encoded, err := json.Marshal(value)
	if err != nil {
		panic(err) // what was decoded from JSON can be encoded
	}
	d[key] = encoded
}

// rename gives the id the name that it has in octavia-lib's dictionary.
func (d document) rename(key string) {
	d[key] = d["id"]
	delete(d, "id")
}
