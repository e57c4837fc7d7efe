package flavor_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/flavor"
)

// FuzzParse holds for any metadata: no panic; either a Flavor or problems, each a sentence that is short; the same twice;
// and what a Flavor says is right again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(everything))
	for _, key := range flavor.Keys() {
		group, name, found := strings.Cut(key.Path, ".")
		for _, value := range []string{`null`, `0`, `-1`, `1e999999`, `1.5`, `"2"`, `[]`, `["5xx", 1, {}]`, `{}`, `true`, key.Default} {
			switch {
			case value == "":
			case found:
				f.Add([]byte(`{"` + group + `": {"` + name + `": ` + value + `}}`))
			default:
				f.Add([]byte(`{"` + group + `": ` + value + `}`))
			}
		}
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		var metadata map[string]any
		decoder := json.NewDecoder(bytes.NewReader(document))
		decoder.UseNumber()
		if decoder.Decode(&metadata) != nil {
			return
		}
		parsed, problems := flavor.Parse(metadata)
		again, problemsAgain := flavor.Parse(metadata)
		if (parsed == nil) != (again == nil) || len(problems) != len(problemsAgain) {
			t.Fatalf("not the same twice: %v, then %v", problems, problemsAgain)
		}
		if (parsed == nil) == (len(problems) == 0) {
			t.Fatalf("a flavor %v and the problems %v", parsed, problems)
		}
		for i, p := range problems {
			if p != problemsAgain[i] {
				t.Fatalf("not the same twice: %v, then %v", p, problemsAgain[i])
			}
			if !strings.HasSuffix(p.Message, ".") || len(p.Message) > 500 {
				t.Errorf("%d bytes, not a sentence: %s", len(p.Message), p.Message)
			}
		}
		if parsed == nil {
			return
		}
		text, err := json.Marshal(parsed)
		if err != nil {
			t.Fatal(err)
		}
		var said map[string]any
		if err := json.Unmarshal(text, &said); err != nil {
			t.Fatal(err)
		}
		if _, problems := flavor.Parse(said); len(problems) > 0 {
			t.Errorf("%s was right and became %s: %v", document, text, problems)
		}
	})
}
