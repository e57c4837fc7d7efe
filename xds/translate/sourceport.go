package translate

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	filterstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/set_filter_state/v3"
	setfilterstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/set_filter_state/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

const (
	// sourceKey names what SOURCE_IP_PORT hashes: Envoy's own hash of a source leaves out the port.
	sourceKey = "octavia.source"
	// sourceFilter is the HTTP filter that writes it. All HTTP listeners have it disabled, and routes enable it.
	sourceFilter = "octavia.source"
)

func sourceState() []*filterstatev3.FilterStateValue {
	return []*filterstatev3.FilterStateValue{{
		Key:        &filterstatev3.FilterStateValue_ObjectKey{ObjectKey: sourceKey},
		FactoryKey: "envoy.hashable_string",
		Value: &filterstatev3.FilterStateValue_FormatString{FormatString: &corev3.SubstitutionFormatString{
			Format: &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: &corev3.DataSource{
				Specifier: &corev3.DataSource_InlineString{InlineString: "%DOWNSTREAM_REMOTE_ADDRESS%"},
			}},
		}},
	}}
}

// tcpHash is what a TCP listener gives to a cluster that hashes, and the filters that it needs for it.
//
// The hash of the source's address is always there: Envoy computes it when the cluster asks for one, so it costs nothing
// otherwise, and the algorithm of the pool is no part of the listener. Only SOURCE_IP_PORT is: to change a pool to it or
// from it drains the TCP and HTTPS listeners that have the pool.
func tcpHash(pool *servedPool) (*typev3.HashPolicy, []*listenerv3.Filter, error) {
	if pool == nil || !byPort(pool.Pool) {
		return &typev3.HashPolicy{
			PolicySpecifier: &typev3.HashPolicy_SourceIp_{SourceIp: &typev3.HashPolicy_SourceIp{}},
		}, nil, nil
	}
	state, err := pack(&setfilterstatev3.Config{OnNewConnection: sourceState()})
	if err != nil {
		return nil, nil, err
	}
	hash := &typev3.HashPolicy{PolicySpecifier: &typev3.HashPolicy_FilterState_{
		FilterState: &typev3.HashPolicy_FilterState{Key: sourceKey},
	}}
	return hash, []*listenerv3.Filter{{
		Name:       "envoy.filters.network.set_filter_state",
		ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: state},
	}}, nil
}

// httpHash is what a route gives to a cluster that hashes, and the state that it hashes; nil to one that does not.
func httpHash(pool *model.Pool) ([]*routev3.RouteAction_HashPolicy, []*filterstatev3.FilterStateValue) {
	switch {
	case bySource(pool):
		return []*routev3.RouteAction_HashPolicy{{
			PolicySpecifier: &routev3.RouteAction_HashPolicy_ConnectionProperties_{
				ConnectionProperties: &routev3.RouteAction_HashPolicy_ConnectionProperties{SourceIp: true},
			},
		}}, nil
	case byPort(pool):
		return []*routev3.RouteAction_HashPolicy{{
			PolicySpecifier: &routev3.RouteAction_HashPolicy_FilterState_{
				FilterState: &routev3.RouteAction_HashPolicy_FilterState{Key: sourceKey},
			},
		}}, sourceState()
	}
	return nil, nil
}
