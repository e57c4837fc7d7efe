package flavor_test

import (
	"encoding/json"
	"math"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/octavia-envoy/octavia-envoy/driver/flavor"
)

// everything has each key of the schema.
const everything = `{
	"loadbalancer_topology": "SINGLE",
	"member_http": {"version": "2", "idle_timeout_ms": 5000, "max_requests_per_connection": 7, "max_concurrent_streams": 8},
	"client_http": {
		"request_headers_timeout_ms": 1001, "request_timeout_ms": 1002, "max_connection_duration_ms": 1003,
		"max_requests_per_connection": 9, "max_concurrent_streams": 10, "drain_timeout_ms": 11
	},
	"compression": {"algorithms": ["zstd", "gzip"], "min_length": 1024, "content_types": ["text/html", "image/svg+xml"]},
	"retries": {"retry_on": ["reset", "5xx"], "attempts": 2, "try_timeout_ms": 1004, "backoff_ms": 12, "budget_percent": 13},
	"outlier_detection": {
		"consecutive_5xx": 14, "consecutive_gateway_errors": 15, "interval_ms": 1005, "ejection_ms": 1006, "max_ejected_percent": 16
	},
	"circuit_breaking": {"max_connections": 17, "max_pending_requests": 18, "max_requests": 19},
	"slow_start": {"window_ms": 1007, "min_weight_percent": 20},
	"buffer_bytes": 32768,
	"tcp_keepalive": {"idle_ms": 60000, "interval_ms": 10000, "probes": 3},
	"access_log": true,
	"http3": true,
	"request_id": "replace"
}`

func decode(t testing.TB, text string, numbers bool) map[string]any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	if numbers {
		decoder.UseNumber()
	}
	var metadata map[string]any
	require.NoError(t, decoder.Decode(&metadata))
	return metadata
}

func TestParse(t *testing.T) {
	want := &flavor.Flavor{
		Topology: "SINGLE",
		Members:  &flavor.Members{Version: flavor.HTTP2, IdleTimeout: 5000, MaxRequests: 7, MaxStreams: 8},
		Clients: &flavor.Clients{
			HeadersTimeout: 1001, RequestTimeout: 1002, MaxDuration: 1003, MaxRequests: 9, MaxStreams: 10, DrainTimeout: 11,
		},
		Compression: &flavor.Compression{
			Algorithms: []string{"zstd", "gzip"}, MinLength: 1024, ContentTypes: []string{"text/html", "image/svg+xml"},
		},
		Retries: &flavor.Retries{On: []string{"reset", "5xx"}, Attempts: 2, TryTimeout: 1004, Backoff: 12, Budget: 13},
		OutlierDetection: &flavor.OutlierDetection{
			Consecutive5xx: 14, ConsecutiveGateway: 15, Interval: 1005, Ejection: 1006, MaxEjected: 16,
		},
		CircuitBreaking: &flavor.CircuitBreaking{MaxConnections: 17, MaxPending: 18, MaxRequests: 19},
		SlowStart:       &flavor.SlowStart{Window: 1007, MinWeight: 20},
		BufferBytes:     32768,
		Keepalive:       &flavor.Keepalive{Idle: 60000, Interval: 10000, Probes: 3},
		AccessLog:       true,
		HTTP3:           true,
		RequestID:       flavor.RequestIDReplace,
	}
	for _, numbers := range []bool{false, true} {
		got, problems := flavor.Parse(decode(t, everything, numbers))
		assert.Empty(t, problems)
		assert.Equal(t, want, got)
	}
}

func TestParseNothing(t *testing.T) {
	for _, metadata := range []map[string]any{nil, {}} {
		got, problems := flavor.Parse(metadata)
		assert.Empty(t, problems)
		assert.Equal(t, &flavor.Flavor{}, got)
	}
}

