package capabilities_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestEverySentenceIsTested holds that each sentence of this package, which its users read, is in one of the tables of the
// tests, word for word.
func TestEverySentenceIsTested(t *testing.T) {
	tested := testedSentences(t)
	found := 0
	for sentence, where := range sentences(t) {
		found++
		matches := false
		for _, text := range tested {
			matches = matches || sentence.MatchString(text)
		}
		assert.True(t, matches, "%s: no test has the sentence %s", where, sentence)
	}
	assert.Greater(t, found, 40)
}

func testedSentences(t *testing.T) []string {
	t.Helper()
	all := []string{
		"loadbalancer_topology: The topology ACTIVE_STANDBY is not supported yet; use a flavor with loadbalancer_topology SINGLE.", // TestFlavor
	}
	for _, test := range unsupported() {
		all = append(all, test.want)
	}
	for _, test := range invalid() {
		all = append(all, test.want)
	}
	for _, test := range tlsRefused(t) {
		all = append(all, test.want)
	}
	for _, test := range clientsRefused(t) {
		all = append(all, test.want)
	}
	for _, table := range []map[string]refusal{monitorUnsupported(), monitorInvalid()} {
		for _, test := range table {
			all = append(all, test.want)
		}
	}
	for _, test := range l7Refused() {
		all = append(all, test.want)
	}
	return all
}

// sentences are all texts of the package that end as one, as expressions: what is filled in can be anything.
func sentences(t *testing.T) map[*regexp.Regexp]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	all := map[*regexp.Regexp]string{}
	set := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		constants := map[string]string{}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
				constants[spec.Names[0].Name] = text(spec.Values[0], nil)
				return false // a part of sentences, not one
			}
			expression, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			sentence := text(expression, constants)
			if !strings.HasSuffix(sentence, ".") || !strings.Contains(sentence, " ") {
				return true
			}
			pattern := regexp.MustCompile(`%[a-z]`).ReplaceAllString(regexp.QuoteMeta(sentence), ".*")
			all[regexp.MustCompile(pattern+"$")] = set.Position(n.Pos()).String()
			return false
		})
	}
	return all
}

// text is that of a literal, or of several put together; what is not known of it is %s.
func text(expression ast.Expr, constants map[string]string) string {
	switch expression := expression.(type) {
	case *ast.BasicLit:
		if expression.Kind != token.STRING {
			return ""
		}
		unquoted, _ := strconv.Unquote(expression.Value)
		return unquoted
	case *ast.BinaryExpr:
		if expression.Op != token.ADD {
			return ""
		}
		return text(expression.X, constants) + text(expression.Y, constants)
	case *ast.Ident:
		if known, ok := constants[expression.Name]; ok {
			return known
		}
		return "%s"
	}
	return ""
}
