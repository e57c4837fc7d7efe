package translate

import (
	"crypto/x509"
	"encoding/pem"
	"slices"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	networkinputsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/network/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// filterChains are the filter chains of a listener over TCP: one, whose name is constant, because Envoy then changes a
// filter in place and drains this chain alone.
//
// A listener whose default certificate has an RSA key, with an SNI certificate that has an ECDSA one, has a second chain for
// the clients that name no server. Among all its certificates Envoy would give them the first ECDSA one, whosever it is;
// HAProxy gives them the default. The price: each of the two has a connection limit of its own.
func filterChains(listener *model.Listener, filters []*listenerv3.Filter) ([]*listenerv3.FilterChain, error) {
	chain := &listenerv3.FilterChain{Name: listener.ID, Filters: filters}
	if !terminates(listener) {
		return []*listenerv3.FilterChain{chain}, nil
	}
	var certificates []model.Secret
	for _, place := range listener.Secrets() {
		if place.IsCertificate() {
			certificates = append(certificates, place)
		}
	}
	var err error
	if chain.TransportSocket, err = downstreamTLS(listener, certificates); err != nil {
		return nil, err
	}
	if !splitsNameless(listener) {
		return []*listenerv3.FilterChain{chain}, nil
	}
	nameless := &listenerv3.FilterChain{Name: namelessChain(listener), Filters: filters}
	nameless.TransportSocket, err = downstreamTLS(listener, certificates[:1])
	return []*listenerv3.FilterChain{chain, nameless}, err
}

// splitsNameless reports whether clients that name no server need a chain of their own.
func splitsNameless(listener *model.Listener) bool {
	if !terminates(listener) || isECDSA(listener.DefaultTLSContainer) {
		return false
	}
	return slices.ContainsFunc(listener.SNIContainers, isECDSA)
}

func isECDSA(container *model.TLSContainer) bool {
	if container == nil {
		return false
	}
	block, _ := pem.Decode([]byte(container.Certificate))
	if block == nil {
		return false
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	return err == nil && certificate.PublicKeyAlgorithm == x509.ECDSA
}

// filterChainMatcher lets the clients of a listener's allowed CIDRs to its filter chain, and closes the connections of all
// others with a reset. Nil lets all in.
//
// It is this field of the listener and neither a match of the filter chain nor an RBAC filter in it, because Envoy drains
// a chain that changes. The chain's bytes stay the same, so that a change of the CIDRs keeps every open connection, seen
// with Envoy 1.40 (TestAllowedCIDRsKeepConnections): those of a CIDR that goes, too, until they end by themselves.
// And it stays one chain, so that the connection limit is one for all CIDRs.
func filterChainMatcher(listener *model.Listener) (*matcherv3.Matcher, error) {
	split := splitsNameless(listener)
	if len(listener.AllowedCIDRs) == 0 && !split {
		return nil, nil
	}
	chosen, err := chooseChain(listener.ID)
	if err != nil {
		return nil, err
	}
	if !split {
		return sourceMatcher(listener, chosen)
	}
	nameless, err := chooseChain(namelessChain(listener))
	if err != nil {
		return nil, err
	}
	byName, err := serverNameMatcher(chosen, nameless)
	if err != nil || len(listener.AllowedCIDRs) == 0 {
		return byName, err
	}
	return sourceMatcher(listener, &matcherv3.Matcher_OnMatch{OnMatch: &matcherv3.Matcher_OnMatch_Matcher{Matcher: byName}})
}

func chooseChain(name string) (*matcherv3.Matcher_OnMatch, error) {
	packed, err := anypb.New(wrapperspb.String(name))
	if err != nil {
		return nil, err
	}
	return action(packed), nil
}

func action(packed *anypb.Any) *matcherv3.Matcher_OnMatch {
	return &matcherv3.Matcher_OnMatch{OnMatch: &matcherv3.Matcher_OnMatch_Action{
		Action: &xdscorev3.TypedExtensionConfig{Name: "allow", TypedConfig: packed},
	}}
}

// serverNameMatcher takes one of two ways: for clients that name a server in their TLS handshake, and for those that do not.
func serverNameMatcher(named, nameless *matcherv3.Matcher_OnMatch) (*matcherv3.Matcher, error) {
	input, err := pack(&networkinputsv3.ServerNameInput{})
	if err != nil {
		return nil, err
	}
	something := &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{
		EngineType: &matcherv3.RegexMatcher_GoogleRe2{GoogleRe2: &matcherv3.RegexMatcher_GoogleRE2{}}, Regex: ".+",
	}}}
	return &matcherv3.Matcher{
		MatcherType: &matcherv3.Matcher_MatcherList_{MatcherList: &matcherv3.Matcher_MatcherList{
			Matchers: []*matcherv3.Matcher_MatcherList_FieldMatcher{{
				Predicate: &matcherv3.Matcher_MatcherList_Predicate{
					MatchType: &matcherv3.Matcher_MatcherList_Predicate_SinglePredicate_{
						SinglePredicate: &matcherv3.Matcher_MatcherList_Predicate_SinglePredicate{
							Input:   &xdscorev3.TypedExtensionConfig{Name: "server_name", TypedConfig: input},
							Matcher: &matcherv3.Matcher_MatcherList_Predicate_SinglePredicate_ValueMatch{ValueMatch: something},
						},
					},
				},
				OnMatch: named,
			}},
		}},
		OnNoMatch: nameless,
	}, nil
}

// inspectTLS has a listener read the start of the handshake, for matchers and logs.
func inspectTLS(message *listenerv3.Listener) error {
	config, err := pack(&tlsinspectorv3.TlsInspector{})
	if err != nil {
		return err
	}
	message.ListenerFilters = append(message.ListenerFilters, &listenerv3.ListenerFilter{
		Name: "envoy.filters.listener.tls_inspector", ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: config},
	})
	return nil
}
