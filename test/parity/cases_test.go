package parity

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/octavia-envoy/octavia-envoy/driver/capabilities"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// testCase is a load balancer and an exchange that are worth keeping: testdata has one of each difference that is allowed,
// and those that were mended. The report of a difference prints one, to be put there.
type testCase struct {
	// Allowed are names of differences that show; there may be others that are allowed, too.
	Allowed      []string            `json:"allowed,omitempty"`
	LoadBalancer *model.LoadBalancer `json:"loadbalancer"`
	Exchange     exchange            `json:"exchange"`
}

const casesFolder = "testdata"

// tries is how often a case may be tried until it shows: which member is met, and in what pieces bytes come, is chance.
const tries = 5

// cases has the cases of testdata, and with that a proof that each difference on the list is there.
func (b *bench) cases() {
	t := b.t
	files, err := filepath.Glob(filepath.Join(casesFolder, "*.yaml"))
	must(t, err)
	missing := map[string]bool{}
	for _, d := range differences() {
		missing[d.name] = true
	}
	for chunk := range slices.Chunk(files, batchSize) {
		cases, trees := make([]testCase, len(chunk)), make([]*model.LoadBalancer, len(chunk))
		for i, file := range chunk {
			cases[i] = readCase(t, file)
			trees[i] = cases[i].LoadBalancer
			if problems := capabilities.Check(trees[i]); len(problems) > 0 {
				t.Fatalf("%s: %v", file, problems)
			}
			for _, name := range cases[i].Allowed {
				delete(missing, name)
			}
		}
		sites, stop := b.batch(trees)
		parallel(len(chunk), func(i int) { cases[i].run(t, filepath.Base(chunk[i]), sites[i]) })
		stop()
	}
	for name := range missing {
		t.Errorf("no case in %s shows the allowed difference %q: see README.md", casesFolder, name)
	}
}

func (c *testCase) run(t *testing.T, name string, s *site) {
	t.Helper()
	shown := map[string]bool{}
	for range tries {
		tried := s.try(t.Context(), &c.Exchange)
		if found := tried.unexplained(); len(found) > 0 {
			t.Errorf("%s:\n%s", name, report(tried, s.config, found))
			return
		}
		for _, allowed := range tried.explain() {
			shown[allowed] = true
		}
		if !slices.ContainsFunc(c.Allowed, func(allowed string) bool { return !shown[allowed] }) {
			return
		}
	}
	for _, allowed := range c.Allowed {
		if !shown[allowed] {
			t.Errorf("%s: the difference %q does not show: take it off the list, or mend the case", name, allowed)
		}
	}
}

func readCase(t *testing.T, file string) testCase {
	t.Helper()
	document, err := os.ReadFile(file)
	must(t, err)
	var c testCase
	if err := yaml.UnmarshalStrict(document, &c); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return c
}

// String is the case as it stands in a file, with small ids and without what is as by default.
func (c *testCase) String() string {
	document, err := json.Marshal(c)
	if err != nil {
		return fmt.Sprint(err)
	}
	ids := map[string]string{}
	document = bareID.ReplaceAllFunc(document, func(id []byte) []byte {
		if ids[string(id)] == "" {
			ids[string(id)] = fmt.Sprintf("%08d-0000-4000-8000-000000000000", len(ids)+1)
		}
		return []byte(ids[string(id)])
	})
	var all any
	if err := json.Unmarshal(document, &all); err != nil {
		return fmt.Sprint(err)
	}
	written, err := yaml.Marshal(pruned("", all))
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(written)
}

// pruned leaves out what a reader, human or not, takes for granted.
func pruned(key string, value any) any {
	switch v := value.(type) {
	case map[string]any:
		delete(v, "sni_container_data") // it is by name
		for name, inner := range v {
			if inner = pruned(name, inner); inner == nil {
				delete(v, name)
			} else {
				v[name] = inner
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		for i := range v {
			v[i] = pruned("", v[i])
		}
		if len(v) == 0 {
			return nil
		}
	case string:
		if v == "" && key != "value" {
			return nil
		}
	case bool:
		if v == (key == "admin_state_up") {
			return nil
		}
	case float64:
		defaults := map[string]float64{
			"connection_limit": model.UnlimitedConnections, "timeout_client_data": model.DefaultTimeoutClientData, "weight": model.DefaultMemberWeight,
			"timeout_member_connect": model.DefaultTimeoutMemberConnect, "timeout_member_data": model.DefaultTimeoutMemberData,
		}
		if v == defaults[key] && key != "listener" {
			return nil
		}
	}
	return value
}

// showing is the probe of a difference that is allowed.
func showing(name string) probe {
	return func(ctx context.Context, s *site, x *exchange) (*trial, []difference) {
		t := s.try(ctx, x)
		if !slices.Contains(t.explain(), name) || len(t.unexplained()) > 0 {
			return t, nil
		}
		return t, []difference{{Where: name}}
	}
}

// caseFile is where the case of an allowed difference is.
func caseFile(name string) string {
	return filepath.Join(casesFolder, strings.Map(func(r rune) rune {
		if strings.ContainsRune(" /", r) {
			return '-'
		}
		return r
	}, strings.ToLower(name))+".yaml")
}

// writeCases writes cases of the differences that have none, from trials in which they showed.
func (b *bench) writeCases(seen map[string]*trial) {
	b.t.Helper()
	for _, d := range differences() {
		file := caseFile(d.name)
		if _, err := os.Stat(file); err == nil || seen[d.name] == nil {
			continue
		}
		t, _ := b.shrink(b.t.Context(), showing(d.name), seen[d.name].lb, seen[d.name].exchange, d.name)
		if t == nil {
			b.t.Logf("%q does not show again by itself", d.name)
			continue
		}
		c := &testCase{Allowed: []string{d.name}, LoadBalancer: t.lb, Exchange: *t.exchange}
		must(b.t, os.WriteFile(file, []byte(c.String()), 0o600))
		b.t.Logf("wrote %s", file)
	}
}
