package flavor

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemaID is the schema's $id. Its number changes when what was right becomes wrong.
const schemaID = "urn:octavia-envoy:schema:flavor:1"

//go:embed schema.json
var schemaJSON string

// Schema returns the JSON Schema (draft 2020-12) of a flavor profile's metadata: every key, what it does, its unit and
// range, its default and what it costs.
func Schema() string { return schemaJSON }

// Descriptions returns what the keys at the top are for.
func Descriptions() map[string]string {
	descriptions := make(map[string]string)
	for name, property := range schema().root.Properties {
		descriptions[name] = property.Description
	}
	return descriptions
}

// node is a schema as far as sentences and tables are made from it. Whether a value is right decides the validator.
type node struct {
	Description string           `json:"description"`
	Type        string           `json:"type"`
	Properties  map[string]*node `json:"properties"`
	Required    []string         `json:"required"`
	Items       *node            `json:"items"`
	Enum        []string         `json:"enum"`
	Pattern     string           `json:"pattern"`
	Minimum     int              `json:"minimum"`
	Maximum     int              `json:"maximum"`
	MultipleOf  int              `json:"multipleOf"`
	MinItems    int              `json:"minItems"`
	MaxItems    int              `json:"maxItems"`
	Default     json.RawMessage  `json:"default"`
	// AllOf are rules across the properties. Their description is the sentence for whoever breaks one.
	AllOf []struct {
		Description string `json:"description"`
	} `json:"allOf"`
}

// value says what a property can be, to stand after "must be".
func (n *node) value() string {
	switch {
	case n.Type == "object":
		return "an object with " + enumerate(slices.Sorted(maps.Keys(n.Properties)), "and")
	case n.Type == "array":
		return "a list of " + n.Items.value()
	case n.Type == "boolean":
		return "true or false"
	case n.Enum != nil:
		quoted := make([]string, len(n.Enum))
		for i, value := range n.Enum {
			quoted[i] = `"` + value + `"`
		}
		return enumerate(quoted, "or")
	case n.Pattern != "":
		return `a media type in lower case, such as "text/html"`
	case n.MultipleOf != 0:
		return fmt.Sprintf("a multiple of %d between %d and %d", n.MultipleOf, n.Minimum, n.Maximum)
	default:
		return fmt.Sprintf("a whole number between %d and %d", n.Minimum, n.Maximum)
	}
}

// at returns the node of a value's place, and nil where the schema knows none.
func (n *node) at(location []string) *node {
	for _, step := range location {
		switch {
		case n == nil:
			return nil
		case n.Items != nil:
			n = n.Items
		default:
			n = n.Properties[step]
		}
	}
	return n
}

type compiled struct {
	validator *jsonschema.Schema
	root      *node
}

// schema compiles the schema once: it is a constant, and compiling takes as long as translating a load balancer.
var schema = sync.OnceValue(func() compiled {
	c, err := compile(schemaJSON)
	if err != nil {
		panic("the embedded schema of flavors: " + err.Error()) // each test of this package would fail before
	}
	return c
})

func compile(text string) (compiled, error) {
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return compiled{}, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	if err := compiler.AddResource(schemaID, document); err != nil {
		return compiled{}, err
	}
	validator, err := compiler.Compile(schemaID)
	if err != nil {
		return compiled{}, err
	}
	root := new(node)
	return compiled{validator, root}, json.Unmarshal([]byte(text), root)
}

// enumerate joins names as a sentence does: a, b and c.
func enumerate(names []string, word string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " " + word + " " + names[last]
}
