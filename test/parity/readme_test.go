package parity

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the table of allowed differences into README.md")

// TestReadme holds the table of README.md against the list in code.
func TestReadme(t *testing.T) {
	const name, head = "README.md", "| difference | why it is allowed |\n|---|---|\n"
	document, err := os.ReadFile(name)
	must(t, err)
	before, table, found := strings.Cut(string(document), head)
	if !found {
		t.Fatalf("%s has no table that begins with %q", name, head)
	}
	var want strings.Builder
	seen := map[string]bool{}
	for _, d := range differences() {
		fmt.Fprintf(&want, "| %s | %s |\n", d.name, d.reason)
		if seen[d.name] {
			t.Errorf("two differences have the name %q", d.name)
		}
		seen[d.name] = true
	}
	if *update {
		must(t, os.WriteFile(name, []byte(before+head+want.String()), 0o600))
		return
	}
	if diff := cmp.Diff(want.String(), table); diff != "" {
		t.Errorf("run `go test ./test/parity -run TestReadme -update` (-want +got):\n%s", diff)
	}
}
