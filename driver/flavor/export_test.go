package flavor

import (
	"maps"
	"slices"
)

// Key is a key of the metadata.
type Key struct {
	// Path leads to it: retries.attempts.
	Path string
	// Description is what it does and costs, as the schema says it.
	Description string
	// Value is what it can be: "a whole number between 1 and 10".
	Value string
	// Default is what holds without it, in JSON; "" when nothing does.
	Default string
	// Required reports that its group cannot be without it.
	Required bool
}

// Keys returns all keys, sorted by path; that of a group comes before those in it.
func Keys() []Key { return keysOf(schema().root, "") }

func keysOf(group *node, path string) []Key {
	var keys []Key
	for _, name := range slices.Sorted(maps.Keys(group.Properties)) {
		property := group.Properties[name]
		keys = append(keys, Key{
			Path:        path + name,
			Description: property.Description,
			Value:       property.value(),
			Default:     string(property.Default),
			Required:    slices.Contains(group.Required, name),
		})
		keys = append(keys, keysOf(property, path+name+".")...)
	}
	return keys
}
