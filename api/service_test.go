package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/api"
	"github.com/octavia-envoy/octavia-envoy/store"
)

func newRequest(method, target, body string) *http.Request {
	return httptest.NewRequest(method, target, strings.NewReader(body))
}

func TestHealth(t *testing.T) {
	var notReady error
	h := newHarness(t, func(o *api.Options) { o.Ready = func() error { return notReady } })
	got := h.call("GET", "/healthz", "")
	assert.Equal(t, http.StatusOK, got.Status)
	assert.JSONEq(t, `{"status": "up"}`, got.Body)
	got = h.call("GET", "/readyz", "")
	assert.Equal(t, http.StatusOK, got.Status)
	assert.JSONEq(t, `{"status": "ready"}`, got.Body)

	notReady = errors.Join(errors.New("the store is not loaded"), errors.New("no status socket"))
	got = h.call("GET", "/readyz", "")
	h.refused(got, http.StatusServiceUnavailable, "unavailable", "",
		"The controller is not ready: the store is not loaded; no status socket")
	assert.Contains(t, got.Body, `"reasons":["the store is not loaded","no status socket"]`)
	notReady = errors.New("starting")
	h.refused(h.call("GET", "/readyz", ""), http.StatusServiceUnavailable, "unavailable", "", "The controller is not ready: starting")
	assert.Equal(t, http.StatusOK, h.call("GET", "/healthz", "").Status)
}

func TestMetrics(t *testing.T) {
	h := newHarness(t, func(o *api.Options) { o.Registry = prometheus.NewRegistry() })
	h.save()
	h.call("DELETE", "/v1/pools/"+poolID, "")
	h.call("PATCH", "/v1/pools/"+poolID, "")
	h.call("GET", "/nonsense", "")
	got := h.call("GET", "/metrics", "")
	assert.Contains(t, got.Body, `octavia_envoy_api_requests_total{method="DELETE",route="/v1/pools/:pool_id",status="202"} 1`)
	assert.Contains(t, got.Body, `octavia_envoy_api_requests_total{method="other",route="unmatched",status="404"} 1`)
	assert.Contains(t, got.Body, `octavia_envoy_api_requests_total{method="other",route="unmatched",status="405"} 1`)
	assert.Contains(t, got.Body, `octavia_envoy_api_request_duration_seconds_count{method="DELETE",route="/v1/pools/:pool_id"} 1`)
	assert.NotContains(t, got.Body, poolID)
}

// TestSharedRegistry makes two APIs, as after a restart within a process.
func TestSharedRegistry(t *testing.T) {
	registry := prometheus.NewRegistry()
	share := func(o *api.Options) { o.Registry = registry }
	newHarness(t, share).call("GET", "/healthz", "")
	got := newHarness(t, share).call("GET", "/metrics", "")
	assert.Contains(t, got.Body, `octavia_envoy_api_requests_total{method="GET",route="/healthz",status="200"} 1`)
}

func TestRequestID(t *testing.T) {
	h := newHarness(t)
	for sent, want := range map[string]string{
		requestID: requestID, "": "req-", "a b": "req-", "x\"}": "req-", strings.Repeat("x", 65): "req-",
	} {
		request := newRequest("GET", "/healthz", "")
		request.Header.Set("X-Request-Id", sent)
		got := h.do(request).Header.Get("X-Request-Id")
		assert.True(t, strings.HasPrefix(got, want), got)
		if sent != requestID {
			assert.Len(t, got, len("req-")+36)
		}
	}
}

func TestLog(t *testing.T) {
	h := newHarness(t)
	h.save()
	h.call("DELETE", "/v1/pools/"+poolID, "")
	h.call("POST", "/v1/listeners", `{}`)
	var lines []map[string]any
	for scanner := bufio.NewScanner(h.logs); scanner.Scan(); {
		var line map[string]any
		require.NoError(t, json.Unmarshal(scanner.Bytes(), &line))
		lines = append(lines, line)
	}
	require.Len(t, lines, 2)
	for key, want := range map[string]any{
		"level": "INFO", "msg": "request", "method": "DELETE", "path": "/v1/pools/" + poolID, "status": 202.0, "lb": lbID,
		"request_id": requestID,
	} {
		assert.Equal(t, want, lines[0][key], key)
	}
	assert.Equal(t, "WARN", lines[1]["level"])
	assert.Equal(t, "listener_id must be given, as a UUID.", lines[1]["error"])
}

// TestPanic checks that a panic is answered and logged without its value.
func TestPanic(t *testing.T) {
	h := newHarness(t, func(o *api.Options) { o.VIPs = crashing{func() {}} })
	refusal := h.refused(h.call("POST", "/v1/vip-ports", vipRequest), http.StatusInternalServerError, "internal", "",
		"The controller has failed to handle the call.")
	assert.Equal(t, "see the controller's log", refusal.Detail)
	assert.Contains(t, h.logs.String(), "vipport_test.go")
	assert.Contains(t, h.logs.String(), `"panic":"a model.TLSContainer"`)
	assert.NotContains(t, h.logs.String(), "MIIEvQIBADANBgkq")
}

