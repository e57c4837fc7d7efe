package translate

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

var update = flag.Bool("update", false, "rewrite the golden files and delete stale ones")

// TestGolden translates testdata/<case>/in.yaml and compares with the files beside it: one for each type that has
// resources, and errors.txt where something was left out.
func TestGolden(t *testing.T) {
	for _, dir := range cases(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			res, problem := LoadBalancer(readTree(t, dir))
			got, err := yamlFiles(res)
			if err != nil {
				t.Fatal(err)
			}
			if problem != nil {
				got["errors.txt"] = []byte(problem.Error() + "\n")
			}
			if *update {
				writeGolden(t, dir, got)
			}
			want := readGolden(t, dir)
			for name := range want {
				if _, ok := got[name]; !ok {
					t.Errorf("%s is stale: run the test with -update", name)
				}
			}
			for name, text := range got {
				if diff := cmp.Diff(strings.Split(string(want[name]), "\n"), strings.Split(string(text), "\n")); diff != "" {
					t.Errorf("%s differs (-want +got); read it, then run the test with -update:\n%s", name, diff)
				}
			}
		})
	}
}

func cases(tb testing.TB) []string {
	tb.Helper()
	inputs, err := filepath.Glob("testdata/*/in.yaml")
	if err != nil || len(inputs) == 0 {
		tb.Fatalf("no cases: %v", err)
	}
	for i, input := range inputs {
		inputs[i] = filepath.Dir(input)
	}
	return inputs
}

func readTree(tb testing.TB, dir string) *model.LoadBalancer {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "in.yaml"))
	if err != nil {
		tb.Fatal(err)
	}
	document, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		tb.Fatal(err)
	}
	tree := decodeTree(tb, document)
	fillSecrets(tb, tree)
	return tree
}

func decodeTree(tb testing.TB, document []byte) *model.LoadBalancer {
	tb.Helper()
	tree := &model.LoadBalancer{}
	if err := json.Unmarshal(document, tree); err != nil {
		tb.Fatal(err)
	}
	return tree
}

func readGolden(tb testing.TB, dir string) map[string][]byte {
	tb.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	files := map[string][]byte{}
	for _, entry := range entries {
		if entry.Name() == "in.yaml" {
			continue
		}
		if files[entry.Name()], err = os.ReadFile(filepath.Join(dir, entry.Name())); err != nil {
			tb.Fatal(err)
		}
	}
	return files
}

func writeGolden(tb testing.TB, dir string, files map[string][]byte) {
	tb.Helper()
	old := readGolden(tb, dir)
	for name := range old {
		if _, ok := files[name]; !ok {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				tb.Fatal(err)
			}
		}
	}
	for name, text := range files {
		if bytes.Equal(old[name], text) {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			tb.Fatal(err)
		}
	}
}
