package regex

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// name is a name of a certificate: kinds and values, in its order.
type name [][2]string

// rfc2253 writes it as BoringSSL does: the last first, with its escapes.
func (n name) rfc2253() string {
	var text strings.Builder
	for i, attribute := range slices.Backward(n) {
		value := attribute[1]
		text.WriteString(attribute[0] + "=")
		for j := range len(value) {
			char := value[j]
			switch {
			case strings.IndexByte(`,+"\<>;`, char) >= 0, char == '#' && j == 0, char == ' ' && (j == 0 || j == len(value)-1):
				text.WriteString(`\` + string(rune(char)))
			case char < ' ' || char >= 0x7f:
				fmt.Fprintf(&text, `\%02X`, char)
			default:
				text.WriteByte(char)
			}
		}
		if i > 0 {
			text.WriteByte(",+"[i%2])
		}
	}
	return text.String()
}

// first is the value that HAProxy compares.
func (n name) first(kind string) (string, bool) {
	for _, attribute := range n {
		if strings.EqualFold(attribute[0], kind) {
			return attribute[1], true
		}
	}
	return "", false
}

func randomName(random *rand.Rand) name {
	parts := []string{"a", "a", "b", "A", "C", "N", "CN", "=", ",", "+", ",CN=a", "+C=a", `\`, `\2C`, `"`, " ", "#", "é", "\x01", "\x7f", ";", "0", "<", "x"}
	n := make(name, random.IntN(4))
	for i := range n {
		var value strings.Builder
		for range random.IntN(5) {
			value.WriteString(parts[random.IntN(len(parts))])
		}
		n[i] = [2]string{[]string{"C", "CN", "CN", "CNN", "N", "O", "1.2.3"}[random.IntN(7)], value.String()}
	}
	return n
}

// TestDN compares with what it stands for: the value of the first attribute of a kind.
func TestDN(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	literals := map[string]func(value, text string) bool{
		"equal": func(a, b string) bool { return a == b }, "prefix": strings.HasPrefix, "suffix": strings.HasSuffix, "contains": strings.Contains,
	}
	hits, compared := 0, 0
	check := func(kind, what string, expression string, want func(value string) bool) {
		got := compiled(t, expression)
		for range 300 {
			n := randomName(random)
			value, there := n.first(kind)
			matches := there && want(value)
			if matches {
				hits++
			}
			compared++
			assert.Equal(t, matches, got.MatchString(n.rfc2253()), "%s %s in %q", kind, what, n.rfc2253())
		}
	}
	for _, kind := range []string{"CN", "cn", "C", "N", "O", "emailAddress"} {
		field := DN(kind)
		build := map[string]func(string) string{
			"equal": field.Equal, "prefix": field.Prefix, "suffix": field.Suffix, "contains": field.Contains,
		}
		for _, text := range []string{"a", "ab", "CN=a", ",CN=a", "=", `\`, `\2C`, `"`, " ", "#", "#a", "é", "\x01", "a b", "+", "0", ")|(", "C"} {
			for how, same := range literals {
				check(kind, fmt.Sprintf("%s %q", how, text), build[how](text), func(value string) bool { return same(value, text) })
			}
		}
		for _, pattern := range append(patterns(),
			`^.$`, `^..$`, `[^a]`, `^[^a]*$`, `,`, `^,`, `\\`, `^\\2C$`, `é`, `^é`, `[é]`, `\x{c3}`, `[\x80-\xff]+$`, "[\x01-\x1f]", `(?i)cn=A`, `(?i:É)`,
			`[ #]`, `^#`, ` $`, `^\W+$`, `^(?:a|,)+$`, `[^\\,]{2}`, `a.*a`, `^\w`, `\D$`, `(?s)^.{3}$`, `[;"<]`,
		) {
			expression, err := field.Search(pattern, false)
			if strings.Contains(pattern, `\b`) {
				require.Error(t, err, pattern)
				continue
			}
			require.NoError(t, err, pattern)
			// By bytes, as RE2 has them.
			want := regexp.MustCompile(latin1(pattern))
			check(kind, pattern, expression, func(value string) bool { return want.MatchString(latin1(value)) })
		}
	}
	assert.Greater(t, hits, compared/50)
	t.Logf("%d of %d matched", hits, compared)
}

func TestCheckDN(t *testing.T) {
	for _, pattern := range []string{"a", "^.{0,255}$", "é+", `^[A-Z]\d{1,8}$`} {
		require.NoError(t, CheckDN(pattern), pattern)
	}
	for pattern, want := range map[string]string{
		`a\b`: `\b and \B are not supported in names of certificates`, `(?=a)`: "a lookahead", "(?:.{30}){30}": "it is too large",
	} {
		require.ErrorContains(t, CheckDN(pattern), want, pattern)
	}
	assert.True(t, KnownDN("CN") && KnownDN("cn") && KnownDN("emailaddress") && !KnownDN("2.5.4.3") && !KnownDN(""))
}
