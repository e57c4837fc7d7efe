package wire

import (
	"strconv"
	"strings"
)

// Problem is one thing that is wrong with a body.
type Problem struct {
	// Field is the path in the sender's words, pools[0].members[2].weight; "" is the body itself.
	Field string
	// Message says what is wrong, without any value of the body.
	Message string
}

// String returns the problem as a user reads it.
func (p Problem) String() string {
	if p.Field == "" {
		return p.Message
	}
	return p.Field + ": " + p.Message
}

// Error is every problem of a body, at least one.
type Error struct {
	Problems []Problem
	// TooLarge is set when the body was over MaxBytes; it was not read then.
	TooLarge bool
}

// Error returns the problems in one line.
func (e *Error) Error() string {
	texts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		texts[i] = p.String()
	}
	return strings.Join(texts, "; ")
}

func fail(message string) *Error { return &Error{Problems: []Problem{{Message: message}}} }

// key returns path.name.
func key(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// index returns path[i].
func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// quotedKey renders an unknown key: printable, and short enough for a log line.
func quotedKey(name string) string {
	const limit = 64
	plain := len(name) > 0 && len(name) <= limit
	for _, r := range name {
		plain = plain && (r == '_' || r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z')
	}
	if plain {
		return name
	}
	if runes := []rune(name); len(runes) > limit {
		name = string(runes[:limit]) + "…"
	}
	return strconv.Quote(name)
}
