package regex

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// compiled is an expression as RE2 takes it: a match of the whole value.
func compiled(t testing.TB, expression string) *regexp.Regexp {
	t.Helper()
	re, err := regexp.Compile(`\A(?:` + expression + `)\z`)
	require.NoError(t, err)
	return re
}

func elements(kind, value string) []string {
	trim := func(text string) string { return strings.Trim(text, " \t") }
	var all []string
	switch kind {
	case "whole":
		all = []string{value}
	case "path":
		path, _, _ := strings.Cut(value, "?")
		all = []string{path}
	case "list":
		for element := range strings.SplitSeq(value, ",") {
			all = append(all, trim(element))
		}
	case "cookie":
		for _, cookie := range strings.FieldsFunc(value, func(c rune) bool { return c == ';' || c == ',' }) {
			if name, text, ok := strings.Cut(cookie, "="); ok && trim(name) == "k" {
				all = append(all, trim(text))
			}
		}
	}
	return all
}

// matchesBlanks says that a pattern could match what HAProxy trims off an element: see Search.
func matchesBlanks(pattern string) bool {
	return regexp.MustCompile(pattern).MatchString(" ") || strings.ContainsAny(pattern, ".") || strings.Contains(pattern, "[^") ||
		strings.Contains(pattern, `\W`)
}

func fields() map[string]Field {
	return map[string]Field{"whole": Whole(), "path": Path(), "list": List(), "cookie": Cookie("k")}
}

func patterns() []string {
	return []string{
		"a", "^a", "a$", "^a$", "^a.*b$", "a.*b", "^(a|b)$", "^a|b$", "(^|b)a", "a($|b)", "^$", "a*", "^a*$", "[^a]", "^[^a]+$",
		"^.$", ".", "b+a?", `\ba`, `a\b`, `^\ba`, "(?i)A", "(?i:A)b", "^(?:ab)+$", "a{2}", "^a{1,2}$", "[a-c]b", `\w\W`, `\?`, ",", ";a", "[,;?]",
		"a|^b", "b^a", "a$b", "$", "^", "()", "(?P<end>a)b", "(?P<x>a)$", "^^a", "a$$", "(?m)^a$", "(?s).b", "[[:alpha:]]b", "a?$", `\Qa\E`, "^(a(b|$))", "=",
	}
}

// TestSearch compares with what it stands for: the value taken apart, and the pattern searched in each element.
func TestSearch(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const letters = "aaabbcAk=k= ,;?k=/"
	for kind, field := range fields() {
		hits := 0
		for _, pattern := range patterns() {
			expression, err := field.Search(pattern, false)
			require.NoError(t, err, "%s %s", kind, pattern)
			got, want := compiled(t, expression), regexp.MustCompile(pattern)
			for range 400 {
				var value strings.Builder
				if kind == "cookie" && random.IntN(3) > 0 {
					value.WriteString("k=")
				}
				for range random.IntN(9) {
					value.WriteByte(letters[random.IntN(len(letters))])
				}
				if kind != "whole" && kind != "path" && strings.Contains(value.String(), " ") && matchesBlanks(pattern) {
					continue
				}
				matches := false
				for _, element := range elements(kind, value.String()) {
					matches = matches || want.MatchString(element)
				}
				if matches {
					hits++
				}
				assert.Equal(t, matches, got.MatchString(value.String()), "%s: %s in %q is %s", kind, pattern, value.String(), expression)
			}
		}
		assert.Greater(t, hits, 1000, kind)
	}
}