// TestParseNumbers takes whatever a decoder or a Go programmer makes of a whole number.
func TestParseNumbers(t *testing.T) {
	for _, number := range []any{20000, int32(20000), int64(20000), float32(20000), 2e4, json.Number("20000"), json.Number("2e4"), json.Number("20000.0")} {
		got, problems := flavor.Parse(map[string]any{"buffer_bytes": number})
		assert.Empty(t, problems, "%T", number)
		assert.Equal(t, &flavor.Flavor{BufferBytes: 20000}, got)
	}
	got, problems := flavor.Parse(map[string]any{"compression": map[string]any{"algorithms": []string{"gzip"}}})
	assert.Empty(t, problems)
	assert.Equal(t, &flavor.Flavor{Compression: &flavor.Compression{Algorithms: []string{"gzip"}}}, got)
}

// TestSentences has what a user reads for each way to be wrong.
func TestSentences(t *testing.T) {
	const keys = "flavor has the keys access_log, buffer_bytes, circuit_breaking, client_http, compression, http3, loadbalancer_topology, " +
		"member_http, outlier_detection, request_id, retries, slow_start and tcp_keepalive."
	tests := map[string]struct {
		metadata string
		want     []string // of those that are unsupported after a "!"
	}{
		"topology":    {`{"loadbalancer_topology": "ACTIVE_STANDBY"}`, []string{"!loadbalancer_topology: The topology ACTIVE_STANDBY is not supported yet; use a flavor with loadbalancer_topology SINGLE."}},
		"no topology": {`{"loadbalancer_topology": 1}`, []string{`loadbalancer_topology: flavor.loadbalancer_topology must be "SINGLE", not 1.`}},
		"unknown key": {`{"shields": true}`, []string{`!shields: flavor.shields is unknown. ` + keys}},
		"amphora's": {`{"sriov_vip": true, "compute_flavor": "m1", "amp_image_tag": "t", "allow_member_sriov": false}`, []string{
			"!allow_member_sriov: flavor.allow_member_sriov is not supported, as members' ports are not SR-IOV ports; leave it out.",
			"!amp_image_tag: flavor.amp_image_tag is not supported yet, as amphorae are not made from an image; leave it out.",
			"!compute_flavor: flavor.compute_flavor is not supported yet, as amphorae are no Nova servers; leave it out.",
			"!sriov_vip: flavor.sriov_vip is not supported, as VIP ports are not SR-IOV ports; leave it out.",
		}},
		"slip":          {`{"Retry": {}}`, []string{`!Retry: flavor.Retry is unknown; did you mean retries? ` + keys}},
		"slip below":    {`{"slow_start": {"window_ms": 1000, "min_wait_percent": 1}}`, []string{`!slow_start.min_wait_percent: flavor.slow_start.min_wait_percent is unknown; did you mean min_weight_percent? flavor.slow_start has the keys min_weight_percent and window_ms.`}},
		"null":          {`{"compression": null}`, []string{"compression: flavor.compression must be an object with algorithms, content_types and min_length, not null."}},
		"no object":     {`{"compression": true}`, []string{"compression: flavor.compression must be an object with algorithms, content_types and min_length, not true."}},
		"text":          {`{"buffer_bytes": "1MiB"}`, []string{`buffer_bytes: flavor.buffer_bytes must be a whole number between 16384 and 67108864, not "1MiB".`}},
		"too small":     {`{"buffer_bytes": 0}`, []string{`buffer_bytes: flavor.buffer_bytes must be a whole number between 16384 and 67108864, not 0.`}},
		"fraction":      {`{"buffer_bytes": 20000.5}`, []string{`buffer_bytes: flavor.buffer_bytes must be a whole number between 16384 and 67108864, not 20000.5.`}},
		"object":        {`{"buffer_bytes": {}}`, []string{`buffer_bytes: flavor.buffer_bytes must be a whole number between 16384 and 67108864, not an object.`}},
		"boolean":       {`{"access_log": "yes"}`, []string{`access_log: flavor.access_log must be true or false, not "yes".`}},
		"HTTP/3":        {`{"http3": "true"}`, []string{`http3: flavor.http3 must be true or false, not "true".`}},
		"enum":          {`{"request_id": "on"}`, []string{`request_id: flavor.request_id must be "pass", "keep" or "replace", not "on".`}},
		"missing":       {`{"retries": {"retry_on": ["5xx"]}}`, []string{"retries.attempts: flavor.retries.attempts is missing; it must be a whole number between 1 and 10."}},
		"empty":         {`{"client_http": {}}`, []string{"client_http: flavor.client_http has nothing in it; leave it out, or set one of drain_timeout_ms, max_concurrent_streams, max_connection_duration_ms, max_requests_per_connection, request_headers_timeout_ms and request_timeout_ms."}},
		"no algorithm":  {`{"compression": {"algorithms": []}}`, []string{"compression.algorithms: flavor.compression.algorithms must have 1 to 3 values, not 0."}},
		"twice":         {`{"compression": {"algorithms": ["gzip", "gzip"]}}`, []string{`compression.algorithms: flavor.compression.algorithms has "gzip" twice.`}},
		"no list":       {`{"compression": {"algorithms": "gzip"}}`, []string{`compression.algorithms: flavor.compression.algorithms must be a list of "gzip", "brotli" or "zstd", not "gzip".`}},
		"element":       {`{"compression": {"algorithms": ["gzip", "deflate"]}}`, []string{`compression.algorithms[1]: flavor.compression.algorithms[1] must be "gzip", "brotli" or "zstd", not "deflate".`}},
		"media type":    {`{"compression": {"algorithms": ["gzip"], "content_types": ["Text/*"]}}`, []string{`compression.content_types[0]: flavor.compression.content_types[0] must be a media type in lower case, such as "text/html", not "Text/*".`}},
		"seconds":       {`{"tcp_keepalive": {"idle_ms": 1500, "interval_ms": 1000, "probes": 1}}`, []string{"tcp_keepalive.idle_ms: flavor.tcp_keepalive.idle_ms must be a multiple of 1000 between 1000 and 32767000, not 1500."}},
		"streams":       {`{"member_http": {"max_concurrent_streams": 5}}`, []string{`member_http.max_concurrent_streams: flavor.member_http.max_concurrent_streams is for HTTP/2: set member_http.version to "2" or leave it out.`}},
		"streams 1.1":   {`{"member_http": {"version": "1.1", "max_concurrent_streams": 5}}`, []string{`member_http.max_concurrent_streams: flavor.member_http.max_concurrent_streams is for HTTP/2: set member_http.version to "2" or leave it out.`}},
		"never out":     {`{"outlier_detection": {"interval_ms": 1000}}`, []string{"outlier_detection: flavor.outlier_detection needs consecutive_5xx or consecutive_gateway_errors; without them no member is ever taken out."}},
		"two bounds":    {`{"retries": {"retry_on": ["5xx"], "attempts": 1, "budget_percent": 1}, "circuit_breaking": {"max_retries": 3}}`, []string{"circuit_breaking.max_retries: flavor.circuit_breaking.max_retries cannot stand beside retries.budget_percent: both bound the retries, and Envoy heeds the budget only. Leave one of them out."}},
		"several":       {`{"x": 1, "access_log": 1, "retries": {"attempts": 11, "retry_on": ["5xx"]}}`, []string{"access_log: flavor.access_log must be true or false, not 1.", "retries.attempts: flavor.retries.attempts must be a whole number between 1 and 10, not 11.", `!x: flavor.x is unknown. ` + keys}},
		"long":          {`{"` + strings.Repeat("é", 300) + `": 1, "request_id": "` + strings.Repeat("é", 300) + `"}`, []string{`request_id: flavor.request_id must be "pass", "keep" or "replace", not "` + strings.Repeat("é", 40) + `…".`, "!" + strings.Repeat("é", 40) + `…: flavor.` + strings.Repeat("é", 40) + `… is unknown. ` + keys}},
		"odd key":       {`{"a.b\n": 1}`, []string{`!"a.b\n": flavor."a.b\n" is unknown. ` + keys}},
		"deep":          {strings.Repeat(`{"retries":`, 9) + "1" + strings.Repeat("}", 9), []string{": The flavor data is nested deeper than 8 levels."}},
		"large":         {`{"compression": {"algorithms": [1` + strings.Repeat(",1", 5000) + `]}}`, []string{": The flavor data has more than 4096 values."}},
		"large number":  {`{"buffer_bytes": 1e300}`, []string{"buffer_bytes: flavor.buffer_bytes must be a whole number between 16384 and 67108864, not 1e+300."}},
		"larger number": {`{"buffer_bytes": 1e999999999}`, []string{": The flavor data has a number out of range."}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, problems := flavor.Parse(decode(t, test.metadata, true))
			assert.Nil(t, got)
			var lines []string
			for _, p := range problems {
				line := p.Path + ": " + p.Message
				if p.Unsupported {
					line = "!" + line
				}
				lines = append(lines, line)
				assert.Less(t, len(p.Message), 320, "too long for a fault string")
			}
			assert.Equal(t, test.want, lines)
		})
	}
}

