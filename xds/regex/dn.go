package regex

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// In a name by RFC 2253, as BoringSSL writes it for Envoy, a backslash escapes one of these, or a byte in two hexadecimal
// digits. So a name is a row of units, and an expression of units never takes an escaped comma for one that separates.
const (
	dnSpecials = `",+;<>\`
	// dnEdges are escaped at one end of a value, or both, and stand for themselves within.
	dnEdges = " #"
	dnUnit  = `(?:[^\\]|` + dnEscape + `)`
	// dnValue is a unit of a value: whatever does not separate.
	dnValue  = `(?:[^\\,+]|` + dnEscape + `)`
	dnEscape = `\\(?:[0-9A-F]{2}|[^0-9A-F])`
)

// DN is the value of the first attribute of that kind in the name of a certificate, as HAProxy's ssl_c_s_dn(CN) has it,
// whatever the case of the kind. The expressions are for the name by RFC 2253, where the first comes last. What is compared
// is the value without its escapes, by bytes.
func DN(kind string) Field {
	before := `(?:` + dnUnit + `*[,+])?(?i:` + regexp.QuoteMeta(kind) + `)=`
	after := `(?:[,+]` + otherKind(kind) + dnValue + `*)*`
	return Field{before: before, inside: before + dnValue + `*`, after: after, rest: dnValue + `*` + after, dn: true}
}

// otherKind matches a kind of attribute that is not this one, and its equals sign: RE2 has no negative lookahead.
func otherKind(kind string) string {
	expression := `[^=]+=`
	for i := len(kind) - 1; i >= 0; i-- {
		char := regexp.QuoteMeta(strings.ToLower(kind[i:i+1]) + strings.ToUpper(kind[i:i+1]))
		expression = fmt.Sprintf(`(?:=|[^=%s][^=]*=|[%s]%s)`, char, char, expression)
	}
	return expression
}

// dnQuote matches a text with the escapes that it can have.
func dnQuote(text string) string {
	var expression strings.Builder
	for _, char := range []byte(text) {
		switch {
		case strings.IndexByte(dnSpecials, char) >= 0:
			expression.WriteString(`\\` + regexp.QuoteMeta(string(rune(char))))
		case strings.IndexByte(dnEdges, char) >= 0:
			expression.WriteString(`\\?` + string(rune(char)))
		case char < ' ' || char >= 0x7f:
			fmt.Fprintf(&expression, `\\%02X`, char)
		default:
			expression.WriteString(regexp.QuoteMeta(string(rune(char))))
		}
	}
	return expression.String()
}

// dnLiteral is dnQuote for a part of a tree. Whatever the case of letters, but of bytes outside of ASCII.
func dnLiteral(re *syntax.Regexp) *syntax.Regexp {
	units := &syntax.Regexp{Op: syntax.OpConcat}
	for _, char := range re.Rune {
		if letter := char | 0x20; re.Flags&syntax.FoldCase != 0 && letter >= 'a' && letter <= 'z' {
			units.Sub = append(units.Sub, &syntax.Regexp{Op: syntax.OpCharClass, Rune: []rune{letter &^ 0x20, letter &^ 0x20, letter, letter}})
			continue
		}
		units.Sub = append(units.Sub, dnClass([]rune{char, char}))
	}
	return units
}

// dnClass matches one of a set of bytes, in any of the ways to write it.
func dnClass(ranges []rune) *syntax.Regexp {
	var plain, escaped []rune
	hexadecimal := map[rune][]rune{} // the second digits by the first
	for pair := range slices.Chunk(ranges, 2) {
		for char := pair[0]; char <= pair[len(pair)-1]; char++ {
			switch {
			case strings.ContainsRune(dnSpecials, char):
				escaped = append(escaped, char, char)
			case strings.ContainsRune(dnEdges, char):
				plain, escaped = append(plain, char, char), append(escaped, char, char)
			case char < ' ' || char >= 0x7f:
				hexadecimal[char>>4] = append(hexadecimal[char>>4], hexDigit(char), hexDigit(char))
			default:
				plain = append(plain, char, char)
			}
		}
	}
	forms := &syntax.Regexp{Op: syntax.OpAlternate}
	class := func(set []rune) *syntax.Regexp {
		if set = merged(set); len(set) == 2 && set[0] == set[1] {
			return &syntax.Regexp{Op: syntax.OpLiteral, Rune: set[:1]}
		}
		return &syntax.Regexp{Op: syntax.OpCharClass, Rune: set}
	}
	backslash := &syntax.Regexp{Op: syntax.OpLiteral, Rune: []rune{'\\'}}
	if len(plain) > 0 {
		forms.Sub = append(forms.Sub, class(plain))
	}
	if len(escaped) > 0 {
		forms.Sub = append(forms.Sub, &syntax.Regexp{Op: syntax.OpConcat, Sub: []*syntax.Regexp{backslash, class(escaped)}})
	}
	// First digits that go with the same second ones are one form.
	first := map[string][]rune{}
	var order []string
	for digit := range rune(16) {
		if second := hexadecimal[digit]; len(second) > 0 {
			key := string(second)
			if first[key] == nil {
				order = append(order, key)
			}
			first[key] = append(first[key], hexDigit(digit), hexDigit(digit))
		}
	}
	for _, second := range order {
		forms.Sub = append(forms.Sub, &syntax.Regexp{
			Op: syntax.OpConcat, Sub: []*syntax.Regexp{backslash, class(first[second]), class([]rune(second))},
		})
	}
	switch len(forms.Sub) {
	case 0:
		return group(never)
	case 1:
		return forms.Sub[0]
	}
	return forms
}

func hexDigit(value rune) rune { return rune("0123456789ABCDEF"[value&0xf]) }

// merged joins ranges, in order, that touch each other.
func merged(ranges []rune) []rune {
	var joined []rune
	for i := 0; i < len(ranges); i += 2 {
		if last := len(joined) - 1; last > 0 && joined[last]+1 == ranges[i] {
			joined[last] = ranges[i+1]
			continue
		}
		joined = append(joined, ranges[i], ranges[i+1])
	}
	return joined
}

// dnMaxSize is maxSize for names, where one character is an expression of its escapes. Only clients with a certificate that
// is good have them compared.
const dnMaxSize = 4 * maxSize

// DNKinds are the kinds of attribute that Envoy and HAProxy have the same name for, in the order of the alphabet.
func DNKinds() []string {
	return []string{
		"businessCategory", "C", "CN", "DC", "description", "dnQualifier", "emailAddress", "generationQualifier", "GN", "houseIdentifier",
		"initials", "L", "mail", "name", "O", "OU", "postalAddress", "postalCode", "postOfficeBox", "pseudonym", "role", "serialNumber",
		"SN", "ST", "street", "telephoneNumber", "title", "UID", "unstructuredAddress", "unstructuredName", "x500UniqueIdentifier",
	}
}

// KnownDN reports whether it is one of DNKinds, whatever its case.
func KnownDN(kind string) bool {
	return slices.ContainsFunc(DNKinds(), func(known string) bool { return strings.EqualFold(known, kind) })
}

// CheckDN is Check for an expression that is searched in a name. It becomes larger there.
func CheckDN(pattern string) error {
	if err := Check(pattern); err != nil {
		return err
	}
	expression, err := DN("CN").Search(pattern, false)
	if err != nil {
		return err
	}
	tree, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return errors.New("it is too large for RE2, Envoy's engine; use several rules")
	}
	return bounded(tree, dnMaxSize)
}
