package store

import (
	"strings"
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
	if trees.get("lb", "text", sealed) != nil || trees.kept.bytes != 0 {
		t.Error("what was dropped is still there")
	}
}

// What is kept has a bound: what was used longest ago goes first, and what is larger is not kept.
func TestKeptTreesAreBounded(t *testing.T) {
	trees := newTrees(100, nil)
	text := strings.Repeat("x", 40)
	for _, id := range []string{"a", "b"} {
		trees.put(id, text, nil, &model.LoadBalancer{ID: id})
	}
	if trees.get("a", text, nil) == nil {
		t.Error("a is gone")
	}
	trees.put("c", text, nil, &model.LoadBalancer{ID: "c"})
	trees.put("large", strings.Repeat("x", 101), nil, &model.LoadBalancer{ID: "large"})
	if trees.get("b", text, nil) != nil || trees.get("a", text, nil) == nil || trees.get("c", text, nil) == nil {
		t.Error("not the one that was used longest ago is gone")
	}
	if trees.kept.bytes != 80 || len(trees.kept.byID) != 2 || trees.kept.order.Len() != 2 {
		t.Errorf("%d bytes of %d trees", trees.kept.bytes, len(trees.kept.byID))
	}
}
