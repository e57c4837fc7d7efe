package metrics

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

var update = flag.Bool("update", false, "rewrite METRICS.md")

// amphora is a scrape of Octavia 19's prometheus_proxy.py in front of HAProxy 2.6.12 with a listener of each kind, less the
// series that differ only in ids.
func amphora(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	file, err := os.Open("testdata/amphora.prom")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(file)
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// TestNamesAreOctavias holds every metric against what an amphora has: name, help, type and labels. What an amphora has
// besides is among the omissions.
func TestNamesAreOctavias(t *testing.T) {
	theirs := amphora(t)
	for _, metric := range Metrics() {
		family := theirs[metric.Name]
		if family == nil {
			t.Errorf("an amphora has no %s, or it is there twice", metric.Name)
			continue
		}
		delete(theirs, metric.Name)
		if family.GetHelp() != metric.Help {
			t.Errorf("%s: the help is %q, Octavia's %q", metric.Name, metric.Help, family.GetHelp())
		}
		kind := map[prometheus.ValueType]dto.MetricType{
			prometheus.GaugeValue: dto.MetricType_GAUGE, prometheus.CounterValue: dto.MetricType_COUNTER,
		}[metric.Type]
		if family.GetType() != kind {
			t.Errorf("%s is a %s, Octavia's a %s", metric.Name, kind, family.GetType())
		}
		labels := metric.Of.labels()
		if metric.Label != "" {
			labels = append(labels, metric.Label)
		}
		values := map[string]bool{}
		for _, their := range family.GetMetric() {
			var names []string
			for _, pair := range their.GetLabel() {
				names = append(names, pair.GetName())
				if pair.GetName() == metric.Label {
					values[pair.GetValue()] = true
				}
			}
			slices.Sort(names)
			if slices.Sort(labels); !slices.Equal(names, labels) {
				t.Errorf("%s has the labels %v, Octavia's %v", metric.Name, labels, names)
			}
		}
		for _, series := range metric.Series {
			if metric.Label != "" && !values[series.Value] {
				t.Errorf("%s: Octavia has no %s %q but %v", metric.Name, metric.Label, series.Value, values)
			}
		}
	}
	for _, omission := range omissions() {
		for _, name := range omission.Names {
			if theirs[name] == nil {
				t.Errorf("%s is omitted, and an amphora has it not, or it is there", name)
			}
			delete(theirs, name)
		}
	}
	for name := range theirs {
		t.Errorf("%s is neither a metric nor an omission", name)
	}
}

// everything is a reading in which each object has every figure.
func everything() reading {
	whole := reading{}
	for _, metric := range Metrics() {
		if whole[metric.Of] == nil {
			labels := make([]string, len(metric.Of.labels()))
			for i := range labels {
				labels[i] = fmt.Sprintf("id%d", i)
			}
			whole[metric.Of] = []object{{labels: labels, figures: figures{}}}
		}
		for _, series := range metric.Series {
			for _, name := range series.Sum {
				whole[metric.Of][0].figures[name]++
			}
		}
	}
	return whole
}

// TestLint holds a scrape against Prometheus' own conventions; Octavia's names are no exception.
func TestLint(t *testing.T) {
	text, err := everything().text()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
}

// TestPage keeps METRICS.md what the lists say.
func TestPage(t *testing.T) {
	have, err := os.ReadFile("METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	const begin = "<!-- The rest is made by `go test ./amphora-image/agent/metrics -update`. -->\n"
	intro, _, found := strings.Cut(string(have), begin)
	if !found {
		t.Fatalf("METRICS.md has no line %q", begin)
	}
	want := intro + begin + tables()
	if *update {
		if err := os.WriteFile("METRICS.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(have) != want {
		t.Error("METRICS.md is not what the lists say: run the test with -update, and read it")
	}
}

func tables() string {
	var page strings.Builder
	titles := map[Kind]string{LoadBalancer: "Load balancer", Listener: "Listeners", Pool: "Pools", Member: "Members"}
	last := Kind(-1)
	for _, metric := range Metrics() {
		if metric.Of != last {
			last = metric.Of
			labels := ""
			for _, label := range metric.Of.labels() {
				labels += ", `" + label + "`"
			}
			if labels != "" {
				labels = "Labels: " + labels[2:] + ".\n\n"
			}
			fmt.Fprintf(&page, "\n## %s\n\n%s| metric | type | made of | |\n|---|---|---|---|\n", titles[metric.Of], labels)
		}
		name := "`" + metric.Name + "`"
		if metric.Label != "" {
			name += " by `" + metric.Label + "`"
		}
		var made []string
		for _, series := range metric.Series {
			of := "`" + strings.Join(series.Sum, "` + `") + "`"
			if series.Value != "" {
				of = series.Value + ": " + of
			}
			made = append(made, of)
		}
		kind := "gauge"
		if metric.isCounter() {
			kind = "counter"
		}
		fmt.Fprintf(&page, "| %s | %s | %s | %s |\n", name, kind, strings.Join(made, "; "), metric.Note)
	}
	page.WriteString("\n## What amphorae have besides\n\n| not here | because |\n|---|---|\n")
	for _, omission := range omissions() {
		names := slices.Sorted(slices.Values(omission.Names))
		fmt.Fprintf(&page, "| `%s` | %s |\n", strings.Join(names, "` `"), omission.Why)
	}
	return page.String()
}
