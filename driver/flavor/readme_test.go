package flavor_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/flavor"
)

var update = flag.Bool("update", false, "rewrite the table in README.md")

// TestREADMEHoldsEveryKey keeps the table of README.md what the schema says.
func TestREADMEHoldsEveryKey(t *testing.T) {
	const begin = "| key | value | default | what it does and costs |\n|---|---|---|---|\n"
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(readme), begin)
	if !found {
		t.Fatal("README.md has no table")
	}
	table, after, _ := strings.Cut(rest, "\n\n")
	var want []string
	for _, key := range flavor.Keys() {
		required, value, fallback := "", key.Value, ""
		if key.Required {
			required = `\*`
		}
		if strings.HasPrefix(value, "an object with ") {
			value = "a group"
		}
		if key.Default != "" {
			fallback = "`" + regexp.MustCompile(`\s+`).ReplaceAllString(key.Default, " ") + "`"
		}
		want = append(want, fmt.Sprintf("| `%s`%s | %s | %s | %s |", key.Path, required, value, fallback, key.Description))
	}
	text := strings.Join(want, "\n")
	if *update {
		if err := os.WriteFile("README.md", []byte(before+begin+text+"\n\n"+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if strings.TrimSuffix(table, "\n") != text {
		t.Errorf("the table is not that of the schema; run: go test ./driver/flavor -run README -update\n--- README.md\n%s\n--- schema\n%s",
			table, text)
	}
}
