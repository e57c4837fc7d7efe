package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
)

func ref(kind model.Kind, id string) model.Ref { return model.Ref{Kind: kind, ID: id} }

const (
	newListener = `{"listener_id": "` + newID + `", "loadbalancer_id": "` + lbID + `", "protocol": "TCP", "protocol_port": 443}`
	newPool     = `{"pool_id": "` + newID + `", "loadbalancer_id": "` + lbID + `", "protocol": "TCP", "lb_algorithm": "LEAST_CONNECTIONS"}`
	newPolicy   = `{"l7policy_id": "` + newID + `", "listener_id": "` + listenerID + `", "action": "REJECT", "position": 1}`
	newRule     = `{"l7rule_id": "` + newID + `", "type": "PATH", "compare_type": "REGEX", "value": "/shop"}`
	newMonitor  = `{"healthmonitor_id": "` + newID + `", "pool_id": "` + poolID + `", "type": "HTTP", "delay": 5, "timeout": 3, "max_retries": 3,
		"http_version": 1.1, "domain_name": "www.example.org", "expected_codes": "200-204"}`
	newMember = `{"member_id": "` + newID + `", "pool_id": "` + poolID + `", "address": "2001:db8::1", "protocol_port": 80,
		"monitor_address": "192.0.2.9", "monitor_port": 8081}`
)

