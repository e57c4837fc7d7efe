package publish

import (
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// endpoints are written as words: a name, with "-" before it when it drains, "+" when it is a backup, "!" when it is checked elsewhere.
func endpoints(words string) *endpointv3.ClusterLoadAssignment {
	groups := []*endpointv3.LocalityLbEndpoints{{}, {Priority: 1}}
	for word := range strings.FieldsSeq(words) {
		name := strings.TrimLeft(word, "-+!")
		endpoint := &endpointv3.Endpoint{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
			SocketAddress: &corev3.SocketAddress{Address: name, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 80}},
		}}}
		if strings.Contains(word, "!") {
			endpoint.HealthCheckConfig = &endpointv3.Endpoint_HealthCheckConfig{PortValue: 81}
		}
		lb := &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: endpoint}}
		if strings.Contains(word, "-") {
			lb.HealthStatus = corev3.HealthStatus_DRAINING
		}
		group := groups[strings.Count(word, "+")]
		group.LbEndpoints = append(group.LbEndpoints, lb)
	}
	assignment := &endpointv3.ClusterLoadAssignment{ClusterName: "c"}
	for _, group := range groups {
		if len(group.GetLbEndpoints()) > 0 {
			assignment.Endpoints = append(assignment.Endpoints, group)
		}
	}
	if len(assignment.GetEndpoints()) > 1 {
		assignment.Policy = &endpointv3.ClusterLoadAssignment_Policy{OverprovisioningFactor: wrapperspb.UInt32(1000)}
	}
	return assignment
}

// inWords is the reverse.
func inWords(assignment *endpointv3.ClusterLoadAssignment) string {
	var words []string
	for _, group := range assignment.GetEndpoints() {
		for _, e := range group.GetLbEndpoints() {
			word := strings.Repeat("+", int(group.GetPriority())) + e.GetEndpoint().GetAddress().GetSocketAddress().GetAddress()
			if e.GetEndpoint().GetHealthCheckConfig() != nil {
				word = "!" + word
			}
			if e.GetHealthStatus() == corev3.HealthStatus_DRAINING {
				word = "-" + word
			}
			words = append(words, word)
		}
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

func TestReplacement(t *testing.T) {
	for name, test := range map[string]struct {
		former, want string
		// both is "" where nobody stays. needed is by how many are healthy before, "x" for yes, with none unchecked and with one.
		both, needed, neededOneUnchecked string
	}{
		"all":                      {"a b", "c", "a b c", "-xx-", "-xx-"},
		"half":                     {"a b", "a c", "a b c", "-x-", "-x-"},
		"one goes":                 {"a b", "a", "a b", "---", "-x-"},
		"one comes":                {"a", "a b", "", "", ""},
		"all go":                   {"a b", "", "", "", ""},
		"drained":                  {"a b", "-a -b c", "a b c", "-xx-", "-xx-"},
		"all drained":              {"a b", "-a -b", "", "", ""},
		"who drained goes":         {"a -b", "a", "", "", ""},
		"who drained comes back":   {"a -b", "b", "a b", "---", "-x-"},
		"a backup":                 {"a +b", "c +d", "+b +d a c", "-xx-", "-xx-"},
		"becomes a backup":         {"a", "+a b", "", "", ""},
		"a backup goes":            {"a +b", "c", "+b a c", "-xx-", "-xx-"},
		"checked elsewhere":        {"a b", "!a b", "a b", "---", "-x-"},
		"all are":                  {"a b", "!a !b", "!a b", "-xx-", "-xx-"},
		"the only one is":          {"a", "!a", "", "", ""},
		"the only one is, and new": {"a", "!a b", "a b", "-x-", "-x-"},
		"nothing":                  {"a b", "a b", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			former, want := endpoints(test.former), endpoints(test.want)
			r := newReplacement(former, want, func(string) bool { return true })
			if r == nil {
				if test.both != "" {
					t.Fatal("nobody stays")
				}
				return
			}
			if got := inWords(r.both); got != test.both {
				t.Errorf("%q, want %q", got, test.both)
			}
			for unchecked, expected := range []string{test.needed, test.neededOneUnchecked} {
				for healthy, needed := range expected {
					if got := r.needed(Checked{Healthy: uint64(healthy), Unchecked: uint64(unchecked)}); got != (needed == 'x') {
						t.Errorf("%d healthy, %d unchecked: needed is %v", healthy, unchecked, got)
					}
				}
			}
			if backups := strings.Contains(test.both, "+"); backups != (r.both.GetPolicy() != nil) {
				t.Error("the policy of backups is wrong")
			}
			if inWords(former) != inWords(endpoints(test.former)) || inWords(want) != inWords(endpoints(test.want)) {
				t.Error("what it was given has changed")
			}
			if nobody := newReplacement(former, want, func(string) bool { return false }); nobody != nil {
				t.Error("somebody stays who may not")
			}
		})
	}
}

func TestReplacementIsOver(t *testing.T) {
	r := newReplacement(endpoints("a b"), endpoints("c d"), func(string) bool { return true })
	for is, over := range map[Checked]bool{
		{Healthy: 2, Unchecked: 2}: false, {Healthy: 2, Unchecked: 1}: false, {Healthy: 3, Unchecked: 1}: true, {Healthy: 1}: true, {}: true,
	} {
		if r.over(is) != over {
			t.Errorf("%+v: over is %v", is, !over)
		}
	}
}
