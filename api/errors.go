package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/octavia-envoy/octavia-envoy/api/wire"
	"github.com/octavia-envoy/octavia-envoy/driver/capabilities"
)

// Code is what an error means to the shim, which makes one of octavia-lib's exceptions of it.
type Code string

// The codes of the API and their HTTP status.
const (
	CodeInvalid           Code = "invalid"            // 400
	CodeUnauthorized      Code = "unauthorized"       // 403
	CodeNotFound          Code = "not_found"          // 404
	CodeConflict          Code = "conflict"           // 409
	CodeTooLarge          Code = "too_large"          // 413
	CodeInternal          Code = "internal"           // 500
	CodeUnsupportedOption Code = "unsupported_option" // 501
	CodeNotImplemented    Code = "not_implemented"    // 501
	CodeUnavailable       Code = "unavailable"        // 503
)

// Error is the body of every answer from 400 on, below the key "error".
type Error struct {
	Code Code `json:"code"`
	// Field leads to what is wrong, from the object of the call: listeners[0].protocol; "" for the call as such.
	Field string `json:"field"`
	// Message is a sentence that the user of Octavia's API reads.
	Message string `json:"message"`
	// Detail is for the operator, in Octavia's log; "" when the message says it all.
	Detail string `json:"detail"`
	// Status replaces the HTTP status of the code, if it is not 0.
	Status int `json:"-"`
}

// Error returns the message and the detail.
func (e *Error) Error() string {
	if e.Detail == "" {
		return e.Message
	}
	return e.Message + " (" + e.Detail + ")"
}

func (e *Error) status() int {
	if e.Status != 0 {
		return e.Status
	}
	switch e.Code {
	case CodeInvalid:
		return http.StatusBadRequest
	case CodeUnauthorized:
		return http.StatusForbidden
	case CodeNotFound:
		return http.StatusNotFound
	case CodeConflict:
		return http.StatusConflict
	case CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case CodeUnsupportedOption, CodeNotImplemented:
		return http.StatusNotImplemented
	case CodeUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// refuse answers with an error.
func (s *server) refuse(c *gin.Context, err error) {
	answer := new(Error)
	if !errors.As(err, &answer) {
		answer = &Error{Code: CodeInternal, Message: internalMessage, Detail: "see the controller's log"}
	}
	c.Set(keyError, err)
	c.AbortWithStatusJSON(answer.status(), gin.H{"error": answer})
}

const internalMessage = "The controller has failed to handle the call."

func invalid(field, format string, args ...any) *Error {
	return &Error{Code: CodeInvalid, Field: field, Message: fmt.Sprintf(format, args...)}
}

// unavailable is a failure of something that the API needs: the call may work later.
func unavailable(what string, err error) *Error {
	return &Error{Code: CodeUnavailable, Message: what + "; please try again.", Detail: err.Error()}
}

func storeFailed(err error) *Error {
	return unavailable("The controller cannot reach its database", err)
}

// malformed is a body that package wire refused.
func malformed(err error) *Error {
	problem := new(wire.Error)
	if !errors.As(err, &problem) {
		return &Error{Code: CodeInternal, Message: internalMessage, Detail: err.Error()}
	}
	code := CodeInvalid
	if problem.TooLarge {
		code = CodeTooLarge
	}
	return &Error{Code: code, Field: problem.Problems[0].Field, Message: problem.Error()}
}

// unservable is an object that cannot be served as asked. Whatever is not built is named before whatever is wrong: the
// user may not even be wrong. paths are those of the problems, seen from the object of the call.
func unservable(problems []capabilities.Problem, paths []string) *Error {
	answer := &Error{Code: CodeInvalid}
	kind := capabilities.Invalid
	for _, p := range problems {
		if p.Kind == capabilities.Unsupported {
			answer.Code, kind = CodeUnsupportedOption, capabilities.Unsupported
		}
	}
	const sentences = 3
	var first, all []string
	said := make(map[string]bool)
	for i, p := range problems {
		all = append(all, line(paths[i], p.Message))
		if p.Kind != kind {
			continue
		}
		if len(said) == 0 {
			answer.Field = paths[i]
		}
		if said[p.Message] {
			continue
		}
		said[p.Message] = true
		text := p.Message
		if strings.ContainsAny(paths[i], "[.") && !strings.Contains(text, paths[i]) {
			text = line(paths[i], text) // which of the children it is
		}
		if len(first) < sentences {
			first = append(first, text)
		}
	}
	answer.Message = strings.Join(first, " ")
	if more := len(said) - len(first); more > 0 {
		answer.Message += fmt.Sprintf(" (And %d more.)", more)
	}
	if len(all) > wire.MaxProblems {
		all = append(all[:wire.MaxProblems], fmt.Sprintf("and %d more", len(all)-wire.MaxProblems))
	}
	answer.Detail = strings.Join(all, "; ")
	return answer
}

// pathsBelow returns the paths of problems as seen from the object that has field; "" is the object itself.
func pathsBelow(field string, problems []capabilities.Problem) []string {
	paths := make([]string, len(problems))
	for i, p := range problems {
		paths[i] = strings.TrimPrefix(field+"."+p.Path, ".")
	}
	return paths
}

func line(path, message string) string {
	if path == "" {
		return message
	}
	return path + ": " + message
}
