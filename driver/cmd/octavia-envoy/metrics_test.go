package main

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
	"github.com/octavia-envoy/octavia-envoy/driver/amphora"
	"github.com/octavia-envoy/octavia-envoy/driver/config"
	"github.com/octavia-envoy/octavia-envoy/driver/metrics"
	octavia "github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/statistics"
)

var updateMetrics = flag.Bool("update", false, "rewrite METRICS.md")

const metricsPage = "../../metrics/METRICS.md"

// TestMetrics holds the page of metrics against what a controller shows.
func TestMetrics(t *testing.T) {
	families := append(controllerMetrics(t), loadBalancerMetrics(t)...)
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
	page, err := os.ReadFile(metricsPage)
	if err != nil {
		t.Fatal(err)
	}
	const mark = "<!-- The rest is made by `go test ./driver/cmd/octavia-envoy -run TestMetrics -update`. -->\n"
	head, _, found := strings.Cut(string(page), mark)
	if !found {
		t.Fatalf("no mark in %s", metricsPage)
	}
	if want := head + mark + "\n" + table(families); want != string(page) {
		if !*updateMetrics {
			t.Fatalf("%s is not what the controller shows: run with -update", metricsPage)
		}
		if err := os.WriteFile(metricsPage, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	contains(t, head, fmt.Sprintf("%d series", metrics.SeriesPerLoadBalancer), fmt.Sprintf("%d KiB", metrics.BytesPerLoadBalancer>>10))
}

// controllerMetrics are what a controller shows that has answered one request.
func controllerMetrics(t *testing.T) []*dto.MetricFamily {
	t.Helper()
	dir := t.TempDir()
	configuration := config.Default()
	configuration.Store.DSN, configuration.Store.KeyFile = "sqlite:"+filepath.Join(dir, "db"), filepath.Join(dir, "keys")
	configuration.CA.Directory = filepath.Join(dir, "ca")
	configuration.Amphora.StateDirectory, configuration.Amphora.RunDirectory = filepath.Join(dir, "state"), filepath.Join(dir, "run")
	program, err := os.Executable() // that they exist is enough
	if err != nil {
		t.Fatal(err)
	}
	configuration.Amphora.AgentBinary, configuration.Amphora.EnvoyBinary = program, program
	c, err := newController(t.Context(), &configuration)
	if err != nil {
		t.Fatal(err)
	}
	defer c.store.Close()
	get := func(path string) *httptest.ResponseRecorder {
		recorder := httptest.NewRecorder()
		c.api.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return recorder
	}
	get("/healthz")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	parsed, err := parser.TextToMetricFamilies(bytes.NewReader(get("/metrics").Body.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	var families []*dto.MetricFamily
	for name, family := range parsed {
		if strings.HasPrefix(name, "octavia_envoy_") {
			families = append(families, family)
		}
	}
	return families
}

// loadBalancerMetrics are what it shows when it has a load balancer.
func loadBalancerMetrics(t *testing.T) []*dto.MetricFamily {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(&metrics.LoadBalancers{
		Fleet: func() []amphora.AgentState {
			return []amphora.AgentState{{LoadBalancerID: "lb", Connected: true, Envoy: &agentapiv1.EnvoyStatus{}}}
		},
		Statistics: func() []statistics.LoadBalancer { return nil },
		Members:    func() map[string]map[octavia.OperatingStatus]int { return nil },
	})
	if count, err := testutil.GatherAndCount(registry); err != nil || count == 0 {
		t.Fatalf("%d metrics, %v", count, err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

func table(families []*dto.MetricFamily) string {
	var page strings.Builder
	page.WriteString("| metric | type | labels | |\n|---|---|---|---|\n")
	for _, family := range families {
		var labels []string
		for _, pair := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+pair.GetName()+"`")
		}
		fmt.Fprintf(&page, "| `%s` | %s | %s | %s |\n",
			family.GetName(), strings.ToLower(family.GetType().String()), strings.Join(labels, " "), family.GetHelp())
	}
	return page.String()
}