// TestAccepted makes every call that this driver takes, and looks for the intent in the store.
func TestAccepted(t *testing.T) {
	tests := map[string]struct {
		method, target, body string
		want                 model.Intent
		action               string
	}{
		"load balancer create": {
			"POST", "/v1/loadbalancers", treeJSON,
			model.Intent{Op: model.OpCreate, Object: ref(model.KindLoadBalancer, lbID)},
			"loadbalancer.create",
		},
		"load balancer update": {
			"PUT", "/v1/loadbalancers/" + lbID, `{"loadbalancer_id": "` + lbID + `", "name": null, "admin_state_up": false}`,
			model.Intent{Op: model.OpUpdate, Object: ref(model.KindLoadBalancer, lbID)},
			"loadbalancer.update",
		},
		"load balancer without QoS and groups": {
			"PUT", "/v1/loadbalancers/" + lbID, `{"loadbalancer_id": "` + lbID + `", "vip_qos_policy_id": null, "vip_sg_ids": []}`,
			model.Intent{Op: model.OpUpdate, Object: ref(model.KindLoadBalancer, lbID)},
			"loadbalancer.update",
		},
		"load balancer delete": {
			"DELETE", "/v1/loadbalancers/" + lbID, "",
			model.Intent{Op: model.OpDelete, Object: ref(model.KindLoadBalancer, lbID)},
			"loadbalancer.delete",
		},
		"load balancer cascade": {
			"DELETE", "/v1/loadbalancers/" + lbID + "?cascade=true", "",
			model.Intent{Op: model.OpDelete, Object: ref(model.KindLoadBalancer, lbID), Cascade: true},
			"loadbalancer.delete",
		},
		"failover": {
			"POST", "/v1/loadbalancers/" + lbID + "/failover", "{}",
			model.Intent{Op: model.OpFailover, Object: ref(model.KindLoadBalancer, lbID)},
			"loadbalancer.failover",
		},
		"failover without a body": {
			"POST", "/v1/loadbalancers/" + lbID + "/failover", "",
			model.Intent{Op: model.OpFailover, Object: ref(model.KindLoadBalancer, lbID)},
			"loadbalancer.failover",
		},
		"listener create": {
			"POST", "/v1/listeners", newListener,
			model.Intent{Op: model.OpCreate, Object: ref(model.KindListener, newID)},
			"listener.create",
		},
		"listener update": {
			"PUT", "/v1/listeners/" + listenerID, `{"listener_id": "` + listenerID + `", "default_pool_id": null}`,
			model.Intent{Op: model.OpUpdate, Object: ref(model.KindListener, listenerID)},
			"listener.update",
		},
		"listener delete": {
			"DELETE", "/v1/listeners/" + listenerID + "?loadbalancer_id=" + lbID, "",
			model.Intent{Op: model.OpDelete, Object: ref(model.KindListener, listenerID)},
			"listener.delete",
		},
		"listener delete without a hint": {
			"DELETE", "/v1/listeners/" + listenerID, "",
			model.Intent{Op: model.OpDelete, Object: ref(model.KindListener, listenerID)},
			"listener.delete",
		},
		"pool create": {
			"POST", "/v1/pools", newPool,
			model.Intent{Op: model.OpCreate, Object: ref(model.KindPool, newID)},
			"pool.create",
		},
		"pool update": {
			"PUT", "/v1/pools/" + poolID, `{"lb_algorithm": "LEAST_CONNECTIONS"}`,
			model.Intent{Op: model.OpUpdate, Object: ref(model.KindPool, poolID)},
			"pool.update",
		},
		"pool delete": {
			"DELETE", "/v1/pools/" + poolID, "",
			model.Intent{Op: model.OpDelete, Object: ref(model.KindPool, poolID)},
			"pool.delete",
		},
		"member create": {
			"POST", "/v1/pools/" + poolID + "/members", newMember,
			model.Intent{Op: model.OpCreate, Object: ref(model.KindMember, newID), ParentID: poolID},
			"member.create",
		},
		"member update": {
			"PUT", "/v1/pools/" + poolID + "/members/" + memberID, `{"weight": 256, "monitor_address": null, "monitor_port": 8081, "pool_id": "` + poolID + `"}`,
			model.Intent{Op: model.OpUpdate, Object: ref(model.KindMember, memberID), ParentID: poolID},
			"member.update",
		},
		"member delete": {
			"DELETE", "/v1/pools/" + poolID + "/members/" + memberID, "",
			model.Intent{Op: model.OpDelete, Object: ref(model.KindMember, memberID), ParentID: poolID},
			"member.delete",
		},
		"batch": {
			"PUT", "/v1/pools/" + poolID + "/members", `{"members": [` + newMember + `]}`,
			model.Intent{Op: model.OpBatchUpdate, Object: ref(model.KindPool, poolID), MemberIDs: []string{newID}},
			"member.batch_update",
		},
		"batch of none": {
			"PUT", "/v1/pools/" + poolID + "/members", `{"members": []}`,
			model.Intent{Op: model.OpBatchUpdate, Object: ref(model.KindPool, poolID)},
			"member.batch_update",
		},
		"health monitor create": {
			"POST", "/v1/healthmonitors", newMonitor,
			model.Intent{Op: model.OpCreate, Object: ref(model.KindHealthMonitor, newID), ParentID: poolID},
			"healthmonitor.create",
		},
		"health monitor update": {
			"PUT", "/v1/healthmonitors/" + monitorID, `{"pool_id": "` + poolID + `", "type": "PING", "delay": 5, "timeout": 50, "max_retries": 10,
				"max_retries_down": 1}`,
			model.Intent{Op: model.OpUpdate, Object: ref(model.KindHealthMonitor, monitorID), ParentID: poolID},
			"healthmonitor.update",
		},
		// What was refused when it was to be made can be there all the same, as after a change of drivers.
		"health monitor delete": {
			"DELETE", "/v1/healthmonitors/" + monitorID + "?pool_id=" + poolID, "",
			model.Intent{Op: model.OpDelete, Object: ref(model.KindHealthMonitor, monitorID), ParentID: poolID},
			"healthmonitor.delete",
		},
		"policy create": {
			"POST", "/v1/l7policies", newPolicy,
			model.Intent{Op: model.OpCreate, Object: ref(model.KindL7Policy, newID), ParentID: listenerID},
			"l7policy.create",
		},
		"policy update": {
			"PUT", "/v1/l7policies/" + policyID, `{"listener_id": "` + listenerID + `", "admin_state_up": false, "position": 7}`,
			model.Intent{Op: model.OpUpdate, Object: ref(model.KindL7Policy, policyID), ParentID: listenerID},
			"l7policy.update",
		},
		"rule create": {
			"POST", "/v1/l7policies/" + policyID + "/rules", newRule,
			model.Intent{Op: model.OpCreate, Object: ref(model.KindL7Rule, newID), ParentID: policyID},
			"l7rule.create",
		},
		"rule update": {
			"PUT", "/v1/l7policies/" + policyID + "/rules/" + ruleID, `{"type": "PATH", "compare_type": "STARTS_WITH", "value": "/"}`,
			model.Intent{Op: model.OpUpdate, Object: ref(model.KindL7Rule, ruleID), ParentID: policyID},
			"l7rule.update",
		},
		"policy delete": {
			"DELETE", "/v1/l7policies/" + policyID + "?listener_id=" + listenerID, "",
			model.Intent{Op: model.OpDelete, Object: ref(model.KindL7Policy, policyID), ParentID: listenerID},
			"l7policy.delete",
		},
		"rule delete": {
			"DELETE", "/v1/l7policies/" + policyID + "/rules/" + ruleID, "",
			model.Intent{Op: model.OpDelete, Object: ref(model.KindL7Rule, ruleID), ParentID: policyID},
			"l7rule.delete",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.save(withUnsupported)
			got := h.call(test.method, test.target, test.body)
			intent := h.accepted(got)

			want := test.want
			want.ID, want.LoadBalancerID, want.RequestID, want.CreatedAt = intent.ID, lbID, requestID, clock
			assert.Equal(t, want, intent)
			assert.EqualValues(t, 1, h.woken.Load())
			assert.Equal(t, requestID, got.Header.Get("X-Request-Id"))

			entries := h.audit(lbID)
			require.Len(t, entries, 1)
			object := ref(test.want.Object.Kind, test.want.Object.ID)
			assert.Equal(t, store.Audit{
				ID: entries[0].ID, At: clock, RequestID: requestID, ProjectID: "project", UserID: "user", LoadBalancerID: lbID,
				Action: test.action, ObjectKind: string(object.Kind), ObjectID: object.ID, Outcome: "accepted",
			}, entries[0])
		})
	}
}