func TestParseNoJSON(t *testing.T) {
	for _, value := range []any{math.NaN(), math.Inf(1), struct{}{}, uint8(1), []int{1}, json.Number("x")} {
		got, problems := flavor.Parse(map[string]any{"buffer_bytes": value})
		assert.Nil(t, got)
		require.Len(t, problems, 1)
		assert.Regexp(t, `^The flavor data has .*\.$`, problems[0].Message)
	}
}

// TestSchemaAndStruct keeps the keys of the schema and the fields of Flavor the same: one that only the schema had would be
// accepted and ignored.
func TestSchemaAndStruct(t *testing.T) {
	var schema, fields []string
	for _, key := range flavor.Keys() {
		schema = append(schema, key.Path)
	}
	tagsOf(reflect.TypeFor[flavor.Flavor](), "", &fields)
	assert.ElementsMatch(t, fields, schema)
}

func tagsOf(of reflect.Type, path string, tags *[]string) {
	for field := range of.Fields() {
		tag, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		*tags = append(*tags, path+tag)
		if field.Type.Kind() == reflect.Pointer {
			tagsOf(field.Type.Elem(), path+tag+".", tags)
		}
	}
}

// TestSchema checks the schema as a document: its id, that everything has a description, and that defaults are right.
func TestSchema(t *testing.T) {
	var document struct {
		ID     string `json:"$id"`
		Schema string `json:"$schema"`
	}
	require.NoError(t, json.Unmarshal([]byte(flavor.Schema()), &document))
	assert.Equal(t, "urn:octavia-envoy:schema:flavor:1", document.ID)
	assert.Equal(t, "https://json-schema.org/draft/2020-12/schema", document.Schema)

	example := decode(t, everything, false)
	delete(example["member_http"].(map[string]any), "max_concurrent_streams") // its version's default excludes it
	for _, key := range flavor.Keys() {
		assert.Regexp(t, `(?s)^[A-Z].*\.$`, key.Description, key.Path)
		if key.Default == "" {
			continue
		}
		var value any
		require.NoError(t, json.Unmarshal([]byte(key.Default), &value))
		if group, name, found := strings.Cut(key.Path, "."); found {
			if key.Path != "member_http.max_concurrent_streams" {
				example[group].(map[string]any)[name] = value
			}
		} else {
			example[key.Path] = value
		}
	}
	_, problems := flavor.Parse(example)
	assert.Empty(t, problems)
	descriptions := flavor.Descriptions()
	assert.Len(t, descriptions, 13)
	assert.Equal(t, "How many amphorae serve a load balancer: SINGLE is one.", descriptions["loadbalancer_topology"])
}

// TestYAML keeps words out of the schema that are something else in YAML 1.1, as on and off are. (The versions of HTTP are
// numbers there, which their sentence says.)
func TestYAML(t *testing.T) {
	for _, key := range flavor.Keys() {
		words := []string{key.Path[strings.LastIndex(key.Path, ".")+1:]}
		for _, quoted := range regexp.MustCompile(`"[^"]*"`).FindAllString(key.Value, -1) {
			if key.Path != "member_http.version" {
				words = append(words, strings.Trim(quoted, `"`))
			}
		}
		for _, word := range words {
			var got any
			require.NoError(t, yaml.Unmarshal([]byte(word), &got))
			assert.Equal(t, word, got, "of %s", key.Path)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	metadata := decode(b, everything, false)
	b.ReportAllocs()
	for b.Loop() {
		if _, problems := flavor.Parse(metadata); len(problems) > 0 {
			b.Fatal(problems)
		}
	}
}
