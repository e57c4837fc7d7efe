package translate

import (
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	connectionlimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/connection_limit/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// tcpFilters are the network filters of a TCP listener, and of an HTTPS one: it passes TLS through unread.
func (t *translation) tcpFilters(listener *model.Listener, pool *servedPool, cluster string) ([]*listenerv3.Filter, error) {
	hash, sources, err := tcpHash(pool)
	if err != nil {
		return nil, err
	}
	log, err := t.accessLog(listener)
	if err != nil {
		return nil, err
	}
	proxy, err := pack(&tcpproxyv3.TcpProxy{
		StatPrefix:       listener.ID,
		ClusterSpecifier: &tcpproxyv3.TcpProxy_Cluster{Cluster: cluster},
		// Envoy's downstream_idle_timeout has no effect in 1.40.
		IdleTimeout:        milliseconds(silence(listener)),
		HashPolicy:         []*typev3.HashPolicy{hash},
		MaxConnectAttempts: wrapperspb.UInt32(1 + connectRetries),
		AccessLog:          log,
	})
	if err != nil {
		return nil, err
	}
	return networkFilters(listener, "envoy.filters.network.tcp_proxy", proxy, sources...)
}

// networkFilters are those of any listener: its connection limit, if it has one, what comes before, and what serves.
func networkFilters(
	listener *model.Listener, name string, serving *anypb.Any, before ...*listenerv3.Filter,
) ([]*listenerv3.Filter, error) {
	filters, err := connectionLimit(listener)
	if err != nil {
		return nil, err
	}
	filters = append(filters, before...)
	return append(filters, &listenerv3.Filter{
		Name: name, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: serving},
	}), nil
}

// connectionLimit closes the connections above a listener's limit at once, where HAProxy lets them wait. Octavia's 0 and
// -1 are no limit, and no filter.
func connectionLimit(listener *model.Listener) ([]*listenerv3.Filter, error) {
	if listener.ConnectionLimit <= 0 {
		return nil, nil
	}
	limit, err := pack(&connectionlimitv3.ConnectionLimit{
		StatPrefix:     listener.ID,
		MaxConnections: wrapperspb.UInt64(uint64(listener.ConnectionLimit)),
	})
	if err != nil {
		return nil, err
	}
	return []*listenerv3.Filter{{
		Name:       "envoy.filters.network.connection_limit",
		ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: limit},
	}}, nil
}
