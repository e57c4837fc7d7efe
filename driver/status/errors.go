package status

import (
	"errors"
	"fmt"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

var (
	// ErrUnreachable is a driver-agent that nothing could be sent to. It has seen nothing of the request.
	ErrUnreachable = errors.New("the driver-agent is unreachable")
	// ErrGone is an object that Octavia does not have: deleted, rolled back, or not committed yet.
	ErrGone = errors.New("Octavia does not have the object") //nolint:staticcheck // a name
	// ErrNoAnswer is a driver-agent that took the request and closed the connection without an answer.
	ErrNoAnswer = errors.New("the driver-agent closed the connection without an answer")
)

// RecordError is a record of a status message that the driver-agent refused. The records before it are applied, the
// records after it are not.
type RecordError struct {
	Kind model.Kind
	// ID is the refused object's; "" when the record had none.
	ID string
	// Fault is the agent's text: for operators, it may quote SQL.
	Fault string
}

// Error says which object was refused and why.
func (e *RecordError) Error() string {
	return fmt.Sprintf("the driver-agent refused the status of %s %s: %s", e.Kind, e.ID, e.Fault)
}
