package server

import (
	"fmt"
	"regexp"
	"strings"

	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
)

// nodeMatcher makes one predicate on node ids of CSDS's matchers: any of them is enough, and none means all.
func nodeMatcher(matchers []*matcherv3.NodeMatcher) (func(id string) bool, error) {
	if len(matchers) == 0 {
		return func(string) bool { return true }, nil
	}
	predicates := make([]func(string) bool, 0, len(matchers))
	for i, matcher := range matchers {
		if len(matcher.GetNodeMetadatas()) > 0 {
			return nil, grpcstatus.Errorf(codes.InvalidArgument, "node_matchers[%d]: only node_id can be matched", i)
		}
		predicate, err := stringMatcher(matcher.GetNodeId())
		if err != nil {
			return nil, grpcstatus.Errorf(codes.InvalidArgument, "node_matchers[%d]: %v", i, err)
		}
		predicates = append(predicates, predicate)
	}
	return func(id string) bool {
		for _, predicate := range predicates {
			if predicate(id) {
				return true
			}
		}
		return false
	}, nil
}

func stringMatcher(matcher *matcherv3.StringMatcher) (func(string) bool, error) {
	fold := func(text string) string { return text }
	if matcher.GetIgnoreCase() {
		fold = strings.ToLower
	}
	compareBy := func(test func(s, pattern string) bool, pattern string) func(string) bool {
		return func(s string) bool { return test(fold(s), fold(pattern)) }
	}
	switch pattern := matcher.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		return compareBy(func(s, p string) bool { return s == p }, pattern.Exact), nil
	case *matcherv3.StringMatcher_Prefix:
		return compareBy(strings.HasPrefix, pattern.Prefix), nil
	case *matcherv3.StringMatcher_Suffix:
		return compareBy(strings.HasSuffix, pattern.Suffix), nil
	case *matcherv3.StringMatcher_Contains:
		return compareBy(strings.Contains, pattern.Contains), nil
	case *matcherv3.StringMatcher_SafeRegex:
		// A safe_regex matches the whole text.
		expression, err := regexp.Compile("^(?:" + pattern.SafeRegex.GetRegex() + ")$")
		if err != nil {
			return nil, err
		}
		return expression.MatchString, nil
	default:
		return nil, fmt.Errorf("node_id: pattern %T is not supported", pattern)
	}
}
