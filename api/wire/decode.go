package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"unicode/utf8"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// Limits of a body.
const (
	// MaxBytes is the size of the largest body, in bytes: 8 MiB, some 20,000 members.
	MaxBytes = 8 << 20
	// MaxDepth is how deep arrays and objects nest; a rule of a policy of a load balancer is at 7.
	MaxDepth = 16
	// MaxProblems is how many problems are reported of one body.
	MaxProblems = 20
)

// Decode decodes a whole load balancer, the body of a loadbalancer_create or a file in JSON. The error is an *Error.
func Decode(data []byte) (*model.LoadBalancer, error) {
	lb := new(model.LoadBalancer)
	if err := Object(data, lb); err != nil {
		return nil, err
	}
	return lb, nil
}

// Object decodes one object into the struct that into points to, whose fields have json tags. What the body does not
// say, or says as null, takes Octavia's default. The error is an *Error, and into is of no use then.
func Object(data []byte, into any) error {
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer || target.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("wire: decode into %T, want a pointer to a struct", into)
	}
	setDefaults(target.Elem())
	_, err := decodeRoot(data, target.Elem(), false)
	return err
}

// Merge returns the object that existing becomes by a change, and the keys that the change names. A key that the change
// does not name keeps its value, null resets it to Octavia's default, a list is replaced whole, and an object inside
// (session_persistence) is merged in the same way. existing is not touched. The error is an *Error.
func Merge[T any](existing T, change []byte) (merged T, keys []string, err error) {
	merged = existing
	target := reflect.ValueOf(&merged).Elem()
	if target.Kind() != reflect.Struct {
		return merged, nil, fmt.Errorf("wire: merge into %T, want a struct", existing)
	}
	keys, err = decodeRoot(change, target, true)
	return merged, keys, err
}

// Metadata decodes the metadata of a flavor or an availability zone, an object whose keys are the operator's own. The
// error is an *Error.
func Metadata(data []byte) (map[string]any, error) {
	metadata := make(map[string]any)
	_, err := decodeRoot(data, reflect.ValueOf(&metadata).Elem(), false)
	return metadata, err
}

// decodeRoot decodes data, one JSON object, into target, a struct or a map, and returns the keys of a struct's object.
func decodeRoot(data []byte, target reflect.Value, merge bool) ([]string, error) {
	if len(data) > MaxBytes {
		err := fail(fmt.Sprintf("the body is larger than the limit of %d MiB", MaxBytes>>20))
		err.TooLarge = true
		return nil, err
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, fail("the body is empty, want a JSON object")
	}
	if !utf8.Valid(data) {
		return nil, fail("the body is not UTF-8")
	}
	// Checked whole first, so that the walk below meets only tokens in their places. encoding/json's own text quotes the
	// body, and so only the place of the error is told.
	if err := json.Unmarshal(data, new(json.RawMessage)); err != nil {
		return nil, fail("the body is not valid JSON" + place(data, err))
	}

	w := &walker{decoder: json.NewDecoder(bytes.NewReader(data)), merge: merge, depth: 1, known: map[reflect.Type]fields{}}
	w.decoder.UseNumber()
	token := w.next()
	if token != json.Delim('{') {
		return nil, fail("must be a JSON object, not " + describe(token))
	}
	var keys []string
	if target.Kind() == reflect.Map {
		w.mapping(target, "")
	} else {
		keys = w.structure(target, "")
	}
	if len(w.problems) > 0 {
		return nil, &Error{Problems: w.problems}
	}
	return keys, nil
}

func place(data []byte, err error) string {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) || syntax.Offset < 1 || syntax.Offset > int64(len(data)) {
		return ""
	}
	before := data[:syntax.Offset-1]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return fmt.Sprintf(": line %d, column %d", line, column)
}

// walker decodes a token stream that is known to be well-formed.
type walker struct {
	decoder  *json.Decoder
	merge    bool
	depth    int
	problems []Problem
	// known are the fields of the structs so far: a list may have thousands of one.
	known map[reflect.Type]fields
	// secret is how many TLS containers we are inside of: errors there repeat no key either.
	secret int
	// broken is set when there is no next token.
	broken bool
}

func (w *walker) next() json.Token {
	token, err := w.decoder.Token()
	if err != nil {
		// Unreachable after the check of the whole body. Said all the same: as null it would decode to a default.
		w.report("", "the body is not valid JSON")
		w.broken = true
	}
	return token
}

func (w *walker) report(field, message string) {
	if len(w.problems) < MaxProblems {
		w.problems = append(w.problems, Problem{Field: field, Message: message})
	}
}

// enter counts one level down and reports whether it is still allowed; else the value, whose opening token has been
// read, has been skipped.
func (w *walker) enter(path string) bool {
	if w.depth == MaxDepth {
		w.report(path, fmt.Sprintf("nested deeper than %d levels", MaxDepth))
		w.skipOpen()
		return false
	}
	w.depth++
	return true
}

func (w *walker) leave() { w.depth-- }

// skip passes over the value that begins with token.
func (w *walker) skip(token json.Token) {
	if token == json.Delim('{') || token == json.Delim('[') {
		w.skipOpen()
	}
}

// skipOpen passes over the rest of an array or object whose opening token has been read.
func (w *walker) skipOpen() {
	for open := 1; open > 0 && !w.broken; {
		switch w.next() {
		case json.Delim('{'), json.Delim('['):
			open++
		case json.Delim('}'), json.Delim(']'):
			open--
		}
	}
}

// describe names the JSON type of the value that begins with token.
func describe(token json.Token) string {
	switch token := token.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case json.Delim:
		if token == '{' {
			return "an object"
		}
		return "an array"
	}
	return "something else"
}
