package capabilities

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// refusal is one thing that users of Octavia can ask for and that is not built. To support it, delete it.
type refusal[T any] struct {
	// field is the attribute in Octavia's words.
	field string
	// asked reports whether the user asked for it, and not octavia-api by a default.
	asked func(*T) bool
	// message is the sentence that the user reads: what is not supported and what to do instead.
	message string
}

// refuse reports what was asked for and is in the table.
func refuse[T any](c *checker, o object, target *T, table []refusal[T]) {
	for _, r := range table {
		if r.asked(target) {
			c.unsupported(o, r.field, r.message)
		}
	}
}

// choice checks a value that Octavia has a list of: supported ones pass, refused ones have their sentence.
func (c *checker) choice(o object, field, value string, supported []string, refused map[string]string) {
	if slices.Contains(supported, value) {
		return
	}
	if message, known := refused[value]; known {
		c.unsupported(o, field, message)
		return
	}
	c.invalid(o, field, "%q is not a value of %s in Octavia; supported are %s.", clip(value), field, enumerate(supported))
}

// between checks a number against its range, both ends included.
func (c *checker) between(o object, field string, value, low, high int, unit string) {
	if value < low || value > high {
		c.invalid(o, field, "%s must be between %d and %d%s, not %d.", field, low, high, unit, value)
	}
}

// identity checks an object's id, and that of its parent when the object names one.
func (c *checker) identity(o object, field, parentField, parent, wantParent string) {
	switch {
	case !ValidID(o.ref.ID):
		c.invalid(o, field, "%s must be a UUID, not %q.", field, clip(o.ref.ID))
	case c.ids[o.ref]:
		c.invalid(o, field, "%s %s comes twice in the load balancer.", field, o.ref.ID)
	}
	c.ids[o.ref] = true
	if parent != "" && parent != wantParent {
		c.invalid(o, parentField, "%s must be %q, the object that it is in, not %q.", parentField, clip(wantParent), clip(parent))
	}
}

// ValidID reports whether id is what Octavia names its objects by: a UUID with its four dashes.
func ValidID(id string) bool {
	if len(id) != len("00000000-0000-0000-0000-000000000000") {
		return false // uuid.Parse takes other spellings, too
	}
	_, err := uuid.Parse(id)
	return err == nil
}

// clip keeps a value of the user's short enough for a sentence.
func clip(value string) string { return clipTo(value, 64) }

func clipTo(value string, limit int) string {
	if runes := []rune(value); len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return value
}

// plain is clip for a value that stands in a sentence without quotes: what cannot be printed is a question mark.
func plain(value string) string { return printable(value, 64) }

// printable is plain with a limit of its own, in characters.
func printable(value string, limit int) string {
	return strings.Map(func(char rune) rune {
		if char == utf8.RuneError || !unicode.IsPrint(char) {
			return '?'
		}
		return char
	}, clipTo(value, limit))
}

// enumerate joins names as a sentence does: A, B and C.
func enumerate(names []string) string {
	switch len(names) {
	case 0:
		return "none"
	case 1:
		return names[0]
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}