func TestMetadata(t *testing.T) {
	h := newHarness(t)
	got := h.call("GET", "/v1/flavor-capabilities", "")
	var capabilities map[string]string
	require.NoError(t, json.Unmarshal([]byte(got.Body), &capabilities))
	assert.Equal(t, "How many amphorae serve a load balancer: SINGLE is one.", capabilities["loadbalancer_topology"])
	assert.Contains(t, capabilities, "retries")
	assert.JSONEq(t, `{}`, h.call("GET", "/v1/availability-zone-capabilities", "").Body)

	const flavors, zones = "/v1/flavors/validate", "/v1/availability-zones/validate"
	got = h.call("POST", flavors, `{"loadbalancer_topology": "SINGLE"}`)
	assert.Equal(t, http.StatusNoContent, got.Status)
	assert.Empty(t, got.Body)
	assert.Equal(t, http.StatusNoContent, h.call("POST", zones, `{}`).Status)

	h.refused(h.call("POST", flavors, `{"loadbalancer_topology": "ACTIVE_STANDBY"}`), 501, "unsupported_option", "loadbalancer_topology",
		"The topology ACTIVE_STANDBY is not supported yet; use a flavor with loadbalancer_topology SINGLE.")
	// Octavia has 500 for all but 501, and so whatever is wrong is an option that is not supported.
	h.refused(h.call("POST", flavors, `{"retries": {"retry_on": ["5xx"], "attempts": "3"}}`), 501, "unsupported_option", "retries.attempts",
		`flavor.retries.attempts must be a whole number between 1 and 10, not "3".`)
	h.refused(h.call("POST", flavors, `{"slow_start": {"windows_ms": 5000}}`), 501, "unsupported_option", "slow_start.window_ms",
		"flavor.slow_start.window_ms is missing; it must be a whole number between 1000 and 3600000. "+
			`flavor.slow_start.windows_ms is unknown; did you mean window_ms? flavor.slow_start has the keys min_weight_percent and window_ms.`)
	h.refused(h.call("POST", flavors, `{"loadbalancer_topology": 1}`), 501, "unsupported_option", "loadbalancer_topology",
		`flavor.loadbalancer_topology must be "SINGLE", not 1.`)
	for _, path := range []string{flavors, zones} {
		h.refused(h.call("POST", path, `[]`), 501, "unsupported_option", "", "The metadata must be a JSON object, not an array.")
		h.refused(h.call("POST", path, `"SINGLE"`), 501, "unsupported_option", "", "The metadata must be a JSON object, not a string.")
		h.refused(h.call("POST", path, `null`), 501, "unsupported_option", "", "The metadata must be a JSON object, not null.")
		h.refused(h.call("POST", path, `{"a": [null]}`), 501, "unsupported_option", "a[0]", "The metadata is wrong: a[0]: must not be null.")
		h.refused(h.call("POST", path, `{`), 400, "invalid", "", "the body is not valid JSON: line 1, column 1")
	}
	h.refused(h.call("POST", zones, `{"compute_zone": "nova"}`), 501, "unsupported_option", "compute_zone",
		`Availability zones are not supported yet (the key "compute_zone"); create the load balancer without one.`)
}

type operator struct {
	report api.StatusReport
	err    error
}

func (o operator) Status(context.Context, string) (api.StatusReport, error) { return o.report, o.err }

func TestStatus(t *testing.T) {
	report := api.StatusReport{LoadBalancers: []api.LoadBalancerStatus{{
		ID: lbID, Name: "lb", ProjectID: "p", ProvisioningStatus: "ACTIVE", OperatingStatus: "ONLINE", Revision: 3,
		LastError: "e", PendingIntents: 1, PendingStatuses: 2, Amphorae: []api.AmphoraStatus{{
			ID: otherID, Role: "STANDALONE", Status: "ALLOCATED", Connected: true, LastHeartbeat: clock,
			Resources: []api.ResourceStatus{{Type: "Listener", Name: listenerID, Sent: "2", Acknowledged: "1", Error: "no"}},
		}},
	}}}
	h := newHarness(t, func(o *api.Options) { o.Operator = operator{report: report} })
	got := h.call("GET", "/v1/status/"+lbID, "")
	require.Equal(t, http.StatusOK, got.Status)
	assert.JSONEq(t, `{"loadbalancers": [{"id": "`+lbID+`", "name": "lb", "project_id": "p", "provisioning_status": "ACTIVE",
		"operating_status": "ONLINE", "revision": 3, "last_error": "e", "pending_intents": 1, "pending_statuses": 2,
		"amphorae": [{"id": "`+otherID+`", "role": "STANDALONE", "status": "ALLOCATED", "connected": true,
		"last_heartbeat": "2026-03-01T12:00:00Z", "resources": [{"type": "Listener", "name": "`+listenerID+`", "sent": "2",
		"acknowledged": "1", "error": "no"}]}]}]}`, got.Body)

	h = newHarness(t, func(o *api.Options) { o.Operator = operator{} })
	assert.JSONEq(t, `{"loadbalancers": []}`, h.call("GET", "/v1/status", "").Body)
	const unknown = "The loadbalancer " + lbID + " is not known, neither to the controller nor to Octavia."
	h.refused(h.call("GET", "/v1/status/"+lbID, ""), 404, "not_found", "", unknown)
	h = newHarness(t, func(o *api.Options) { o.Operator = operator{err: store.ErrNotFound} })
	h.refused(h.call("GET", "/v1/status/"+lbID, ""), 404, "not_found", "", unknown)
	h = newHarness(t, func(o *api.Options) { o.Operator = operator{err: assert.AnError} })
	h.refused(h.call("GET", "/v1/status", ""), 503, "unavailable", "", "The status cannot be read; please try again.")
}
