package api_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/api"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
)

// FuzzDecode sends anything as the body of every kind of call: there is an answer, in JSON, and it is not a panic's.
func FuzzDecode(f *testing.F) {
	targets := []struct{ method, path string }{
		{"POST", "/v1/vip-ports"},
		{"POST", "/v1/loadbalancers"},
		{"PUT", "/v1/loadbalancers/" + lbID},
		{"POST", "/v1/loadbalancers/" + lbID + "/failover"},
		{"POST", "/v1/listeners"},
		{"PUT", "/v1/listeners/" + listenerID},
		{"POST", "/v1/pools"},
		{"PUT", "/v1/pools/" + poolID},
		{"POST", "/v1/pools/" + poolID + "/members"},
		{"PUT", "/v1/pools/" + poolID + "/members"},
		{"PUT", "/v1/pools/" + poolID + "/members/" + memberID},
		{"POST", "/v1/healthmonitors"},
		{"PUT", "/v1/healthmonitors/" + monitorID},
		{"POST", "/v1/l7policies"},
		{"PUT", "/v1/l7policies/" + policyID},
		{"POST", "/v1/l7policies/" + policyID + "/rules"},
		{"PUT", "/v1/l7policies/" + policyID + "/rules/" + ruleID},
		{"POST", "/v1/flavors/validate"},
		{"POST", "/v1/availability-zones/validate"},
	}
	for i := range targets {
		for _, seed := range []string{
			"", "{}", "null", treeJSON, newListener, newPool, newMember, vipRequest, `{"members": [` + newMember + `]}`,
			`{"session_persistence": {"type": "SOURCE_IP"}, "healthmonitor": {}, "listener_id": "` + listenerID + `"}`,
			`{"flavor": {"loadbalancer_topology": []}, "availability_zone": [1], "l7policies": [{"rules": [{}]}]}`,
		} {
			f.Add(i, []byte(seed))
		}
	}
	shared := storetest.Open(f, storetest.SQLite(f))
	f.Fuzz(func(t *testing.T, target int, body []byte) {
		if target < 0 {
			target = -(target + 1)
		}
		at := targets[target%len(targets)]
		h := &harness{t: t, store: shared, handler: api.New(api.Options{Store: readOnly{shared, tree(t)}})}
		got := h.call(at.method, at.path, string(body))
		if got.Status == http.StatusInternalServerError || got.Status == http.StatusServiceUnavailable {
			t.Fatalf("%s %s: %d %s", at.method, at.path, got.Status, got.Body)
		}
		if got.Status != http.StatusNoContent && !json.Valid([]byte(got.Body)) {
			t.Fatalf("%s %s: %d %q", at.method, at.path, got.Status, got.Body)
		}
	})
}

var _ api.Store = (*store.Store)(nil)
