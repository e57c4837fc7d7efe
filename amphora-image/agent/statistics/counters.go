package statistics

import (
	"maps"
	"slices"
	"strings"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/envoyadmin"
	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
)

// family is what Envoy counts in one place, which begins anew as a whole: the first word of the names.
type family map[string]uint64

// Families, and names in them, that are added up to Octavia's counters. The second listener for HTTP/3 counts with the first.
const (
	ofListener = "listener"
	ofHTTP     = "http"
	ofTCP      = "tcp"
	ofUDP      = "udp"
	ofLimit    = "connection_limit"
	// ofTimes is the histogram of request times: counts by bucket, and the sum.
	ofTimes = "times"

	connectionsActive, connectionsTotal = "downstream_cx_active", "downstream_cx_total"
	sessionsActive, sessionsTotal       = "downstream_sess_active", "downstream_sess_total"
	limitActive, limitRefused           = "active_connections", "limited_connections"
	timesSum                            = "sum"

	// statsOfListeners and statsOfClusters begin what tells that Envoy has been configured anew.
	statsOfListeners, statsOfClusters = "listener_manager.", "cluster_manager."
)

// errorsOfRequests are requests that came to no end because the client did not send them as it should: what HAProxy counts as
// ereq, as far as Envoy tells it apart. What a member or a policy answers is none, nor that there is no member, nor that a client
// has gone away. See STATISTICS.md.
func errorsOfRequests() []string {
	return []string{
		// Not HTTP as RFC 9112 to 9114 want it, or too long: 400.
		"downstream_cx_protocol_error",
		// Not whole in the listener's timeout: 408.
		"downstream_rq_idle_timeout",
		"downstream_rq_timeout",
		"downstream_rq_header_timeout",
	}
}

// bytesOf are the names of the bytes that came and went.
func bytesOf(kind string) (in, out string) {
	if kind == ofUDP {
		return "downstream_sess_rx_bytes", "downstream_sess_tx_bytes"
	}
	return "downstream_cx_rx_bytes_total", "downstream_cx_tx_bytes_total"
}

func classes() []string {
	return []string{
		"downstream_rq_1xx", "downstream_rq_2xx", "downstream_rq_3xx", "downstream_rq_4xx", "downstream_rq_5xx",
	}
}

// names are those that are read, by family.
func names() map[string][]string {
	all := map[string][]string{
		ofListener: {connectionsActive, connectionsTotal},
		ofUDP:      {sessionsActive, sessionsTotal},
		ofLimit:    {limitActive, limitRefused},
		ofHTTP:     slices.Concat(classes(), errorsOfRequests()),
	}
	for _, kind := range []string{ofHTTP, ofTCP, ofUDP} {
		in, out := bytesOf(kind)
		all[kind] = append(all[kind], in, out)
	}
	return all
}

// filter is the regular expression for what is read each time.
func filter() string {
	all := names()
	parts := []string{
		`listener_manager\.(listener_(added|modified|removed|in_place_updated)|total_listeners_(active|draining))`,
		`cluster_manager\.(cluster_(added|modified|removed)|warming_clusters)`,
	}
	for _, kind := range slices.Sorted(maps.Keys(all)) {
		parts = append(parts, kind+`\.[^.]+\.(`+strings.Join(all[kind], "|")+`)`)
	}
	return `^(` + strings.Join(parts, "|") + `)$`
}

// timesFilter, timesName and timesLabel find the histograms.
const (
	timesFilter = `^http\.[^.]+\.downstream_rq_time$`
	timesName   = "envoy_http_downstream_rq_time"
	timesLabel  = "envoy_http_conn_manager_prefix"
)

// gauges are not counted on.
func isGauge(name string) bool {
	return name == connectionsActive || name == sessionsActive || name == limitActive
}

// adminName is what the admin interface counts as; it is nobody's listener.
const adminName = "admin"

// split sorts what Envoy said by listener and family. The rest tells whether Envoy has been configured anew.
func split(stats map[string]uint64) (listeners map[string]map[string]family, configured map[string]uint64) {
	listeners, configured = map[string]map[string]family{}, map[string]uint64{}
	for name, value := range stats {
		if strings.HasPrefix(name, statsOfListeners) || strings.HasPrefix(name, statsOfClusters) {
			configured[name] = value
			continue
		}
		kind, rest, _ := strings.Cut(name, ".")
		id, figure, ok := strings.Cut(rest, ".")
		if !ok || id == adminName {
			continue
		}
		if listeners[id] == nil {
			listeners[id] = map[string]family{}
		}
		if listeners[id][kind] == nil {
			listeners[id][kind] = family{}
		}
		listeners[id][kind][figure] = value
	}
	return listeners, configured
}

// times are a histogram as a family, and its bounds.
func times(histogram *envoyadmin.Histogram) (family, []float64) {
	counts, bounds := family{timesSum: uint64(max(0, histogram.Sum) + 0.5)}, make([]float64, len(histogram.Buckets))
	for i, bucket := range histogram.Buckets {
		bounds[i], counts[bucketName(i)] = bucket.UpperBound, bucket.Count
	}
	return counts, bounds
}

// message is a listener's, of counters that have been added up and gauges of now.
func message(id string, of map[string]family, bounds []float64) *agentapiv1.ListenerStatistics {
	answered := classes()
	statistics := &agentapiv1.ListenerStatistics{
		ListenerId:        id,
		ActiveConnections: of[ofListener][connectionsActive] + of[ofUDP][sessionsActive],
		TotalConnections:  of[ofListener][connectionsTotal] + of[ofUDP][sessionsTotal],
		Responses_1Xx:     of[ofHTTP][answered[0]],
		Responses_2Xx:     of[ofHTTP][answered[1]],
		Responses_3Xx:     of[ofHTTP][answered[2]],
		Responses_4Xx:     of[ofHTTP][answered[3]],
		Responses_5Xx:     of[ofHTTP][answered[4]],
		RequestTimeSumMs:  of[ofTimes][timesSum],
	}
	for _, kind := range []string{ofHTTP, ofTCP, ofUDP} {
		in, out := bytesOf(kind)
		statistics.BytesIn += of[kind][in]
		statistics.BytesOut += of[kind][out]
	}
	for _, name := range errorsOfRequests() {
		statistics.RequestErrors += of[ofHTTP][name]
	}
	if times := of[ofTimes]; times != nil {
		for i, bound := range bounds {
			statistics.RequestTime = append(statistics.RequestTime, &agentapiv1.TimeBucket{UpperBoundMs: bound, Count: times[bucketName(i)]})
		}
	}
	return statistics
}
