package capabilities

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/octavia-envoy/octavia-envoy/driver/flavor"
)

// FlavorCapabilities returns the keys that a flavor profile may have and what they mean: get_supported_flavor_metadata.
func FlavorCapabilities() map[string]string { return flavor.Descriptions() }

// AvailabilityZoneCapabilities returns the keys that an availability zone profile may have and what they mean:
// get_supported_availability_zone_metadata. There are none yet.
func AvailabilityZoneCapabilities() map[string]string { return map[string]string{} }

// CheckFlavor returns what is wrong with the metadata of a flavor profile: validate_flavor. Paths begin at the metadata.
func CheckFlavor(metadata map[string]any) []Problem {
	c := new(checker)
	c.flavor(object{}, metadata)
	return relative(c.problems, "flavor")
}

// CheckAvailabilityZone returns what is wrong with the metadata of an availability zone profile:
// validate_availability_zone. Paths begin at the metadata.
func CheckAvailabilityZone(zone map[string]any) []Problem {
	c := new(checker)
	c.availabilityZone(object{}, zone)
	return relative(c.problems, "availability_zone")
}

func relative(problems []Problem, parent string) []Problem {
	for i := range problems {
		problems[i].Path = strings.TrimPrefix(strings.TrimPrefix(problems[i].Path, parent), ".")
		problems[i].Field = problems[i].Path
	}
	return problems
}

// flavor takes a value that is wrong for one that is not supported: Octavia answers anything else with 500, and without
// the sentence (octavia/api/drivers/utils.py:call_provider).
func (c *checker) flavor(o object, metadata map[string]any) {
	_, problems := flavor.Parse(metadata)
	for _, p := range problems {
		c.unsupported(o, strings.TrimSuffix("flavor."+p.Path, "."), p.Message)
	}
}

func (c *checker) availabilityZone(o object, zone map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(zone)) {
		c.unsupported(o, "availability_zone."+clip(key),
			availabilityZoneMessage(fmt.Sprintf("the key %q", clip(key))))
	}
}

func availabilityZoneMessage(subject string) string {
	return "Availability zones are not supported yet (" + subject + "); create the load balancer without one."
}
