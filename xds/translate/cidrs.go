package translate

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	networkinputsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/network/v3"
	ipv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/input_matchers/ip/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// sourceMatcher goes a way for the clients of a listener's allowed CIDRs, for all when there are none.
func sourceMatcher(listener *model.Listener, allow *matcherv3.Matcher_OnMatch) (*matcherv3.Matcher, error) {
	if len(listener.AllowedCIDRs) == 0 {
		return &matcherv3.Matcher{OnNoMatch: allow}, nil
	}
	input, err := pack(&networkinputsv3.SourceIPInput{})
	if err != nil {
		return nil, err
	}
	prefixes, err := allowedCIDRs(listener)
	if err != nil {
		return nil, err
	}
	ranges := &ipv3.Ip{StatPrefix: listener.ID}
	for _, prefix := range prefixes {
		ranges.CidrRanges = append(ranges.CidrRanges, &corev3.CidrRange{
			AddressPrefix: prefix.Addr().String(),
			PrefixLen:     wrapperspb.UInt32(uint32(prefix.Bits())), //nolint:gosec // 0 to 128
		})
	}
	matches, err := pack(ranges)
	if err != nil {
		return nil, err
	}
	return &matcherv3.Matcher{MatcherType: &matcherv3.Matcher_MatcherList_{MatcherList: &matcherv3.Matcher_MatcherList{
		Matchers: []*matcherv3.Matcher_MatcherList_FieldMatcher{{
			Predicate: &matcherv3.Matcher_MatcherList_Predicate{
				MatchType: &matcherv3.Matcher_MatcherList_Predicate_SinglePredicate_{
					SinglePredicate: &matcherv3.Matcher_MatcherList_Predicate_SinglePredicate{
						Input: &xdscorev3.TypedExtensionConfig{Name: "source", TypedConfig: input},
						Matcher: &matcherv3.Matcher_MatcherList_Predicate_SinglePredicate_CustomMatch{
							CustomMatch: &xdscorev3.TypedExtensionConfig{Name: "allowed_cidrs", TypedConfig: matches},
						},
					},
				},
			},
			OnMatch: allow,
		}},
	}}}, nil
}

// allowedCIDRs returns the allowed CIDRs of a listener, each once, masked and sorted.
func allowedCIDRs(listener *model.Listener) ([]netip.Prefix, error) {
	prefixes := make([]netip.Prefix, 0, len(listener.AllowedCIDRs))
	for _, text := range listener.AllowedCIDRs {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%.64q is not a CIDR", text)
		}
		const mapped = 96 // bits of ::ffff:0:0/96, which holds the IPv4 addresses
		if prefix.Addr().Is4In6() && prefix.Bits() >= mapped {
			prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-mapped)
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	slices.SortFunc(prefixes, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	return slices.Compact(prefixes), nil
}
