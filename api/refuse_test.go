package api_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/api"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

func withOctavia(o api.Resolver) func(*api.Options) {
	return func(options *api.Options) { options.Octavia = o }
}

// TestRefused has every way to be refused, with the exact sentence that the user reads.
func TestRefused(t *testing.T) {
	const idInURL = " in the URL must be a UUID."
	tests := map[string]struct {
		method, target, body string
		status               int
		code                 api.Code
		field, message       string
	}{
		"SCTP": {
			"POST", "/v1/listeners", strings.Replace(newListener, `"TCP"`, `"SCTP"`, 1), 501, "unsupported_option", "protocol",
			"Envoy has no SCTP; use a TCP listener, or the provider amphora for SCTP.",
		},
		"several": {
			"PUT", "/v1/listeners/" + listenerID, `{"insert_headers": {"X-Forwarded-For": "true", "X-SSL-Issuer": "true", "X-Real-IP": "true"}, "timeout_client_data": -1}`,
			501, "unsupported_option", "insert_headers",
			"The header X-Real-IP cannot be inserted; insert_headers can have X-Forwarded-For, X-Forwarded-Port and X-Forwarded-Proto. " +
				"A listener of protocol HTTP sees no certificates of clients; use a TERMINATED_HTTPS listener to insert X-SSL-Issuer.",
		},
		"many": {
			"POST", "/v1/pools", strings.Replace(newPool, `"TCP"`, `"SCTP",
				"session_persistence": {"type": "HTTP_COOKIE", "persistence_timeout": 60, "persistence_granularity": "255.255.255.0"}`, 1),
			501, "unsupported_option", "protocol",
			"Envoy has no SCTP; use a TCP pool, or the provider amphora for SCTP. " +
				"A pool of protocol SCTP sees no cookies; use session persistence SOURCE_IP, or an HTTP pool. " +
				"A persistence_timeout is not supported: a client stays on its member for good; create the pool without it. (And 1 more.)",
		},
		"in a tree": {
			"POST", "/v1/loadbalancers", strings.Replace(treeJSON, `"protocol_port": 8080`, `"protocol_port": 8080, "vnic_type": "direct"`, 1),
			501, "unsupported_option", "pools[0].members[0].vnic_type",
			"pools[0].members[0].vnic_type: SR-IOV ports of members are not supported; create the member without request_sriov.",
		},
		"QoS update": {
			"PUT", "/v1/loadbalancers/" + lbID, `{"name": "n", "vip_qos_policy_id": "` + newID + `"}`, 501, "unsupported_option", "vip_qos_policy_id",
			"QoS policies on the VIP are not supported yet, nothing would apply them; leave the load balancer, and a VIP port of your own, " +
				"without one.",
		},
		"security group update": {
			"PUT", "/v1/loadbalancers/" + lbID, `{"vip_sg_ids": ["` + newID + `"]}`, 501, "unsupported_option", "vip_sg_ids",
			"Security groups on the VIP are not supported yet, nothing would enforce them; use allowed_cidrs of the listeners instead.",
		},
		"monitor port update": {
			"PUT", "/v1/pools/" + poolID + "/members/" + memberID, `{"monitor_port": 65536}`, 400, "invalid", "monitor_port",
			"monitor_port must be between 1 and 65535, not 65536.",
		},
		"monitor address in a batch": {
			"PUT", "/v1/pools/" + poolID + "/members", `{"members": [{"member_id": "` + memberID + `", "address": "192.0.2.7", "protocol_port": 80,
				"monitor_address": "web1"}]}`,
			400, "invalid", "members[0].monitor_address", `members[0].monitor_address: monitor_address must be an IPv4 or IPv6 address, not "web1".`,
		},
		"monitor create": {
			"POST", "/v1/healthmonitors", strings.Replace(newMonitor, `"timeout": 3`, `"timeout": 0`, 1), 501, "unsupported_option", "timeout",
			"A timeout of 0 seconds is not supported, no member could answer in time; use at least 1.",
		},
		"monitor update": {
			"PUT", "/v1/healthmonitors/" + monitorID, `{"pool_id": "` + poolID + `", "type": "HTTP", "delay": 5, "timeout": 3, "max_retries": 3,
				"max_retries_down": 3, "expected_codes": "204-200"}`, 501, "unsupported_option", "expected_codes",
			`The expected_codes "204-200" are not supported: use codes as 200, lists as 200,202 and ranges as 200-204.`,
		},
		"policy create": {
			"POST", "/v1/l7policies", strings.Replace(newPolicy, `"REJECT"`, `"REDIRECT_TO_POOL", "redirect_pool_id": "`+otherID+`"`, 1),
			400, "invalid", "redirect_pool_id", "The load balancer has no pool " + otherID + ".",
		},
		"policy update": {
			"PUT", "/v1/l7policies/" + policyID, `{"listener_id": "` + listenerID + `", "action": "REDIRECT_TO_URL", "redirect_url": "/x"}`,
			400, "invalid", "redirect_url", `redirect_url must begin with http:// or https:// and a host, not "/x".`,
		},
		"rule create": {
			"POST", "/v1/l7policies/" + policyID + "/rules", strings.Replace(newRule, "/shop", "^/(?!shop)", 1),
			501, "unsupported_option", "value", `The regular expression "^/(?!shop)" cannot be used: a negative lookahead ("(?!") ` +
				"needs backtracking or PCRE, which RE2, Envoy's engine, does not have; use a second rule, inverted where it must " +
				"not match: all rules of a policy must hold.",
		},
		"rule update": {
			"PUT", "/v1/l7policies/" + policyID + "/rules/" + ruleID, `{"value": "True"}`,
			501, "unsupported_option", "type", "A listener of protocol HTTP sees no certificates of clients; use a TERMINATED_HTTPS " +
				"listener for rules of type SSL_CONN_HAS_CERT.",
		},
		"failover flavor": {
			"POST", "/v1/loadbalancers/" + lbID + "/failover", `{"flavor": {"loadbalancer_topology": "ACTIVE_STANDBY"}}`,
			501, "unsupported_option", "flavor.loadbalancer_topology",
			"flavor.loadbalancer_topology: The topology ACTIVE_STANDBY is not supported yet; use a flavor with loadbalancer_topology SINGLE.",
		},
		"batch": {
			"PUT", "/v1/pools/" + poolID + "/members", `{"members": [` + newMember + `, {"member_id": "` + otherID + `", "address": "192.0.2.7", "protocol_port": 80, "weight": 300}]}`,
			400, "invalid", "members[1].weight", "members[1].weight: weight must be between 0 and 256, not 300.",
		},
		"batch with a bad id": {
			"PUT", "/v1/pools/" + poolID + "/members", `{"members": [{"member_id": "x", "address": "192.0.2.7", "protocol_port": 80}]}`,
			400, "invalid", "members[0].member_id", `members[0].member_id: member_id must be a UUID, not "x".`,
		},
		"batch without members": {
			"PUT", "/v1/pools/" + poolID + "/members", `{}`, 400, "invalid", "members",
			"members must be given, as the list of all members that the pool is to have.",
		},
		"port taken": {
			"POST", "/v1/listeners", strings.Replace(newListener, "443", "80", 1), 400, "invalid", "protocol_port",
			"Port 80 is taken by the listener " + listenerID + ", which is HTTP over the same transport.",
		},
		"member taken": {
			"POST", "/v1/pools/" + poolID + "/members", `{"member_id": "` + newID + `", "address": "192.0.2.10", "protocol_port": 8080}`,
			400, "invalid", "address", "192.0.2.10:8080 is in the pool already, as the member " + memberID + ".",
		},
		"no such pool": {
			"PUT", "/v1/listeners/" + listenerID, `{"default_pool_id": "` + newID + `"}`, 400, "invalid", "default_pool_id",
			"The load balancer has no pool " + newID + ".",
		},
		"pool for a listener": {
			"POST", "/v1/pools", strings.Replace(newPool, `"TCP"`, `"TCP", "listener_id": "`+otherID+`"`, 1), 400, "invalid", "listener_id",
			"A listener of protocol HTTP cannot have a pool of protocol TCP; it can have HTTP, PROXY and PROXYV2.",
		},
		"unknown field": {
			"POST", "/v1/pools/" + poolID + "/members", `{"member_id": "` + newID + `", "wieght": 1}`, 400, "invalid", "wieght",
			"wieght: unknown field, did you mean weight?",
		},
		"unknown field in a change": {
			"PUT", "/v1/pools/" + poolID, `{"lb_algorithn": "ROUND_ROBIN"}`, 400, "invalid", "lb_algorithn",
			"lb_algorithn: unknown field, did you mean lb_algorithm?",
		},
		"wrong type": {
			"POST", "/v1/loadbalancers", strings.Replace(treeJSON, `"protocol_port": 8080`, `"protocol_port": "8080"`, 1),
			400, "invalid", "pools[0].members[0].protocol_port",
			"pools[0].members[0].protocol_port: must be a whole number, not a string",
		},
		"no JSON":     {"POST", "/v1/listeners", "{", 400, "invalid", "", "the body is not valid JSON: line 1, column 1"},
		"two objects": {"POST", "/v1/listeners", "{}{}", 400, "invalid", "", "the body is not valid JSON: line 1, column 3"},
		"no id":       {"POST", "/v1/listeners", `{"loadbalancer_id": "` + lbID + `"}`, 400, "invalid", "listener_id", "listener_id must be given, as a UUID."},
		"no parent":   {"POST", "/v1/listeners", `{"listener_id": "` + newID + `"}`, 400, "invalid", "loadbalancer_id", "loadbalancer_id must be given, as a UUID."},
		"no pool id":  {"POST", "/v1/healthmonitors", `{"healthmonitor_id": "` + newID + `"}`, 400, "invalid", "pool_id", "pool_id must be given, as a UUID."},
		"no LB id":    {"POST", "/v1/loadbalancers", `{}`, 400, "invalid", "loadbalancer_id", "loadbalancer_id must be given, as a UUID."},
		"ids differ":  {"PUT", "/v1/listeners/" + listenerID, `{"listener_id": "` + newID + `"}`, 400, "invalid", "listener_id", "The listener_id in the body is not that in the URL."},
		"pools differ": {
			"POST", "/v1/pools/" + poolID + "/members", `{"member_id": "` + newID + `", "pool_id": "` + newID + `"}`, 400, "invalid", "pool_id",
			"The pool_id in the body is not that in the URL.",
		},
		"LB id":       {"PUT", "/v1/loadbalancers/x", "{}", 400, "invalid", "loadbalancer_id", "The loadbalancer_id" + idInURL},
		"listener id": {"DELETE", "/v1/listeners/x", "", 400, "invalid", "listener_id", "The listener_id" + idInURL},
		"pool id":     {"DELETE", "/v1/pools/x", "", 400, "invalid", "pool_id", "The pool_id" + idInURL},
		"member id":   {"DELETE", "/v1/pools/" + poolID + "/members/x", "", 400, "invalid", "member_id", "The member_id" + idInURL},
		"monitor id":  {"DELETE", "/v1/healthmonitors/x", "", 400, "invalid", "healthmonitor_id", "The healthmonitor_id" + idInURL},
		"policy id":   {"DELETE", "/v1/l7policies/x", "", 400, "invalid", "l7policy_id", "The l7policy_id" + idInURL},
		"rule id":     {"DELETE", "/v1/l7policies/" + policyID + "/rules/x", "", 400, "invalid", "l7rule_id", "The l7rule_id" + idInURL},
		"status id":   {"GET", "/v1/status/x", "", 400, "invalid", "loadbalancer_id", "The loadbalancer_id" + idInURL},
		"hint":        {"DELETE", "/v1/pools/" + poolID + "?loadbalancer_id=x", "", 400, "invalid", "loadbalancer_id", "The loadbalancer_id in the query must be a UUID."},
		"cascade":     {"DELETE", "/v1/loadbalancers/" + lbID + "?cascade=maybe", "", 400, "invalid", "cascade", "cascade must be true or false."},
		"no route":    {"POST", "/v1/listener", "{}", 404, "not_found", "", "There is no /v1/listener in this API."},
		"slash":       {"POST", "/v1/listeners/", "{}", 404, "not_found", "", "There is no /v1/listeners/ in this API."},
		"no method":   {"PATCH", "/v1/listeners/" + listenerID, "{}", 405, "invalid", "", "/v1/listeners/" + listenerID + " cannot be called with PATCH."},
		"no status":   {"GET", "/v1/status", "", 501, "not_implemented", "", "This controller does not report its status."},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.save(withUnsupported, func(lb *model.LoadBalancer) {
				lb.Listeners[1].Protocol, lb.Listeners[1].ProtocolPort = "HTTP", 81
			})
			h.refused(h.call(test.method, test.target, test.body), test.status, test.code, test.field, test.message)
			assert.Empty(t, h.intents())
			assert.Zero(t, h.woken.Load())
		})
	}
}

