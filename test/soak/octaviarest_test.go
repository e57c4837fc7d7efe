package soak

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// ServeHTTP is as much of Octavia's REST API as the controller asks: lists and objects, with their provisioning status.
func (o *octavia) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	path := strings.Split(strings.TrimPrefix(r.URL.Path, "/v2.0/lbaas/"), "/")
	query := r.URL.Query()
	var found []map[string]any
	for _, lb := range o.lbs {
		if lb.tree == nil {
			continue
		}
		switch {
		case len(path) == 4 || len(path) == 2:
			found = append(found, lb.objects(path[len(path)-2], "", path[len(path)-1])...)
		case len(path) == 3:
			found = append(found, lb.objects(path[2], path[1], "")...)
		case query.Get("loadbalancer_id") == "" || query.Get("loadbalancer_id") == lb.tree.ID:
			found = append(found, lb.objects(path[0], query.Get("listener_id"), "")...)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if len(path)%2 == 1 {
		_ = json.NewEncoder(w).Encode(map[string]any{path[len(path)-1]: found})
		return
	}
	if len(found) == 0 {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	name := strings.TrimSuffix(path[len(path)-2], "s")
	if name == "l7policie" {
		name = "l7policy"
	}
	_ = json.NewEncoder(w).Encode(map[string]any{name: found[0]})
}

// objects are those of a collection, below a parent or with an id if there is one.
func (r *record) objects(collection, parent, id string) []map[string]any {
	kind := map[string]model.Kind{
		"loadbalancers": model.KindLoadBalancer, "listeners": model.KindListener, "pools": model.KindPool, "members": model.KindMember,
		"healthmonitors": model.KindHealthMonitor, "l7policies": model.KindL7Policy, "rules": model.KindL7Rule,
	}[collection]
	var all []map[string]any
	add := func(is model.Ref, of string, more map[string]any) {
		if is.Kind != kind || parent != "" && of != parent || id != "" && is.ID != id {
			return
		}
		status := r.statuses[is]
		more["id"], more["provisioning_status"] = is.ID, status.provisioning
		more["updated_at"] = status.changed.UTC().Format("2006-01-02T15:04:05")
		all = append(all, more)
	}
	some := func(n int) []map[string]any { return make([]map[string]any, n) }
	add(model.Ref{Kind: model.KindLoadBalancer, ID: r.tree.ID}, "", map[string]any{"provider": "envoy"})
	for _, l := range r.tree.Listeners {
		add(model.Ref{Kind: model.KindListener, ID: l.ID}, r.tree.ID, map[string]any{"l7policies": some(len(l.L7Policies))})
		for _, p := range l.L7Policies {
			add(model.Ref{Kind: model.KindL7Policy, ID: p.ID}, l.ID, map[string]any{"rules": some(len(p.Rules))})
			for _, rule := range p.Rules {
				add(model.Ref{Kind: model.KindL7Rule, ID: rule.ID}, p.ID, map[string]any{})
			}
		}
	}
	for _, p := range r.tree.Pools {
		monitor := ""
		if p.HealthMonitor != nil {
			monitor = p.HealthMonitor.ID
			add(model.Ref{Kind: model.KindHealthMonitor, ID: monitor}, p.ID, map[string]any{})
		}
		add(model.Ref{Kind: model.KindPool, ID: p.ID}, r.tree.ID, map[string]any{"members": some(len(p.Members)), "healthmonitor_id": monitor})
		for _, m := range p.Members {
			add(model.Ref{Kind: model.KindMember, ID: m.ID}, p.ID, map[string]any{})
		}
	}
	return all
}