// withUnsupported puts things into the stored tree that the driver refuses to make: they must not be in anybody's way.
func withUnsupported(lb *model.LoadBalancer) {
	lb.Listeners[0].L7Policies = []model.L7Policy{{
		ID: policyID, ListenerID: listenerID, AdminStateUp: true, Action: model.L7ActionReject,
		Rules: []model.L7Rule{{
			ID: ruleID, L7PolicyID: policyID, Type: model.L7TypeSSLConnHasCert, CompareType: model.L7CompareEqualTo, Value: "True",
		}},
	}}
	lb.Pools[0].HealthMonitor = &model.HealthMonitor{ID: monitorID, PoolID: poolID}
	lb.Listeners = append(lb.Listeners, model.Listener{ID: otherID, LoadBalancerID: lbID, Protocol: "SCTP", ProtocolPort: 1})
}

// TestUnknownPolicy changes policies and rules that the store does not have, as after a restart with an empty database:
// what the calls say is judged, what is not known of the policy is not.
func TestUnknownPolicy(t *testing.T) {
	const policy, rule = "/v1/l7policies/" + policyID, "/v1/l7policies/" + policyID + "/rules/" + ruleID
	known := map[model.Ref]string{ref(model.KindL7Policy, policyID): lbID, ref(model.KindL7Rule, ruleID): lbID}
	for name, test := range map[string]struct{ target, body, field string }{
		"name":             {policy, `{"listener_id": "` + listenerID + `", "name": "x"}`, ""},
		"without listener": {policy, `{"name": "x", "position": 3}`, ""},
		"unknown listener": {policy, `{"listener_id": "` + otherID + `", "redirect_url": "https://u.example"}`, ""},
		"action":           {policy, `{"listener_id": "` + listenerID + `", "action": "REJECT"}`, ""},
		"bad action":       {policy, `{"listener_id": "` + listenerID + `", "action": "EXPLODE"}`, "action"},
		"bad code":         {policy, `{"action": "REDIRECT_TO_URL", "redirect_http_code": 200}`, "redirect_http_code"},
		"rule":             {rule, `{"value": "x"}`, ""},
		"bad rule":         {rule, `{"type": "COLOUR"}`, "type"},
		"bad regex":        {rule, `{"compare_type": "REGEX", "value": "("}`, "value"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, withOctavia(&octavia{known: known}))
			h.save()
			got := h.call("PUT", test.target, test.body)
			if test.field == "" {
				h.accepted(got)
				return
			}
			assert.Contains(t, got.Body, `"field":"`+test.field+`"`)
			assert.Contains(t, []int{400, 501}, got.Status)
		})
	}
}

// TestAcceptedDoesNotTouchTheTree checks that a call changes nothing but the intents: the tree is Octavia's to say.
func TestAcceptedDoesNotTouchTheTree(t *testing.T) {
	h := newHarness(t)
	h.save()
	h.accepted(h.call("PUT", "/v1/pools/"+poolID+"/members", `{"members": []}`))
	stored, err := h.store.LoadBalancer(context.Background(), lbID)
	require.NoError(t, err)
	want, _ := json.Marshal(tree(t))
	got, _ := json.Marshal(stored.Tree)
	assert.JSONEq(t, string(want), string(got))
	assert.EqualValues(t, 1, stored.Revision)
}

