package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/api"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
)

var _ api.Store = (*store.Store)(nil)

// FuzzDecode sends anything as query and body of every call there is: there is an answer, in JSON, and it is not a panic's.
func FuzzDecode(f *testing.F) {
	targets := routes(f)
	for i := range targets {
		for _, body := range bodies() {
			f.Add(i, "", []byte(body))
		}
		f.Add(i, "cascade=maybe&loadbalancer_id=%zz&pool_id=\xff;listener_id", []byte("{}"))
	}
	shared := storetest.Open(f, storetest.SQLite(f))
	f.Fuzz(func(t *testing.T, target int, query string, body []byte) {
		at := targets[uint(target)%uint(len(targets))]
		answers(t, shared, at, query, string(body))
	})
}

// FuzzCalls does the same with bodies that have the keys of Octavia's objects in all places, with values of all types.
func FuzzCalls(f *testing.F) {
	targets := routes(f)
	random := rand.New(rand.NewPCG(3, 4)) // the same every time
	for i := range 10 * len(targets) {
		data := make([]byte, 20+random.IntN(200))
		for j := range data {
			data[j] = byte(random.Uint32())
		}
		f.Add(i, data)
	}
	names := keys()
	shared := storetest.Open(f, storetest.SQLite(f))
	f.Fuzz(func(t *testing.T, target int, data []byte) {
		at := targets[uint(target)%uint(len(targets))]
		w := &writer{data: data, names: names}
		answers(t, shared, at, "", w.object(0))
	})
}

// TestAnyBody is what no fuzzer comes to: bodies that are huge, or very deep.
func TestAnyBody(t *testing.T) {
	const limit, large = 8 << 20, 64 << 10
	few := []route{{"POST", "/v1/loadbalancers"}, {"PUT", "/v1/pools/" + poolID + "/members"}} // it takes seconds with the race detector
	all := routes(t)
	tests := map[string]struct {
		body    string
		targets []route
	}{
		"too large":         {`{"name": "` + strings.Repeat("x", limit) + `"}`, few},
		"as large as can":   {`{"name": "` + strings.Repeat("x", limit-12) + `"}`, few[:1]},
		"endless arrays":    {strings.Repeat("[", limit), few},
		"endless objects":   {strings.Repeat(`{"a":`, limit/5), few},
		"many keys":         {`{"a0": 0` + manyKeys(20_000) + "}", few},
		"many members":      {`{"members": [{}` + strings.Repeat(",{}", 20_000) + "]}", few},
		"many listeners":    {`{"listeners": [{}` + strings.Repeat(`,{"l7policies":[{}]}`, 2000) + "]}", few},
		"arrays":            {strings.Repeat("[", 9000) + strings.Repeat("]", 9000), all},
		"deep flavor":       {`{"flavor": ` + strings.Repeat(`{"a":`, 9000) + "1" + strings.Repeat("}", 9000) + "}", all},
		"deep list":         {`{"members": ` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + "}", all},
		"blanks":            {strings.Repeat(" ", large), all},
		"same key":          {`{"name": ""` + strings.Repeat(`,"name":""`, large/40) + "}", all},
		"long number":       {`{"protocol_port": ` + strings.Repeat("9", large) + "}", all},
		"large exponent":    {`{"weight": 1e` + strings.Repeat("9", large) + "}", all},
		"long key":          {`{"` + strings.Repeat("k", large) + `": 1}`, all},
		"escapes":           {`{"name": "` + strings.Repeat(`\u0000`, large/6) + `"}`, all},
		"a UTF-16 of one":   {"\xff\xfe{\x00}\x00", all},
		"a byte order mark": {"\ufeff{}", all},
	}
	shared := storetest.Open(t, storetest.SQLite(t))
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, at := range test.targets {
				answers(t, shared, at, "", test.body)
			}
		})
	}
}

func manyKeys(count int) string {
	var text strings.Builder
	for i := range count {
		fmt.Fprintf(&text, `,"a%d":0`, i+1)
	}
	return text.String()
}

// route is one call with ids in its path.
type route struct{ method, path string }

