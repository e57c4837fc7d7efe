package store

import (
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// A tree is given out for the very text and secrets that it is made of, whoever wrote them and whichever came before.
func TestKeptTrees(t *testing.T) {
	trees := newTrees(100, nil)
	tree := &model.LoadBalancer{ID: "lb"}
	sealed := &secretsRow{KeyID: "k", Sealed: []byte("1")}
	trees.put("lb", "text", sealed, tree)
	for _, c := range []struct {
		what, text string
		secrets    *secretsRow
		kept       bool
	}{
		{"the same", "text", &secretsRow{KeyID: "k", Sealed: []byte("1")}, true},
		{"another text: a change by another controller, or an older one from a backup", "else", sealed, false},
		{"other secrets below the same text: a renewed bundle", "text", &secretsRow{KeyID: "k", Sealed: []byte("2")}, false},
		{"another key", "text", &secretsRow{KeyID: "j", Sealed: []byte("1")}, false},
		{"no secrets any more", "text", nil, false},
		{"the same after all", "text", sealed, true},
	} {
		if got := trees.get("lb", c.text, c.secrets); (got == tree) != c.kept || (got == nil) == c.kept {
			t.Errorf("%s: got %v", c.what, got)
		}
	}
	trees.drop("lb")
	if trees.get("lb", "text", sealed) != nil || len(trees.kept.IDs()) != 0 {
		t.Error("what was dropped is still there")
	}
}
