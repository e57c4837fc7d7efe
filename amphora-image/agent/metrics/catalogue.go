package metrics

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Kind is a kind of object that has metrics.
type Kind int

// The kinds of objects.
const (
	LoadBalancer Kind = iota
	Listener
	Pool
	Member
)

// labels are what tells objects of a kind apart.
func (k Kind) labels() []string {
	switch k {
	case Listener:
		return []string{"listener"}
	case Pool:
		return []string{"pool"}
	case Member:
		return []string{"pool", "member"}
	default:
		return nil
	}
}

// Metric is one metric of Octavia's.
type Metric struct {
	// Name and Help are Octavia's.
	Name, Help string
	Type       prometheus.ValueType
	Of         Kind
	// Label splits the metric, by code or state; "" does not.
	Label string
	// Series are one for each value of Label, or just one.
	Series []Series
	// Note says in METRICS.md what a user of the amphora provider should know; "" when there is nothing.
	Note string
}

// Series is what a value is made of.
type Series struct {
	// Value is that of Metric.Label.
	Value string
	// Sum are figures that are added up: statistics of Envoy's without the name of their object (http.downstream_rq_total),
	// of a host in /clusters (host.rq_total), or what the agent makes of them (agent.up). Those that an object does not have
	// are left out, and with all of them the series: a TCP listener has no http.downstream_rq_total.
	Sum []string
}

func sum(figures ...string) []Series { return []Series{{Sum: figures}} }

// status is HAProxy's: a series for each state, of which one is 1. Its states MAINT, DRAIN and NOLB do not occur.
func status() []Series {
	return []Series{{"DOWN", []string{"agent.down"}}, {"UP", []string{"agent.up"}}}
}

// byClass has a series for each class of status codes. HAProxy's class "other" does not occur.
func byClass(figure string) []Series {
	series := make([]Series, 0, 5)
	for _, class := range []string{"1xx", "2xx", "3xx", "4xx", "5xx"} {
		series = append(series, Series{class, []string{figure + class}})
	}
	return series
}

// Metrics are all, in the order of METRICS.md.
func Metrics() []Metric {
	return slices.Concat(loadBalancerMetrics(), listenerMetrics(), poolMetrics(), memberMetrics())
}

// Prefixes of Envoy's statistics: those of a listener are named for it, those of a pool for its clusters.
func listenerPrefixes() []string {
	return []string{"listener", "http", "tcp", "udp", "connection_limit"}
}

// statFilter is a regular expression (RE2) for the names of the statistics of the lists, and those in also.
func statFilter(also ...string) string {
	names := map[string]bool{}
	for _, metric := range Metrics() {
		for _, series := range metric.Series {
			for _, figure := range series.Sum {
				names[figure] = true
			}
		}
	}
	for _, figure := range also {
		names[figure] = true
	}
	byPrefix := map[string][]string{}
	for _, figure := range slices.Sorted(maps.Keys(names)) {
		prefix, name, _ := strings.Cut(figure, ".")
		byPrefix[prefix] = append(byPrefix[prefix], strings.ReplaceAll(name, ".", `\.`))
	}
	alternatives := []string{fmt.Sprintf(`server\.(%s)`, strings.Join(byPrefix["server"], "|"))}
	for _, prefix := range append(listenerPrefixes(), "cluster") {
		alternatives = append(alternatives, fmt.Sprintf(`%s\.[^.]+\.(%s)`, prefix, strings.Join(byPrefix[prefix], "|")))
	}
	return "^(" + strings.Join(alternatives, "|") + ")$"
}