// routes are all that the API has; what does not depend on a body is among them.
func routes(tb testing.TB) []route {
	tb.Helper()
	engine, ok := api.New(api.Options{}).(*gin.Engine)
	require.True(tb, ok)
	ids := strings.NewReplacer(
		":loadbalancer_id", lbID, ":listener_id", listenerID, ":pool_id", poolID, ":member_id", memberID, ":healthmonitor_id", monitorID,
		":l7policy_id", policyID, ":l7rule_id", ruleID,
	)
	var all []route
	for _, info := range engine.Routes() {
		path := ids.Replace(info.Path)
		require.NotContains(tb, path, ":", "a parameter without an id here")
		if strings.HasPrefix(path, "/v1/") {
			all = append(all, route{info.Method, path})
		}
	}
	require.GreaterOrEqual(tb, len(all), 30)
	slices.SortFunc(all, func(a, b route) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	return all
}

// answers makes a call and fails the test when its answer is none that a user may get.
func answers(t *testing.T, shared *store.Store, at route, query, body string) {
	t.Helper()
	request := httptest.NewRequest(at.method, at.path, strings.NewReader(body))
	request.URL = &url.URL{Path: at.path, RawQuery: query}
	request.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	api.New(api.Options{Store: readOnly{shared, tree(t)}}).ServeHTTP(recorder, request)
	answer, err := io.ReadAll(recorder.Body)
	require.NoError(t, err)
	if recorder.Code == http.StatusInternalServerError || recorder.Code == http.StatusServiceUnavailable {
		t.Fatalf("%s %s: %d %s", at.method, at.path, recorder.Code, answer)
	}
	if recorder.Code == http.StatusNoContent {
		return
	}
	var decoded struct {
		Error *api.Error `json:"error"`
	}
	if err := json.Unmarshal(answer, &decoded); err != nil {
		t.Fatalf("%s %s: %d %q", at.method, at.path, recorder.Code, answer)
	}
	if recorder.Code >= http.StatusBadRequest && (decoded.Error == nil || decoded.Error.Code == "" || decoded.Error.Message == "") {
		t.Fatalf("%s %s: %d without a sentence: %q", at.method, at.path, recorder.Code, answer)
	}
	const longest = 16 << 10 // Octavia logs it, and the user reads a part
	if len(answer) > longest {
		t.Fatalf("%s %s: an answer of %d bytes: %.300q", at.method, at.path, len(answer), answer)
	}
}

func bodies() []string {
	return []string{
		"", "{}", "null", "[]", "0", `""`, treeJSON, newListener, newPool, newMember, newPolicy, newRule, vipRequest,
		`{"members": [` + newMember + `]}`, `{"members": null}`, `{"members": {}}`, `{"flavor": null}`,
		`{"session_persistence": {"type": "SOURCE_IP"}, "healthmonitor": {}, "listener_id": "` + listenerID + `"}`,
		`{"flavor": {"loadbalancer_topology": []}, "availability_zone": [1], "l7policies": [{"rules": [{}]}]}`,
		`{"name": "a", "name": "b", "Name": "c"}`, "{\"name\": \"\xff\"}", `{"name": "\ud800"}`, `{"name": "\u0000"}`, `{"weight": -0.0e-0}`,
		`{"weight": 1e400}`, `{"admin_state_up": "true"}`, `{"protocol_port": 80.0}`, `{"insert_headers": {"": ""}}`, `{"tls_container_data": []}`,
		`{"listener_id": "` + newID + `", "loadbalancer_id": "` + lbID + `", "protocol": "TERMINATED_HTTPS", "protocol_port": 443,
			"default_tls_container_ref": "r", "default_tls_container_data": {"certificate": "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----",
			"private_key": "-----BEGIN X\r\n-----\nAA==\n-----END X\r\n-----", "intermediates": ["x", null]}, "tls_versions": ["SSLv3"],
			"sni_container_refs": ["a", "b"], "sni_container_data": [{"certificate": "x", "passphrase": "y"}], "tls_ciphers": "PSK:\r\n"}`,
	}
}

// keys are the keys of all objects of Octavia.
func keys() []string {
	names := []string{"members", "flavor", "vip", "additional_vips", "unknown", "Name", ""}
	for _, object := range []any{
		model.LoadBalancer{},
		model.AdditionalVIP{},
		model.Listener{},
		model.TLSContainer{},
		model.Pool{},
		model.SessionPersistence{},
		model.Member{},
		model.HealthMonitor{},
		model.L7Policy{},
		model.L7Rule{},
		model.VIPRequest{},
		model.VIP{},
	} {
		for field := range reflect.TypeOf(object).Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// writer writes JSON by the bytes of a fuzzer; at their end it writes what is shortest.
type writer struct {
	data  []byte
	names []string
}

func (w *writer) below(limit int) int {
	if len(w.data) == 0 {
		return 0
	}
	value := int(w.data[0])
	w.data = w.data[1:]
	return value % limit
}

func (w *writer) object(depth int) string {
	var text strings.Builder
	for i := range w.below(8) {
		if i > 0 {
			text.WriteByte(',')
		}
		text.WriteString(strconv.Quote(w.names[w.below(len(w.names))]) + ":" + w.value(depth+1))
	}
	return "{" + text.String() + "}"
}

func (w *writer) value(depth int) string {
	scalars := []string{
		"null", "true", "false", "0", "1", "80", "-1", "1.1", "1e9", "2147483648", `""`, `"x"`, `"HTTP"`, `"TCP"`, `"UDP"`, `"TERMINATED_HTTPS"`, `"MANDATORY"`, `"TLSv1.2"`, `"PSK"`, `"ROUND_ROBIN"`, `"192.0.2.7"`,
		`"2001:db8::7"`, `"true"`, `"REJECT"`, `"REDIRECT_TO_URL"`, `"PATH"`, `"REGEX"`, `"(("`, `"https://u.example/"`, `"` + lbID + `"`,
		`"` + listenerID + `"`, `"` + poolID + `"`, `"` + memberID + `"`, `"` + newID + `"`, `"\r\n"`, `"\u0000"`, `"\ud800"`, "\"\xff\"",
		`"` + strings.Repeat("x", 300) + `"`, `{"` + strings.Repeat("k", 300) + `":1}`, `{"X-Forwarded-For":"true"}`, `{"loadbalancer_topology":"SINGLE"}`,
	}
	choice := w.below(len(scalars) + 30)
	switch {
	case choice < len(scalars) || depth > 6:
		return scalars[choice%len(scalars)]
	case choice < len(scalars)+15:
		return w.object(depth)
	}
	elements := make([]string, w.below(4))
	for i := range elements {
		elements[i] = w.value(depth + 1)
	}
	return "[" + strings.Join(elements, ",") + "]"
}
