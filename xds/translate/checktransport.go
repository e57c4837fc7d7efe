package translate

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rawbufferv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// Checks do not always speak to members as traffic does. As with HAProxy, TLS and the PROXY protocol of the pool are in a check of the
// member's own address and port, and not in one that goes elsewhere, by monitor_address or monitor_port; and a monitor of the type HTTPS or
// TLS-HELLO encrypts anyway.
//
// Envoy has one criterion for the transport of all checks of a cluster, not one for each member. But where nothing has what
// the criterion asks for, it goes by the metadata of the member's locality, whether or not it did so for traffic: so the members are in
// two localities, by where they are checked, and traffic goes by their own metadata, which come first. To move a member's
// checks is then a change of endpoints, as any other of a member.
const (
	transportMetadata = "envoy.transport_socket_match"
	transportKey      = sessionMetadata

	transportTraffic   = "traffic"
	transportOwn       = "own"
	transportElsewhere = "elsewhere"
	transportCheck     = "check"
)

// divides reports whether the checks of a pool's members differ by where they go.
func (m *monitor) divides() bool {
	return m != nil && !m.bridged() && (m.pool.TLSEnabled || speaksProxy(m.pool))
}

func speaksProxy(pool *model.Pool) bool {
	return pool.Protocol == model.ProtocolProxy || pool.Protocol == model.ProtocolProxyV2
}

// checkTransport gives a cluster the transports of its checks, where those of traffic will not do.
func (t *translation) checkTransport(cluster *clusterv3.Cluster, check *corev3.HealthCheck, m *monitor) error {
	plain, err := plainTransport()
	if err != nil {
		return err
	}
	if m.bridged() {
		if cluster.GetTransportSocket() != nil {
			check.TransportSocketMatchCriteria = transportMatch(transportCheck)
			cluster.TransportSocketMatches = transports(transportCheck, plain)
		}
		return nil
	}
	own, elsewhere := cluster.GetTransportSocket(), plain
	if m.encrypts() {
		if elsewhere, err = t.tlsOfChecks(m.pool); err != nil {
			return err
		}
		if !m.pool.TLSEnabled {
			if own, err = withProxyProtocol(m.pool, elsewhere); err != nil {
				return err
			}
		}
	}
	switch {
	case m.divides():
		check.TransportSocketMatchCriteria = transportMatch(transportCheck)
		cluster.TransportSocketMatches = append(append(transports(transportTraffic, cluster.GetTransportSocket()),
			transports(transportOwn, own)...), transports(transportElsewhere, elsewhere)...)
	case m.encrypts():
		check.TransportSocketMatchCriteria = transportMatch(transportCheck)
		cluster.TransportSocketMatches = transports(transportCheck, own)
	}
	return nil
}

// tlsOfChecks encrypts checks where the pool does not, or elsewhere: without a look at the member's certificate, as HAProxy's `check-ssl
// verify none`, by any version and cipher that Envoy has, and with the pool's own certificate, if it has one.
func (t *translation) tlsOfChecks(pool *model.Pool) (*corev3.TransportSocket, error) {
	common := &tlsv3.CommonTlsContext{TlsParams: &tlsv3.TlsParameters{
		TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_0, TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
		CipherSuites: []string{"ALL"},
	}}
	for _, place := range pool.Secrets() {
		if place.Role == model.RoleClient {
			common.TlsCertificateSdsSecretConfigs = []*tlsv3.SdsSecretConfig{secretByName(place.Name())}
		}
	}
	config, err := pack(&tlsv3.UpstreamTlsContext{CommonTlsContext: common})
	if err != nil {
		return nil, err
	}
	return &corev3.TransportSocket{
		Name:       "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: config},
	}, nil
}

func plainTransport() (*corev3.TransportSocket, error) {
	config, err := pack(&rawbufferv3.RawBuffer{})
	if err != nil {
		return nil, err
	}
	return &corev3.TransportSocket{
		Name:       "envoy.transport_sockets.raw_buffer",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: config},
	}, nil
}

func transports(name string, socket *corev3.TransportSocket) []*clusterv3.Cluster_TransportSocketMatch {
	return []*clusterv3.Cluster_TransportSocketMatch{{Name: name, Match: transportMatch(name), TransportSocket: socket}}
}

func transportMatch(name string) *structpb.Struct {
	return &structpb.Struct{Fields: map[string]*structpb.Value{transportKey: structpb.NewStringValue(name)}}
}

// markTransport marks an endpoint or a locality.
func markTransport(metadata *corev3.Metadata, name string) *corev3.Metadata {
	if metadata == nil {
		metadata = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{}}
	}
	metadata.FilterMetadata[transportMetadata] = transportMatch(name)
	return metadata
}
