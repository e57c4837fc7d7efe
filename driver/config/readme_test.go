package config

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the table in README.md")

// TestREADMEHoldsEveryKey keeps the table of README.md what the code says.
func TestREADMEHoldsEveryKey(t *testing.T) {
	const begin = "| key | default | what for |\n|---|---|---|\n"
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, table, found := strings.Cut(string(readme), begin)
	if !found {
		t.Fatal("README.md has no table")
	}
	var want strings.Builder
	for _, key := range Keys() {
		fallback := ""
		if key.Default != "" {
			fallback = "`" + key.Default + "`"
		}
		fmt.Fprintf(&want, "| `%s` | %s | %s |\n", key.Path, fallback, key.Help)
	}
	if *update {
		if err := os.WriteFile("README.md", []byte(before+begin+want.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if table != want.String() {
		t.Errorf("the table is not that of the code; run: go test ./driver/config -run README -update\n--- README.md\n%s--- code\n%s",
			table, want.String())
	}
}