// TestLiteral is TestSearch for the other comparisons.
func TestLiteral(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	compare := map[string]func(element, text string) bool{
		"equal": func(a, b string) bool { return a == b }, "prefix": strings.HasPrefix, "suffix": strings.HasSuffix, "contains": strings.Contains,
	}
	const letters = "ab.k=k= ,;?"
	for kind, field := range fields() {
		build := map[string]func(string) string{
			"equal": field.Equal, "prefix": field.Prefix, "suffix": field.Suffix, "contains": field.Contains,
		}
		for _, text := range []string{"a", "ab", "a.b", ".", "k", "=", "a=b", "a,b", "?", "a;b", ")|(", `\`, "(?i)A", "[a"} {
			for name, same := range compare {
				got := compiled(t, build[name](text))
				for range 300 {
					var value strings.Builder
					if kind == "cookie" && random.IntN(3) > 0 {
						value.WriteString("k=")
					}
					for range random.IntN(7) {
						if random.IntN(3) == 0 {
							value.WriteString(text)
						} else {
							value.WriteByte(letters[random.IntN(len(letters))])
						}
					}
					want := false
					for _, element := range elements(kind, value.String()) {
						want = want || same(element, text)
					}
					assert.Equal(t, want, got.MatchString(value.String()), "%s %s: %q in %q", kind, name, text, value.String())
				}
			}
		}
	}
}

// TestNoEscape holds that nothing in a pattern reaches what is around it.
func TestNoEscape(t *testing.T) {
	for _, pattern := range []string{`)|(`, `a)|(?:.*`, `\`, `a\`, `[`, `(?:`, `a)(`, `(?i`, `*`, `\Q)|(.*`, `(?s)(?P<end>x)`} {
		expression, err := Path().Search(pattern, false)
		if err != nil {
			continue
		}
		assert.False(t, compiled(t, expression).MatchString("/none?)|(.*x"), pattern+" as "+expression)
	}
	expression, err := Path().Search("(?i)a", false)
	require.NoError(t, err)
	require.True(t, compiled(t, expression).MatchString("/A"))
	expression, err = List().Search("(?i)a$", false)
	require.NoError(t, err)
	assert.True(t, compiled(t, expression).MatchString("A , b"))
}

func TestFold(t *testing.T) {
	expression, err := Whole().Search(`^WWW\.[a-z]+$`, true)
	require.NoError(t, err)
	assert.True(t, compiled(t, expression).MatchString("www.EXAMPLE"))
	assert.False(t, compiled(t, expression).MatchString("www.example.org"))
}

func TestMatchesEmpty(t *testing.T) {
	for _, pattern := range patterns() {
		assert.Equal(t, regexp.MustCompile(pattern).MatchString(""), MatchesEmpty(pattern), pattern)
	}
	assert.False(t, MatchesEmpty("("))
}

// TestCheck is what a user reads about each construct that RE2 does not have.
func TestCheck(t *testing.T) {
	const engine = " needs backtracking or PCRE, which RE2, Envoy's engine, does not have; "
	const invert = "use a second rule, inverted where it must not match: all rules of a policy must hold"
	for pattern, want := range map[string]string{
		`^/(?!admin)`: `a negative lookahead ("(?!")` + engine + invert,
		`a(?=b)`:      `a lookahead ("(?=")` + engine + invert,
		`(?<=a)b`:     `a lookbehind ("(?<=")` + engine + invert,
		`(?<!a)b`:     `a negative lookbehind ("(?<!")` + engine + invert,
		`(?>a+)b`:     `an atomic group ("(?>")` + engine + "use (?:…) instead",
		`(a)\1`:       `a reference to a group ("\\1")` + engine + "use one policy for each value",
		`(?P<x>a)(?P=x)`: `a reference to a group ("(?P=")` + engine +
			"use one policy for each value",
		`a(?#note)`: `a comment ("(?#")` + engine + "leave it out",
		`a++`: `"++" repeats a repetition, which is possessive in PCRE and not in RE2, Envoy's engine; leave the last sign ` +
			`out, it makes no difference to whether a value matches in most cases`,
		`a\`:      `it ends with a backslash; write two for a literal one`,
		`a{2000}`: `"{2000}" repeats too often: RE2, Envoy's engine, allows 1000 in all; use + or * instead`,
		`[a`:      `RE2, Envoy's engine, does not take it: missing closing ] at "[a"`,
		`\h`:      `RE2, Envoy's engine, does not know the escape "\\h"; write the characters that it stands for in [ ]`,
		"\xff":    `it is not UTF-8`,
		`a\Z`:     `the end before a newline ("\\Z")` + engine + "use $ instead",
		`(^a)+`:   `a ^ inside of a repetition is not supported; put it before the repetition`,
		`a*^b`:    `a ^ after something optional is not supported; put it first`,
		`a$\b`:    `a \b or \B after $ is not supported; put it before the $`,
		`\pL{900}`: `it is too large: RE2 would make about 9000 instructions of it, and 5000 are allowed; use smaller ` +
			`repetitions, or several rules`,
	} {
		assert.EqualError(t, Check(pattern), want, pattern)
	}
	for _, pattern := range patterns() {
		require.NoError(t, Check(pattern), pattern)
	}
}

func FuzzSearch(f *testing.F) {
	for _, pattern := range patterns() {
		f.Add(pattern)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		for _, field := range fields() {
			for _, fold := range []bool{false, true} {
				expression, err := field.Search(pattern, fold)
				if err != nil {
					continue
				}
				compiled(t, expression)
			}
		}
	})
}

// TestBytes holds that what is not ASCII is compared byte by byte, as PCRE does and RE2 in Latin-1.
func TestBytes(t *testing.T) {
	expression, err := Whole().Search("^[é]x.$", false)
	require.NoError(t, err)
	assert.Equal(t, `(?:(?:)[\x{a9}\x{c3}]x[\x00-\t\v-\x{ff}](?:\z))(?s:.*)`, expression)
	assert.Equal(t, `\x{c3}\x{a9}\?`, Whole().Equal("é?"))
	expression, err = Whole().Search(`\pL\x{263a}`, false)
	require.NoError(t, err)
	assert.NotContains(t, expression, "263a")
}
