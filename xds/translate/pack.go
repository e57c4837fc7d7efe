package translate

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// validated is a message with the rules that Envoy itself applies, generated from its protos.
type validated interface {
	proto.Message
	ValidateAll() error
}

// pack validates a message, since the validation of what holds it does not look inside an Any, and packs it.
func pack(message validated) (*anypb.Any, error) {
	if err := message.ValidateAll(); err != nil {
		return nil, err
	}
	packed := &anypb.Any{}
	if err := anypb.MarshalFrom(packed, message, proto.MarshalOptions{Deterministic: true}); err != nil {
		return nil, fmt.Errorf("pack %s: %w", message.ProtoReflect().Descriptor().FullName(), err)
	}
	return packed, nil
}

// refused makes a ValidationError of what Envoy's own rules say about a resource that we built.
func refused(owner model.Ref, err error) *ValidationError {
	problem := &ValidationError{Owner: owner, Reason: err.Error()}
	var fields interface{ AllErrors() []error }
	if errors.As(err, &fields) && len(fields.AllErrors()) > 0 {
		err = fields.AllErrors()[0]
	}
	var field interface{ Field() string }
	if errors.As(err, &field) {
		problem.Field = field.Field()
	}
	return problem
}

func milliseconds(count int) *durationpb.Duration {
	return durationpb.New(time.Duration(count) * time.Millisecond)
}
