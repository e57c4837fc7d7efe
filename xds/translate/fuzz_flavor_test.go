package translate_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"

	"github.com/octavia-envoy/octavia-envoy/driver/flavor"
)

// schema is what of a JSON schema makes a value.
type schema struct {
	Type       string             `json:"type"`
	Properties map[string]*schema `json:"properties"`
	Required   []string           `json:"required"`
	Items      *schema            `json:"items"`
	Enum       []string           `json:"enum"`
	Minimum    float64            `json:"minimum"`
	Maximum    float64            `json:"maximum"`
	MinItems   int                `json:"minItems"`
}

// flavor makes the metadata of a flavor by the schema, so that a key that is added is covered.
func (g *generator) flavor() map[string]any {
	root := &schema{}
	if err := json.Unmarshal([]byte(flavor.Schema()), root); err != nil {
		panic(err)
	}
	metadata := g.group(root, 3)
	if g.hostile() {
		key := pick(g, append(hostileTexts(), slices.Sorted(maps.Keys(root.Properties))...))
		metadata[key] = pick(g, []any{nil, 1.0, -1.0, 0.5, "x", true, []any{}, []any{"x"}, map[string]any{}, map[string]any{"x": nil}})
	}
	return metadata
}

// group makes an object that has one in n of its keys that need not be there.
func (g *generator) group(s *schema, n int) map[string]any {
	object := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if slices.Contains(s.Required, name) || g.below(n) == 1 {
			object[name] = g.setting(s.Properties[name])
		}
	}
	return object
}

func (g *generator) setting(s *schema) any {
	if g.hostile() {
		return pick(g, []any{nil, 0.0, -1.0, s.Maximum + 1, 1e300, "x", "", "a\r\nb", true, []any{}, map[string]any{}})
	}
	switch s.Type {
	case "object":
		return g.group(s, 2)
	case "array":
		list := []any{}
		for range max(s.MinItems, 1) + g.below(2) {
			element := g.setting(s.Items)
			if !slices.ContainsFunc(list, func(other any) bool { return reflect.DeepEqual(other, element) }) {
				list = append(list, element)
			}
		}
		return list
	case "string":
		if len(s.Enum) == 0 {
			return pick(g, []string{"text/html", "application/json", "a/b", "image/svg+xml"})
		}
		return pick(g, s.Enum)
	case "boolean":
		return g.below(2) == 1
	}
	return pick(g, []any{s.Minimum, s.Maximum, min(max(s.Minimum, 1000), s.Maximum), min(2*s.Minimum, s.Maximum)})
}
