package capabilities_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/octavia-envoy/octavia-envoy/driver/capabilities"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

var update = flag.Bool("update", false, "rewrite README.md, the support matrix")

// group are the rows of one file of Octavia's feature matrix, as features.yaml has them.
type group struct {
	Kind  string `json:"kind"`
	Title string `json:"title"`
	Rows  []row  `json:"rows"`
}

type row struct {
	Name    string         `json:"row"`
	Ask     map[string]any `json:"ask"`
	Tests   []string       `json:"tests"`
	Octavia bool           `json:"octavia"`
	Missing string         `json:"missing"`
}

// goldenCase is what an in.yaml of package translate says of itself.
type goldenCase struct {
	name string
	tree map[string]any
	// shows and refuses are names of rows, KIND.ROW.
	shows, refuses []string
}

// TestMatrix holds that each row is supported, with something that shows it, or refused, with a sentence, and never both;
// and that README.md says so.
func TestMatrix(t *testing.T) {
	groups, cases := readFeatures(t), goldenCases(t)
	known := map[string]bool{}
	page := &strings.Builder{}
	for _, group := range groups {
		fmt.Fprintf(page, "\n## %s\n\n| | | |\n|---|---|---|\n", group.Title)
		for _, row := range group.Rows {
			name := group.Kind + "." + row.Name
			if known[name] {
				t.Errorf("%s is there twice", name)
			}
			known[name] = true
			answer, why := judge(t, name, row, cases)
			fmt.Fprintf(page, "| %s | %s | %s |\n", strings.Replace(row.Name, ".", " ", 1), answer, why)
		}
	}
	for key := range capabilities.FlavorCapabilities() {
		if !known["flavor."+key] {
			t.Errorf("flavors have a key %s, and features.yaml no row flavor.%s", key, key)
		}
	}
	for _, c := range cases {
		where := "xds/translate/testdata/" + c.name + "/in.yaml"
		if len(c.shows)+len(c.refuses) == 0 {
			t.Errorf("%s says not what it shows: add a line `# shows: KIND.ROW, …` with rows of driver/capabilities/features.yaml", where)
		}
		for _, name := range slices.Concat(c.shows, c.refuses) {
			if !known[name] {
				t.Errorf("%s shows %q, which is no row of driver/capabilities/features.yaml", where, name)
			}
		}
	}
	comparePage(t, page.String())
}

// judge returns what the page says of a row.
func judge(t *testing.T, name string, r row, cases []goldenCase) (answer, why string) {
	t.Helper()
	var shown, refused []string
	for _, c := range cases {
		link := fmt.Sprintf("[%s](../../xds/translate/testdata/%s)", c.name, c.name)
		if slices.Contains(c.shows, name) {
			shown = append(shown, link)
			if !has(c.tree, r.Ask, name[strings.LastIndexByte(name, '.')+1:]) {
				t.Errorf("the case %s shows %s and has it not: %v", c.name, name, r.Ask)
			}
		}
		if slices.Contains(c.refuses, name) {
			refused = append(refused, link)
		}
	}
	for _, test := range r.Tests {
		shown = append(shown, testLink(t, test))
	}
	var sentences []string
	if r.Ask != nil {
		sentences = ask(t, name, r)
	}
	problem := ""
	switch {
	case len(sentences) > 1:
		problem = fmt.Sprintf("is refused for several reasons, so features.yaml asks for too much: %q", sentences)
	case len(sentences) == 1 && (len(shown) > 0 || r.Octavia || r.Missing != ""):
		problem = fmt.Sprintf("is shown by %v and refused: %s", shown, sentences[0])
	case len(sentences) == 1:
		return "no", sentences[0]
	case r.Missing != "" && (len(shown) > 0 || r.Octavia || r.Ask != nil):
		problem = "is missing and there"
	case r.Missing != "":
		return "no", r.Missing
	case r.Octavia && len(shown) > 0:
		problem = "is shown, and Octavia's own"
	case r.Octavia:
		return "yes", "Octavia keeps it"
	case len(shown) == 0:
		problem = "is neither refused nor shown: by a line `# shows: " + name + "` in a case of xds/translate/testdata, or by tests"
	}
	if problem != "" {
		t.Errorf("%s %s", name, problem)
	}
	why = strings.Join(shown, ", ")
	if len(refused) > 0 {
		why += "; left out when wrong: " + strings.Join(refused, ", ")
	}
	return "yes", why
}

