package regex

import (
	"regexp"
	"strings"
)

// Never is an expression that no value matches.
const Never = `[^\x00-\xff]`

// anything matches whatever is left.
const anything = `(?s:.*)`

// blanks are what HAProxy trims off an element.
const blanks = `[ \t]*`

// Field is where in a value the element is that is compared.
type Field struct {
	// before leads from the start of the value to that of an element, inside to any place in an element, after from the
	// end of an element to that of the value.
	before, inside, after string
	// ends are the characters that end an element: none of them is in one.
	ends string
	// rest leads from any place in an element to the end of the value; "" is whatever is left.
	rest string
	// dn says that the value is a name of RFC 2253, with its escapes.
	dn bool
}

// Whole is a value of which all is compared.
func Whole() Field { return Field{inside: anything} }

// Path is the path of a request target: all before its query. The :path of Envoy is never in absolute form, has no
// fragment (400) and nothing but ASCII (400), and begins with a slash (404).
func Path() Field { return Field{inside: `[^?]*`, after: `(?:\?` + anything + `)?`, ends: "?"} }

// List is a header with a list: HAProxy's req.hdr() compares each element of each line, and Envoy joins the lines by
// commas. HAProxy does not split at a comma in quotes.
func List() Field {
	return Field{
		before: `(?:` + anything + `,)?` + blanks,
		inside: anything,
		after:  blanks + `(?:,` + anything + `)?`,
		ends:   ",",
	}
}

// Cookie is each cookie of that name in a Cookie header, as HAProxy's req.cook() finds them: separated by semicolons or
// commas, with blanks around the equals sign, and with the quotes as part of the value. (Envoy's own cookie matcher
// takes the first only, without quotes.)
func Cookie(name string) Field {
	before := `(?:` + anything + `[;,])?` + blanks + quote(name) + blanks + `=` + blanks
	return Field{before: before, inside: before + `[^;,]*`, after: blanks + `(?:[;,]` + anything + `)?`, ends: ";,"}
}

// Equal matches values with an element that is the text.
func (f Field) Equal(text string) string { return f.literal(f.before, text, f.after) }

// Prefix matches values with an element that starts with the text.
func (f Field) Prefix(text string) string { return f.literal(f.before, text, f.remainder()) }

// Suffix matches values with an element that ends with the text.
func (f Field) Suffix(text string) string { return f.literal(f.inside, text, f.after) }

// Contains matches values with an element that has the text in it.
func (f Field) Contains(text string) string { return f.literal(f.inside, text, f.remainder()) }

func (f Field) literal(before, text, after string) string {
	if !f.Holds(text) {
		return Never
	}
	if f.dn {
		return before + dnQuote(text) + after
	}
	return before + quote(text) + after
}

func (f Field) remainder() string {
	if f.rest == "" {
		return anything
	}
	return f.rest
}

// quote returns an expression that matches the text.
func quote(text string) string { return escaped(regexp.QuoteMeta(latin1(text))) }

// Holds reports whether an element can have the text in it.
func (f Field) Holds(text string) bool { return !strings.ContainsAny(text, f.ends) }