// TestWithoutTree makes calls for a load balancer that was accepted and not read yet: the object alone is judged.
func TestWithoutTree(t *testing.T) {
	h := newHarness(t)
	_, err := h.store.AddIntent(context.Background(), model.Intent{
		LoadBalancerID: lbID, Op: model.OpCreate,
		Object: ref(model.KindLoadBalancer, lbID),
	}, store.Audit{})
	require.NoError(t, err)

	h.accepted(h.call("POST", "/v1/listeners", `{"listener_id": "`+newID+`", "loadbalancer_id": "`+lbID+`",
		"protocol": "HTTP", "protocol_port": 80, "default_pool_id": "`+poolID+`"}`))
	h.accepted(h.call("PUT", "/v1/listeners/"+listenerID, `{"loadbalancer_id": "`+lbID+`", "name": "new"}`))
	h.accepted(h.call("PUT", "/v1/loadbalancers/"+lbID, `{"name": "new"}`))
	h.refused(h.call("PUT", "/v1/listeners/"+listenerID, `{"loadbalancer_id": "`+lbID+`", "insert_headers": {"X-Real-IP": "true"}}`),
		http.StatusNotImplemented, "unsupported_option", "insert_headers",
		"The header X-Real-IP cannot be inserted; insert_headers can have X-Forwarded-For, X-Forwarded-Port, X-Forwarded-Proto, "+
			"X-SSL-Client-Verify, X-SSL-Client-Has-Cert, X-SSL-Client-DN, X-SSL-Client-CN, X-SSL-Issuer, X-SSL-Client-SHA1, "+
			"X-SSL-Client-Not-Before and X-SSL-Client-Not-After.")
}

// TestFind looks where the load balancer of a call is found.
func TestFind(t *testing.T) {
	member := "/v1/pools/" + otherID + "/members/" + newID
	t.Run("Octavia knows", func(t *testing.T) {
		o := &octavia{known: map[model.Ref]string{
			ref(model.KindMember, newID): lbID, ref(model.KindLoadBalancer, lbID): lbID,
		}}
		h := newHarness(t, withOctavia(o))
		h.accepted(h.call("PUT", member, `{"weight": 3}`))
		assert.Equal(t, []model.Ref{ref(model.KindMember, newID), ref(model.KindLoadBalancer, lbID)}, o.asked)
	})
	t.Run("the store knows and Octavia is not asked", func(t *testing.T) {
		o := &octavia{}
		h := newHarness(t, withOctavia(o))
		h.save()
		h.accepted(h.call("DELETE", "/v1/pools/"+poolID+"/members/"+memberID, ""))
		assert.Empty(t, o.asked)
	})
	t.Run("the store knows the parent", func(t *testing.T) {
		h := newHarness(t)
		h.save()
		h.accepted(h.call("DELETE", "/v1/pools/"+poolID+"/members/"+newID, ""))
	})
	t.Run("nobody knows", func(t *testing.T) {
		h := newHarness(t, withOctavia(&octavia{}))
		h.refused(h.call("DELETE", member, ""), http.StatusNotFound, "not_found", "",
			"The member "+newID+" is not known, neither to the controller nor to Octavia.")
		h.refused(h.call("DELETE", "/v1/loadbalancers/"+newID, ""), http.StatusNotFound, "not_found", "",
			"The loadbalancer "+newID+" is not known, neither to the controller nor to Octavia.")
	})
	t.Run("nobody to ask", func(t *testing.T) {
		h := newHarness(t)
		h.refused(h.call("PUT", member, `{"weight": 3}`), http.StatusNotFound, "not_found", "",
			"The member "+newID+" is not known, neither to the controller nor to Octavia.")
	})
	t.Run("Octavia is silent", func(t *testing.T) {
		h := newHarness(t, withOctavia(&octavia{err: assert.AnError}))
		refusal := h.refused(h.call("PUT", member, `{"weight": 3}`), http.StatusServiceUnavailable, "unavailable", "",
			"The controller cannot read from Octavia; please try again.")
		assert.Equal(t, assert.AnError.Error(), refusal.Detail)
	})
}
