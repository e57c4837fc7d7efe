package flavor

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Limits of what is looked at. Octavia stores 4,096 characters of flavor data.
const (
	maxValues = 4096
	maxDepth  = 8
)

// Problem is one thing wrong with the metadata of a flavor.
type Problem struct {
	// Path leads to it from the metadata: retries.retry_on[1]; "" is the metadata as such.
	Path string
	// Message is a sentence that names the key, says what is wrong and what would be right.
	Message string
	// Unsupported is true of keys and values that may mean something to others and do not to this driver, and false of
	// those that are wrong.
	Unsupported bool
}

// String returns the message.
func (p Problem) String() string { return p.Message }

// Parse checks the metadata of a flavor and returns it. No metadata is the zero Flavor. Numbers may be of any type of
// Go's, or json.Number. With problems there is no Flavor.
func Parse(metadata map[string]any) (*Flavor, []Problem) {
	if len(metadata) == 0 {
		return new(Flavor), nil
	}
	n := normalizer{left: maxValues}
	value := n.value(metadata, maxDepth)
	if n.err != nil {
		return nil, []Problem{{Message: "The flavor data " + n.err.Error() + "."}}
	}
	if err := schema().validator.Validate(value); err != nil {
		invalid := new(jsonschema.ValidationError)
		if !errors.As(err, &invalid) {
			return nil, []Problem{{Message: "The flavor data cannot be checked."}}
		}
		return nil, explain(invalid, value)
	}
	return decode(value)
}

// decode makes a Flavor of what the schema has found right.
func decode(value any) (*Flavor, []Problem) {
	flavor := new(Flavor)
	text, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(text, flavor)
	}
	if err != nil {
		return nil, []Problem{{Message: "The flavor data cannot be read."}} // a key that only the schema knows
	}
	return flavor, nil
}

// normalizer copies JSON values, each of Go's types for them becoming the one that the validator knows, and bounds them.
type normalizer struct {
	left int
	err  error
}

func (n *normalizer) fail(format string, args ...any) any {
	if n.err == nil {
		n.err = fmt.Errorf(format, args...)
	}
	return nil
}

func (n *normalizer) value(value any, depth int) any {
	if n.left--; n.left < 0 {
		return n.fail("has more than %d values", maxValues)
	}
	switch value := value.(type) {
	case nil, bool, string:
		return value
	case map[string]any:
		if depth == 0 {
			return n.fail("is nested deeper than %d levels", maxDepth)
		}
		object := make(map[string]any, min(len(value), maxValues))
		for key, element := range value {
			object[key] = n.value(element, depth-1)
			if n.err != nil {
				return nil
			}
		}
		return object
	case []any:
		if depth == 0 {
			return n.fail("is nested deeper than %d levels", maxDepth)
		}
		list := make([]any, 0, min(len(value), maxValues))
		for _, element := range value {
			list = append(list, n.value(element, depth-1))
			if n.err != nil {
				return nil
			}
		}
		return list
	case []string:
		list := make([]any, len(value))
		for i, element := range value {
			list[i] = element
		}
		return n.value(list, depth)
	default:
		return n.number(value)
	}
}

// number returns a whole number as an int64 and any other as a float64, so that 4e3 is 4000 and nothing is as long to
// work with as 1e999999.
func (n *normalizer) number(value any) any {
	var number float64
	switch value := value.(type) {
	case json.Number:
		parsed, err := strconv.ParseFloat(value.String(), 64)
		if err != nil {
			return n.fail("has a number out of range")
		}
		number = parsed
	case float64:
		number = value
	case float32:
		number = float64(value)
	case int:
		return int64(value)
	case int32:
		return int64(value)
	case int64:
		return value
	default:
		return n.fail("has a value that is not of JSON")
	}
	const exact = 1 << 53
	switch {
	case math.IsNaN(number) || math.IsInf(number, 0):
		return n.fail("has a number out of range")
	case number == math.Trunc(number) && math.Abs(number) <= exact:
		return int64(number)
	}
	return number
}