// TestErrorBody has the whole answer of each kind of refusal: message is what the user of Octavia's API reads after "Provider
// 'envoy' does not support a requested option: ", detail what Octavia logs.
func TestErrorBody(t *testing.T) {
	tests := map[string]struct {
		method, target, body string
		status               int
		want                 string
	}{
		"not supported": {
			"POST", "/v1/listeners", strings.Replace(newListener, `"TCP"`, `"SCTP"`, 1), 501,
			`{"error": {"code": "unsupported_option", "field": "protocol",
				"message": "Envoy has no SCTP; use a TCP listener, or the provider amphora for SCTP.",
				"detail": "protocol: Envoy has no SCTP; use a TCP listener, or the provider amphora for SCTP."}}`,
		},
		"wrong": {
			"PUT", "/v1/pools/" + poolID + "/members/" + memberID, `{"weight": 300}`, 400,
			`{"error": {"code": "invalid", "field": "weight", "message": "weight must be between 0 and 256, not 300.",
				"detail": "weight: weight must be between 0 and 256, not 300."}}`,
		},
		"both": {
			"PUT", "/v1/pools/" + poolID + "/members/" + memberID, `{"weight": 300, "vnic_type": "direct"}`, 501,
			`{"error": {"code": "unsupported_option", "field": "vnic_type",
				"message": "SR-IOV ports of members are not supported; create the member without request_sriov.",
				"detail": "weight: weight must be between 0 and 256, not 300.; vnic_type: SR-IOV ports of members are not supported; create the member without request_sriov."}}`,
		},
		"of another type": {
			"PUT", "/v1/pools/" + poolID + "/members/" + memberID, `{"weight": "3"}`, 400,
			`{"error": {"code": "invalid", "field": "weight", "message": "weight: must be a whole number, not a string", "detail": ""}}`,
		},
		"unknown": {
			"DELETE", "/v1/pools/" + newID, "", 404,
			`{"error": {"code": "not_found", "field": "", "message": "The pool ` + newID + ` is not known, neither to the controller nor to Octavia.", "detail": ""}}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.save()
			got := h.call(test.method, test.target, test.body)
			assert.Equal(t, test.status, got.Status)
			assert.JSONEq(t, test.want, got.Body)
		})
	}
}

func TestRefusalIsAudited(t *testing.T) {
	h := newHarness(t)
	h.save()
	h.call("POST", "/v1/listeners", strings.Replace(newListener, `"TCP"`, `"SCTP"`, 1))
	entries := h.audit(lbID)
	require.Len(t, entries, 1)
	assert.Equal(t, "refused", entries[0].Outcome)
	assert.Equal(t, "listener.create", entries[0].Action)
	assert.Equal(t, newID, entries[0].ObjectID)
	assert.Equal(t, requestID, entries[0].RequestID)
	assert.Equal(t, "unsupported_option: Envoy has no SCTP; use a TCP listener, or the provider amphora for SCTP. "+
		"(protocol: Envoy has no SCTP; use a TCP listener, or the provider amphora for SCTP.)", entries[0].Message)
}

// TestSecretsStayOut sends a key in the wrong place and looks for it in answer, log and audit trail.
func TestSecretsStayOut(t *testing.T) {
	const secret = "MIIEvQIBADANBgkq"
	h := newHarness(t)
	h.save()
	for _, body := range []string{
		`{"listener_id": "` + newID + `", "loadbalancer_id": "` + lbID + `", "default_tls_container_data": {"private_key": ["` + secret + `"]}}`,
		`{"listener_id": "` + newID + `", "loadbalancer_id": "` + lbID + `", "default_tls_container_data": {"` + secret + `": 1}}`,
		`{"listener_id": "` + newID + `", "loadbalancer_id": "` + lbID + `", "protocol": "TERMINATED_HTTPS", "protocol_port": 443,
			"default_tls_container_data": {"private_key": "` + secret + `"}}`,
		`{"private_key": ` + secret + `}`,
	} {
		got := h.call("POST", "/v1/listeners", body)
		assert.GreaterOrEqual(t, got.Status, 400)
		assert.NotContains(t, got.Body, secret)
	}
	assert.NotContains(t, h.logs.String(), secret)
	for _, entry := range append(h.audit(lbID), h.audit("")...) {
		assert.NotContains(t, entry.Message, secret)
	}
}

func TestContentType(t *testing.T) {
	h := newHarness(t)
	h.save()
	for contentType, want := range map[string]int{
		"application/json": 202, "application/json; charset=UTF-8": 202, "application/json; charset=latin1": 400,
		"text/plain": 400, "": 400, "application/json; =": 400,
	} {
		request := newRequest("POST", "/v1/listeners", newListener)
		request.Header.Set("Content-Type", contentType)
		got := h.do(request)
		if want == 202 {
			assert.Equal(t, want, got.Status, contentType)
			continue
		}
		h.refused(got, want, "invalid", "", "The Content-Type must be application/json, in UTF-8.")
	}
}

func TestTooLarge(t *testing.T) {
	h := newHarness(t)
	h.refused(h.call("POST", "/v1/listeners", `{"name": "`+strings.Repeat("x", 8<<20)+`"}`),
		http.StatusRequestEntityTooLarge, "too_large", "", "The body is larger than the limit of 8 MiB.")
	h = newHarness(t, func(o *api.Options) { o.Limits.Body = 10 })
	h.refused(h.call("POST", "/v1/listeners", newListener),
		http.StatusRequestEntityTooLarge, "too_large", "", "The body is larger than the limit of 10 bytes.")
}

func TestStoreFails(t *testing.T) {
	broken := errors.New("database is locked")
	const message = "The controller cannot reach its database; please try again."
	for name, failing := range map[string]failingStore{"reads": {reads: broken}, "commit": {intents: broken}} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, func(o *api.Options) { failing.Store = o.Store; o.Store = failing })
			h.save()
			refusal := h.refused(h.call("DELETE", "/v1/pools/"+poolID, ""), http.StatusServiceUnavailable, "unavailable", "", message)
			assert.Equal(t, "database is locked", refusal.Detail)
			assert.Zero(t, h.woken.Load())
			assert.Empty(t, h.intents())
		})
	}
	t.Run("audit of a refusal", func(t *testing.T) {
		h := newHarness(t, func(o *api.Options) { o.Store = failingStore{Store: o.Store, audits: broken} })
		h.save()
		h.refused(h.call("POST", "/v1/listeners", `{}`), 400, "invalid", "listener_id", "listener_id must be given, as a UUID.")
		assert.Contains(t, h.logs.String(), "a refused call is not in the audit trail")
	})
}
