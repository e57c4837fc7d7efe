package translate

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestACCESSLOGHoldsEveryField keeps the documentation what the code says: its table, and the names in its lines.
func TestACCESSLOGHoldsEveryField(t *testing.T) {
	const path, begin = "../../amphora-image/agent/ACCESSLOG.md", "| field | of | Envoy's operator | what it says |\n|---|---|---|---|\n"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	table, after, ended := strings.Cut(rest, "\n**")
	if !found || !ended {
		t.Fatal("the page has no table")
	}
	var want strings.Builder
	for _, field := range AccessLogFields() {
		var letters []byte
		var operators []string
		for i, format := range []string{field.HTTP, field.TCP, field.UDP} {
			if format != "" {
				letters = append(letters, "HTU"[i])
				operators = append(operators, "`"+format+"`")
			}
		}
		slices.Sort(operators)
		fmt.Fprintf(&want, "| `%s` | %s | %s | %s |\n", field.Name, letters, strings.Join(slices.Compact(operators), ", "), field.Help)
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+want.String()+"\n**"+after), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if table != want.String() {
		t.Errorf("the table is not that of the code: run the test with -update\n%s", cmp.Diff(table, want.String()))
	}
	lines := 0
	for text := range strings.Lines(before) {
		if !strings.HasPrefix(text, "{") {
			continue
		}
		var sample line
		if err := json.Unmarshal([]byte(text), &sample); err != nil {
			t.Fatal(err)
		}
		lines++
		protocol, _ := sample["listener_protocol"].(string)
		sameNames(t, sample, func(f AccessLogField) string { return f.format(protocol) })
	}
	if lines != 3 {
		t.Errorf("%d lines as samples, want those of HTTP, HTTPS and UDP", lines)
	}
}
