package translate

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// TestPrometheusWithoutItsAgent asks a PROMETHEUS listener whose agent is not there; with one, see package agent. Only the metrics
// miss it. (To what has no path, Envoy has no route.)
func TestPrometheusWithoutItsAgent(t *testing.T) {
	lb := &model.LoadBalancer{Listeners: []model.Listener{listener(t, "metrics", model.ProtocolPrometheus, "")}}
	serve(t, lb)
	prom := &lb.Listeners[0]
	for request, want := range map[string]int{
		"GET /metrics":              http.StatusServiceUnavailable,
		"GET /metrics?collect=all":  http.StatusServiceUnavailable,
		"HEAD /metrics":             http.StatusServiceUnavailable,
		"GET /":                     http.StatusForbidden,
		"GET /metrics/":             http.StatusForbidden,
		"GET /metricsx":             http.StatusForbidden,
		"GET /metrics/../metrics":   http.StatusForbidden,
		"GET /%6detrics":            http.StatusForbidden,
		"GET http://other/stats":    http.StatusForbidden,
		"POST /metrics":             http.StatusForbidden,
		"GETS /metrics":             http.StatusBadRequest,
		"OPTIONS *":                 http.StatusNotFound,
		"CONNECT 127.0.0.1:9180":    http.StatusNotFound,
		"TRACE /metrics":            http.StatusForbidden,
		"PROPFIND /metrics":         http.StatusForbidden,
		"GET /stats/prometheus?a=b": http.StatusForbidden,
	} {
		connection := dial(t, prom)
		if _, err := connection.Write([]byte(request + " HTTP/1.1\r\nHost: metrics\r\nConnection: close\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		answer := drained(t, connection)
		line, _, _ := strings.Cut(answer, "\r\n")
		if fields := strings.Fields(line); len(fields) < 2 || fields[1] != strconv.Itoa(want) {
			t.Errorf("%s: answered %q, want %d", request, line, want)
		}
		if strings.Contains(answer, "octavia-envoy") || strings.Contains(answer, "upstream") {
			t.Errorf("%s: tells how it works: %s", request, answer)
		}
	}
}
