package translate

import (
	"errors"
	"fmt"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// ValidationError says that something in a tree cannot be served, and what is left out because of it.
type ValidationError struct {
	// Owner is the Octavia object at fault.
	Owner model.Ref
	// Field is the attribute of it in Octavia's words, or Envoy's field where Envoy's own rules were broken.
	Field string
	// Reason is a sentence for the user, without full stop.
	Reason string
}

// Error reads "listener <id>: <field>: <reason>".
func (e *ValidationError) Error() string {
	// An id in a hostile row can be of any length.
	text := fmt.Sprintf("%s %.*s: ", e.Owner.Kind, maxIDLength, e.Owner.ID)
	if e.Field != "" {
		text += e.Field + ": "
	}
	return text + e.Reason
}

// Problems returns the ValidationErrors that an error of LoadBalancer joins, in the order of the tree; nil for nil.
func Problems(err error) []*ValidationError {
	if joined, ok := err.(interface{ Unwrap() []error }); ok { // the join itself is wanted, not what it wraps
		var all []*ValidationError
		for _, one := range joined.Unwrap() {
			all = append(all, Problems(one)...)
		}
		return all
	}
	if problem, ok := errors.AsType[*ValidationError](err); ok {
		return []*ValidationError{problem}
	}
	return nil
}
