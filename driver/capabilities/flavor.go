package capabilities

import (
	"fmt"
	"maps"
	"slices"
)

// Topologies of a flavor (octavia/common/constants.py, SUPPORTED_LB_TOPOLOGIES).
const (
	flavorTopology        = "loadbalancer_topology"
	topologySingle        = "SINGLE"
	topologyActiveStandby = "ACTIVE_STANDBY"
)

// FlavorCapabilities returns the keys that a flavor profile may have and what they mean: get_supported_flavor_metadata.
func FlavorCapabilities() map[string]string {
	return map[string]string{
		flavorTopology: "How many amphorae serve the load balancer: SINGLE, which is the default, is one.",
	}
}

// AvailabilityZoneCapabilities returns the keys that an availability zone profile may have and what they mean:
// get_supported_availability_zone_metadata. There are none yet.
func AvailabilityZoneCapabilities() map[string]string { return map[string]string{} }

// CheckFlavor returns what is wrong with the metadata of a flavor profile: validate_flavor. Paths begin at the metadata.
func CheckFlavor(flavor map[string]any) []Problem {
	c := new(checker)
	c.flavor(object{}, flavor)
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
		problems[i].Path = problems[i].Path[len(parent)+1:]
		problems[i].Field = problems[i].Path
	}
	return problems
}

func (c *checker) flavor(o object, flavor map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(flavor)) {
		field := "flavor." + clip(key)
		if key != flavorTopology {
			c.unsupported(o, field, fmt.Sprintf("The flavor key %q is not supported; supported is %s.",
				clip(key), flavorTopology))
			continue
		}
		switch flavor[key] {
		case topologySingle:
		case topologyActiveStandby:
			c.unsupported(o, field,
				"The topology ACTIVE_STANDBY is not supported yet; use a flavor with loadbalancer_topology SINGLE.")
		default:
			c.invalid(o, field, "loadbalancer_topology must be SINGLE.")
		}
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
