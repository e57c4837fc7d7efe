package translate

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// FuzzTranslate holds for any tree at all: no panic; what comes out obeys Envoy's rules and is whole; what is missing is
// said, with its object; twice the same tree gives twice the same.
//
// The input is a tree as JSON and a seed, from which values anywhere in the tree are replaced by hostile ones.
func FuzzTranslate(f *testing.F) {
	for _, dir := range cases(f) {
		text, err := os.ReadFile(filepath.Join(dir, "in.yaml"))
		if err != nil {
			f.Fatal(err)
		}
		document, err := yaml.YAMLToJSON(text)
		if err != nil {
			f.Fatal(err)
		}
		for seed := range uint64(20) {
			f.Add(document, seed)
		}
	}
	f.Add([]byte(`null`), uint64(0))
	f.Fuzz(func(t *testing.T, document []byte, seed uint64) {
		tree := &model.LoadBalancer{}
		if json.Unmarshal(document, tree) != nil {
			return
		}
		if seed > 0 {
			m := &mutator{rand.New(rand.NewPCG(seed, 0))} // it shall be the same every time
			for range 1 + m.IntN(4) {
				m.mutate(reflect.ValueOf(tree).Elem())
			}
		}
		holds(t, tree)
	})
}

// holds checks what is true of every translation.
func holds(t *testing.T, tree *model.LoadBalancer) {
	t.Helper()
	res, err := LoadBalancer(tree)
	for _, typeURL := range TypeURLs() {
		for name, message := range res.All(typeURL) {
			if name == "" {
				t.Errorf("a %s has no name", typeURL)
			}
			if broken := message.(validated).ValidateAll(); broken != nil {
				t.Errorf("%s: %v", name, broken)
			}
		}
	}
	for _, problem := range check(res) {
		t.Error(problem)
	}
	problems := Problems(err)
	if err != nil && len(problems) == 0 {
		t.Errorf("an error without problems: %v", err)
	}
	for _, problem := range problems {
		if problem.Owner.Kind == "" || problem.Reason == "" {
			t.Errorf("a problem of nobody or without reason: %+v", problem)
		}
		if len(problem.Reason) > 512 {
			t.Errorf("a reason of %d bytes", len(problem.Reason))
		}
	}
	for _, note := range res.Notes {
		if note.Owner.ID == "" || note.Text == "" || len(note.Text) > 2048 {
			t.Errorf("no note for a log: %+v", note)
		}
	}
	if err == nil && tree.AdminStateUp {
		for i := range tree.Listeners {
			if l := &tree.Listeners[i]; l.AdminStateUp && res.Listeners[l.ID] == nil {
				t.Errorf("the listener %s is missing in silence", l.ID)
			}
		}
	}
	if _, err := YAML(res); err != nil {
		t.Errorf("cannot be printed: %v", err)
	}
	if _, err := Static(res); err != nil {
		t.Errorf("cannot be rendered: %v", err)
	}
	again, errAgain := LoadBalancer(tree)
	if diff := cmp.Diff(marshalled(t, res), marshalled(t, again)); diff != "" {
		t.Errorf("another result for the same tree: %s", diff)
	}
	if diff := cmp.Diff(res.Notes, again.Notes); diff != "" {
		t.Errorf("other notes for the same tree: %s", diff)
	}
	if diff := cmp.Diff(problems, Problems(errAgain)); diff != "" {
		t.Errorf("other problems for the same tree: %s", diff)
	}
}

func marshalled(t *testing.T, res *Resources) map[Key]string {
	t.Helper()
	all := map[Key]string{}
	for _, typeURL := range TypeURLs() {
		for name, message := range res.All(typeURL) {
			data, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
			if err != nil {
				t.Fatal(err)
			}
			all[Key{typeURL, name}] = string(data)
		}
	}
	return all
}

// mutator replaces values in a tree.
type mutator struct{ *rand.Rand }

// mutate walks down to one value and replaces it.
func (m *mutator) mutate(value reflect.Value) {
	switch value.Kind() {
	case reflect.Struct:
		m.mutate(value.Field(m.IntN(value.NumField())))
	case reflect.Pointer:
		if value.IsNil() {
			value.Set(reflect.New(value.Type().Elem()))
			return
		}
		m.mutate(value.Elem())
	case reflect.Slice:
		switch element := reflect.New(value.Type().Elem()).Elem(); {
		case value.Len() > 0 && m.IntN(4) > 0:
			m.mutate(value.Index(m.IntN(value.Len())))
		case value.Len() > 0 && m.IntN(2) == 0:
			value.Set(reflect.Append(value, value.Index(m.IntN(value.Len()))))
		default:
			value.Set(reflect.Append(value, element))
		}
	case reflect.Map:
		if value.Type().Elem().Kind() == reflect.String {
			value.Set(reflect.ValueOf(map[string]string{m.text(): m.text()}))
		}
	case reflect.String:
		value.SetString(m.text())
	case reflect.Int:
		value.SetInt(m.number())
	case reflect.Bool:
		value.SetBool(!value.Bool())
	case reflect.Float64:
		value.SetFloat(math.NaN())
	}
}

func (m *mutator) text() string {
	all := []string{
		"", "::1", "0.0.0.0", "::ffff:192.0.2.1", "fe80::1%eth0", "192.0.2.1", "192.0.2.256", "blue", "web", "blue:web", "tcp:db", "a@b",
		"\x00", "\xff\xfe", "a\r\nb: c", "%DOWNSTREAM_LOCAL_PORT%", "%", strings.Repeat("x", 100_000), "../../etc", "true", "TRUE",
		"HTTP", "HTTPS", "TCP", "UDP", "SCTP", "PROXY", "TERMINATED_HTTPS", "ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_IP",
		"X-Forwarded-For", "NONE", "PROXYV2", "SOURCE_IP_PORT", "HTTP_COOKIE", "APP_COOKIE", "JSESSIONID", "10.0.0.1/8", "::/0", "1.2.3.4/33",
		"255.255.255.0", ":cookie", "REJECT", "REDIRECT_TO_URL", "REDIRECT_PREFIX", "REDIRECT_TO_POOL", "HOST_NAME", "PATH", "FILE_TYPE",
		"HEADER", "COOKIE", "SSL_DN_FIELD", "REGEX", "STARTS_WITH", "ENDS_WITH", "CONTAINS", "EQUAL_TO", ")|(", "(?i", "\\", "^(a|$)?", "[^?]*",
		"\"a b\"", "https://u.example/%", "(?:a{30}){30}", "\u0000\u00e9", ":path",
	}
	return all[m.IntN(len(all))]
}

func (m *mutator) number() int64 {
	all := []int64{0, 1, -1, -2, 80, 3306, 65535, 65536, 256, 257, math.MaxInt32, math.MaxInt32 + 1, math.MinInt64, math.MaxInt64}
	return all[m.IntN(len(all))]
}
