package api

import (
	"github.com/octavia-envoy/octavia-envoy/api/wire"
	"github.com/octavia-envoy/octavia-envoy/driver/capabilities"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// merge applies a change to the object of the tree that current points to and returns what it touched. known is false
// when the tree did not have the object; current holds a stand-in then, which has nothing wrong with it, and only what
// the change names is judged.
func merge[T any](t *tree, current *T, known bool, change []byte, path string, ref model.Ref) (touched, error) {
	merged, keys, err := wire.Merge(*current, change)
	if err != nil {
		return touched{}, malformed(err)
	}
	*current = merged
	result := touched{path: path, own: ref}
	if !known {
		t.partial = true
		result.keys = keys
	}
	return result, nil
}

// requireID checks an id that a body must have.
func requireID(field, id string) error {
	if !capabilities.ValidID(id) {
		return invalid(field, "%s must be given, as a UUID.", field)
	}
	return nil
}

// optionalID checks an id that a body may have.
func optionalID(field, id string) error {
	if id == "" {
		return nil
	}
	return requireID(field, id)
}

// firstError returns the first of the errors that is not nil.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
