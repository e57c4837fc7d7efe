package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// Kinds of errors, for errors.Is.
var (
	// ErrConflict says that the address is taken, or that the subnet has none left.
	ErrConflict = errors.New("conflict")
	// ErrInvalid says that the request asks for something that does not fit, see Error.Field.
	ErrInvalid = errors.New("invalid")
	// ErrNotFound says that Neutron has no such port, subnet or network.
	ErrNotFound = errors.New("not found")
	// ErrUnavailable says that Neutron or Keystone did not do its part.
	ErrUnavailable = errors.New("unavailable")
)

// Error is what was wrong with a request for a VIP.
type Error struct {
	// Kind is one of ErrConflict, ErrInvalid, ErrNotFound, ErrUnavailable.
	Kind error
	// Field names the attribute at fault as the provider API spells it, vip.vip_address for example; empty if none.
	Field string
	// Message is a sentence for the user.
	Message string
	// Cause is for the operator; it may be nil.
	Cause error
}

// Error returns message and cause.
func (e *Error) Error() string {
	text := e.Message
	if e.Field != "" {
		text = e.Field + ": " + text
	}
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap returns the kind and the cause.
func (e *Error) Unwrap() []error { return []error{e.Kind, e.Cause} }

// Conflict reports whether the address is taken.
func (e *Error) Conflict() bool { return errors.Is(e.Kind, ErrConflict) }

// Invalid reports whether the request is at fault.
func (e *Error) Invalid() bool {
	return errors.Is(e.Kind, ErrInvalid) || errors.Is(e.Kind, ErrNotFound)
}

// UserField is the attribute at fault.
func (e *Error) UserField() string { return e.Field }

// UserMessage is the sentence for the user.
func (e *Error) UserMessage() string { return e.Message }

// neutronError is the body of Neutron's 4xx answers.
type neutronError struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

func decodeNeutronError(err error) (int, neutronError) {
	var unexpected gophercloud.ErrUnexpectedResponseCode
	if !errors.As(err, &unexpected) {
		return 0, neutronError{}
	}
	var body struct {
		NeutronError neutronError `json:"NeutronError"`
	}
	_ = json.Unmarshal(unexpected.Body, &body) // not everything that answers is Neutron
	return unexpected.Actual, body.NeutronError
}

// notFoundOr translates the error of a look-up of a thing that the user named.
func notFoundOr(err error, field, what, id string) error {
	if gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
		return &Error{Kind: ErrNotFound, Field: field, Message: fmt.Sprintf("The %s %s does not exist.", what, id)}
	}
	return unavailable("read "+what+" "+id, err)
}

func unavailable(what string, err error) error {
	return &Error{
		Kind: ErrUnavailable, Message: "The network service could not be used. Try again later.",
		Cause: fmt.Errorf("%s: %w", what, err),
	}
}

// createError translates Neutron's refusal of a port for a request's VIPs.
func createError(err error, request model.VIPRequest) error {
	status, neutron := decodeNeutronError(err)
	field, address := accused(request, neutron.Message)
	if field == "" {
		field = "vip"
	}
	switch {
	case neutron.Type == "OverQuota":
		return &Error{Kind: ErrUnavailable, Message: "The project's quota of ports is used up.", Cause: err}
	case neutron.Type == "IpAddressGenerationFailure":
		return &Error{Kind: ErrConflict, Message: "No address is left on network " + request.VIP.NetworkID + ".", Cause: err}
	case status == http.StatusConflict:
		message := "The address is in use."
		if address != "" {
			message = "The address " + address + " is in use."
		}
		return &Error{Kind: ErrConflict, Field: field, Message: message, Cause: err}
	case status == http.StatusBadRequest && neutron.Message != "":
		return &Error{Kind: ErrInvalid, Field: field, Message: neutron.Message, Cause: err}
	case status == http.StatusNotFound:
		return &Error{Kind: ErrNotFound, Field: "vip", Message: "The network, subnet or security group of the VIP does not exist.", Cause: err}
	}
	return unavailable("create VIP port", err)
}