// ask returns the sentences that a user reads who asks for a row.
func ask(t *testing.T, name string, r row) []string {
	t.Helper()
	asking := minimal(t, r.Ask)
	var sentences []string
	for _, problem := range capabilities.Check(asking) {
		assert.Equal(t, capabilities.Unsupported, problem.Kind, "%s asks for something that is wrong: %s", name, problem)
		if !slices.Contains(sentences, problem.Message) {
			sentences = append(sentences, problem.Message)
		}
	}
	if len(sentences) > 0 {
		return sentences
	}
	translated, err := translate.LoadBalancer(asking)
	require.NoError(t, err, "%s passes capabilities", name)
	if r.Octavia {
		// The same without the attribute.
		plain, err := translate.LoadBalancer(minimal(t, without(r.Ask, r.Name)))
		require.NoError(t, err)
		if diff := cmp.Diff(printed(t, plain), printed(t, translated)); diff != "" {
			t.Errorf("%s is Octavia's own and yet changes something: %s", name, diff)
		}
	}
	return nil
}

func printed(t *testing.T, res *translate.Resources) string {
	t.Helper()
	document, err := translate.YAML(res)
	require.NoError(t, err)
	return document
}

// minimal is the smallest tree that is supported, with what a row asks for in it, and ids for that.
func minimal(t *testing.T, asked map[string]any) *model.LoadBalancer {
	t.Helper()
	base := map[string]any{}
	require.NoError(t, json.Unmarshal([]byte(`{"vip_address": "192.0.2.10",
		"listeners": [{"protocol": "HTTP", "protocol_port": 80, "default_pool_id": "`+poolID+`"}],
		"pools": [{"pool_id": "`+poolID+`", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN",
			"members": [{"address": "198.51.100.1", "protocol_port": 80}]}]}`), &base))
	count := 0
	merged := identified(overlay(base, asked), "loadbalancer_id", &count)
	document, err := json.Marshal(merged)
	require.NoError(t, err)
	lb := new(model.LoadBalancer)
	require.NoError(t, json.Unmarshal(document, lb))
	fill(t, lb)
	return lb
}

// overlay puts what is asked for over a base: objects key by key, lists element by element.
func overlay(base, asked any) any {
	switch asked := asked.(type) {
	case nil:
		return base
	case map[string]any:
		object, _ := base.(map[string]any)
		if object == nil {
			object = map[string]any{}
		}
		for key, value := range asked {
			if value == nil {
				delete(object, key)
				continue
			}
			object[key] = overlay(object[key], value)
		}
		return object
	case []any:
		list, _ := base.([]any)
		for i, value := range asked {
			if i < len(list) {
				list[i] = overlay(list[i], value)
			} else {
				list = append(list, overlay(nil, value))
			}
		}
		return list
	}
	return asked
}

// identified gives an object and all that is below it an id, if it has none.
func identified(value any, key string, count *int) any {
	object, ok := value.(map[string]any)
	if !ok {
		return value
	}
	if _, named := object[key]; !named {
		*count++
		object[key] = fmt.Sprintf("10000000-0000-4000-8000-%012d", *count)
	}
	for _, child := range []struct{ list, id string }{
		{"listeners", "listener_id"}, {"pools", "pool_id"}, {"members", "member_id"}, {"l7policies", "l7policy_id"}, {"rules", "l7rule_id"},
	} {
		elements, _ := object[child.list].([]any)
		for i := range elements {
			elements[i] = identified(elements[i], child.id, count)
		}
	}
	if monitor, ok := object["healthmonitor"]; ok {
		object["healthmonitor"] = identified(monitor, "healthmonitor_id", count)
	}
	return object
}

