package flavor

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

const (
	topology              = "loadbalancer_topology"
	topologyActiveStandby = "ACTIVE_STANDBY"
)

// explain makes sentences of what the validator says: one for each path, in their order.
func explain(invalid *jsonschema.ValidationError, metadata any) []Problem {
	e := explainer{root: schema().root, metadata: metadata, said: make(map[string]bool)}
	e.walk(invalid)
	slices.SortStableFunc(e.problems, func(a, b Problem) int { return strings.Compare(a.Path, b.Path) })
	return e.problems
}

type explainer struct {
	root     *node
	metadata any
	said     map[string]bool
	problems []Problem
}

func (e *explainer) add(location []string, unsupported bool, format string, args ...any) {
	path := e.path(location)
	if e.said[path] {
		return
	}
	e.said[path] = true
	e.problems = append(e.problems, Problem{Path: path, Message: fmt.Sprintf(format, args...), Unsupported: unsupported})
}

// walk goes down to the causes, but not into what a rule across keys is made of.
func (e *explainer) walk(invalid *jsonschema.ValidationError) {
	location := invalid.InstanceLocation
	switch failed := invalid.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		for _, name := range failed.Properties {
			e.unknown(location, name)
		}
	case *kind.AnyOf, *kind.FalseSchema:
		e.add(location, false, "flavor.%s", e.rule(invalid.SchemaURL))
	case *kind.Required:
		for _, name := range failed.Missing {
			missing := append(slices.Clone(location), name)
			e.add(missing, false, "%s is missing; it must be %s.", e.named(missing), e.root.at(missing).value())
		}
	case *kind.MinProperties:
		e.add(location, false, "%s has nothing in it; leave it out, or set one of %s.", e.named(location),
			enumerate(e.root.at(location).keys(), "and"))
	case *kind.Schema, *kind.Group, *kind.AllOf:
		for _, cause := range invalid.Causes {
			e.walk(cause)
		}
	case *kind.MinItems, *kind.MaxItems:
		list, _ := e.valueAt(location).([]any)
		e.add(location, false, "%s must have %d to %d values, not %d.", e.named(location),
			e.root.at(location).MinItems, e.root.at(location).MaxItems, len(list))
	case *kind.UniqueItems:
		list, _ := e.valueAt(location).([]any)
		e.add(location, false, "%s has %s twice.", e.named(location), show(list[failed.Duplicates[0]]))
	default:
		e.wrong(location)
	}
}

// rule returns the sentence of the rule that a schema's URL leads to: …/allOf/0/else/….
func (e *explainer) rule(url string) string {
	_, pointer, _ := strings.Cut(url, "#/")
	group := e.root
	steps := strings.Split(pointer, "/")
	for i := 0; i+1 < len(steps); i += 2 {
		if steps[i] == "allOf" {
			if index, err := strconv.Atoi(steps[i+1]); err == nil && index < len(group.AllOf) {
				return group.AllOf[index].Description
			}
			break
		}
		if group = group.at(steps[i+1 : i+2]); group == nil {
			break
		}
	}
	return "has keys that exclude each other." // no schema here has another rule
}

// unknown is a key that the schema does not have.
func (e *explainer) unknown(location []string, name string) {
	if sentence := ofAmphora()[name]; len(location) == 0 && sentence != "" {
		e.add([]string{name}, true, "flavor.%s %s", name, sentence)
		return
	}
	keys := e.root.at(location).keys()
	hint := "."
	if nearest := closest(name, keys); nearest != "" {
		hint = fmt.Sprintf("; did you mean %s?", nearest)
	}
	place := append(slices.Clone(location), name)
	e.add(place, true, "%s is unknown%s %s has the keys %s.", e.named(place), hint, e.named(location), enumerate(keys, "and"))
}

// ofAmphora are the other keys of Octavia's own provider (octavia/api/drivers/amphora_driver/flavor_schema.py).
func ofAmphora() map[string]string {
	return map[string]string{
		"compute_flavor":     "is not supported yet, as amphorae are no Nova servers; leave it out.",
		"amp_image_tag":      "is not supported yet, as amphorae are not made from an image; leave it out.",
		"sriov_vip":          "is not supported, as VIP ports are not SR-IOV ports; leave it out.",
		"allow_member_sriov": "is not supported, as members' ports are not SR-IOV ports; leave it out.",
	}
}

// wrong is a value that is not what its key takes.
func (e *explainer) wrong(location []string) {
	value := e.valueAt(location)
	if len(location) == 1 && location[0] == topology && value == topologyActiveStandby {
		e.add(location, true, "The topology ACTIVE_STANDBY is not supported yet; use a flavor with loadbalancer_topology SINGLE.")
		return
	}
	e.add(location, false, "%s must be %s, not %s.", e.named(location), e.root.at(location).value(), show(value))
}

// valueAt returns what the metadata has at a location.
func (e *explainer) valueAt(location []string) any {
	value := e.metadata
	for _, step := range location {
		switch container := value.(type) {
		case map[string]any:
			value = container[step]
		case []any:
			index, err := strconv.Atoi(step)
			if err != nil || index >= len(container) {
				return nil
			}
			value = container[index]
		}
	}
	return value
}

// path writes a location as a user would: retries.retry_on[1].
func (e *explainer) path(location []string) string {
	var path strings.Builder
	for i, step := range location {
		switch parent := e.root.at(location[:i]); {
		case parent != nil && parent.Items != nil:
			path.WriteString("[" + step + "]")
		case i == 0:
			path.WriteString(printable(step))
		default:
			path.WriteString("." + printable(step))
		}
	}
	return path.String()
}

func (e *explainer) named(location []string) string {
	if len(location) == 0 {
		return "flavor"
	}
	return "flavor." + e.path(location)
}

func (n *node) keys() []string { return slices.Sorted(maps.Keys(n.Properties)) }

// show says a value so shortly that it fits into a sentence.
func show(value any) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case string:
		return strconv.Quote(clip(value))
	case map[string]any:
		return "an object"
	case []any:
		return fmt.Sprintf("a list of %d", len(value))
	default:
		return fmt.Sprint(value)
	}
}

// printable is a key as it stands in a path.
func printable(key string) string {
	if quoted := strconv.Quote(key); key == "" || quoted != `"`+key+`"` || strings.ContainsAny(key, " .[]") {
		return clip(quoted)
	}
	return clip(key)
}

// clip keeps what a user wrote short enough for a sentence.
func clip(text string) string {
	const limit = 40
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return text
}

// closest returns the key that name is a slip of, "" when none is near.
func closest(name string, keys []string) string {
	name = strings.ToLower(clip(name))
	best, nearest := "", (len(name)+1)/2+1
	for _, key := range keys {
		if distance := edits(name, key); distance < nearest {
			best, nearest = key, distance
		}
	}
	return best
}

// edits is the number of single characters to insert, delete or replace that make b of a (Levenshtein).
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