// without is what is asked for, less an attribute.
func without(asked any, attribute string) map[string]any {
	left := map[string]any{}
	object, _ := asked.(map[string]any)
	for key, value := range object {
		switch value := value.(type) {
		case map[string]any:
			left[key] = without(value, attribute)
		case []any:
			elements := make([]any, len(value))
			for i := range value {
				elements[i] = value[i]
				if _, ok := value[i].(map[string]any); ok {
					elements[i] = without(value[i], attribute)
				}
			}
			left[key] = elements
		default:
			if key != attribute {
				left[key] = value
			}
		}
	}
	return left
}

// has reports whether a tree has all that a row asks for: any value of an attribute, and that one where the row is a value.
func has(tree, asked any, value string) bool {
	switch asked := asked.(type) {
	case map[string]any:
		object, _ := tree.(map[string]any)
		for key, one := range asked {
			if _, group := one.(map[string]any); group && key == value {
				one = 1 // whatever is in it
			}
			if one != nil && !has(object[key], one, value) {
				return false
			}
		}
		return true
	case []any:
		list, _ := tree.([]any)
		for _, one := range asked {
			if !slices.ContainsFunc(list, func(element any) bool { return has(element, one, value) }) {
				return false
			}
		}
		return true
	case bool:
		return tree == asked
	case string:
		return tree != nil && tree != "" && (tree == asked || asked != value)
	}
	return tree != nil
}

func readFeatures(t *testing.T) []group {
	t.Helper()
	document, err := os.ReadFile("features.yaml")
	require.NoError(t, err)
	var groups []group
	require.NoError(t, yaml.UnmarshalStrict(document, &groups))
	return groups
}

func goldenCases(t *testing.T) []goldenCase {
	t.Helper()
	inputs, err := filepath.Glob("../../xds/translate/testdata/*/in.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, inputs)
	cases := make([]goldenCase, 0, len(inputs))
	for _, input := range inputs {
		document, err := os.ReadFile(input)
		require.NoError(t, err)
		c := goldenCase{name: filepath.Base(filepath.Dir(input))}
		require.NoError(t, yaml.Unmarshal(document, &c.tree), input)
		c.shows, c.refuses = claims(document, "shows"), claims(document, "refuses")
		_, err = os.Stat(filepath.Join(filepath.Dir(input), "errors.txt"))
		if failed := err == nil; failed != (len(c.refuses) > 0) && len(c.shows)+len(c.refuses) > 0 {
			t.Errorf("the case %s refuses %v, and that it has an errors.txt is %v", c.name, c.refuses, failed)
		}
		cases = append(cases, c)
	}
	return cases
}

// claims reads the rows of the lines `# shows: …`.
func claims(document []byte, verb string) []string {
	var rows []string
	for _, match := range regexp.MustCompile(`(?m)^# `+verb+`: *(.*)$`).FindAllSubmatch(document, -1) {
		for name := range strings.SplitSeq(string(match[1]), ",") {
			rows = append(rows, strings.TrimSpace(name))
		}
	}
	return rows
}

// testLink returns a link to the file of a test, PACKAGE.TestNAME, which must be there.
func testLink(t *testing.T, test string) string {
	t.Helper()
	folder, name, _ := strings.Cut(test, ".")
	files, err := filepath.Glob("../../" + folder + "/*_test.go")
	require.NoError(t, err)
	for _, file := range files {
		code, err := os.ReadFile(file)
		require.NoError(t, err)
		if strings.Contains(string(code), "\nfunc "+name+"(") {
			return fmt.Sprintf("[%s](%s)", name, filepath.ToSlash(file))
		}
	}
	t.Errorf("features.yaml names a test that is not there: %s", test)
	return test
}

func comparePage(t *testing.T, tables string) {
	t.Helper()
	const name, mark = "README.md", "<!-- The rest is written by `make golden`. -->\n"
	document, err := os.ReadFile(name)
	require.NoError(t, err)
	head, _, found := strings.Cut(string(document), mark)
	require.True(t, found, "%s has no line %s", name, mark)
	want := head + mark + tables
	if *update {
		require.NoError(t, os.WriteFile(name, []byte(want), 0o600))
		return
	}
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(string(document), "\n")); diff != "" {
		t.Errorf("run `make golden` (-want +got):\n%s", diff)
	}
}
