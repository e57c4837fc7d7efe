package bootstrap

import (
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// controllerName is the name of the cluster that leads to the controller. No id of Octavia is spelled like it.
const controllerName = "octavia-envoy-controller"

const (
	connectTimeout = 5 * time.Second
	// keepaliveInterval and keepaliveTimeout find a connection whose other end is gone without a word.
	keepaliveInterval = 10 * time.Second
	keepaliveTimeout  = 5 * time.Second
	// reconnectFirst and reconnectLongest bound the time in which a restarted controller sees its amphorae again, and
	// spread their return. Envoy's own limit is 30 s.
	reconnectFirst   = 500 * time.Millisecond
	reconnectLongest = 5 * time.Second
)

func controllerCluster(options *Options) (*clusterv3.Cluster, error) {
	target, err := parseController(options.Controller)
	if err != nil {
		return nil, err
	}
	http2, err := pack(&httpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
					Http2ProtocolOptions: &corev3.Http2ProtocolOptions{ConnectionKeepalive: &corev3.KeepaliveSettings{
						Interval: durationpb.New(keepaliveInterval), Timeout: durationpb.New(keepaliveTimeout),
					}},
				},
			},
		},
	})
	if err != nil {
		return nil, err
	}
	tls, err := pack(tlsContext(options))
	if err != nil {
		return nil, err
	}
	discovery := clusterv3.Cluster_STATIC
	if target.path == "" && !target.literal() {
		discovery = clusterv3.Cluster_STRICT_DNS
	}
	return &clusterv3.Cluster{
		Name:                 controllerName,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: discovery},
		DnsLookupFamily:      clusterv3.Cluster_ALL,
		ConnectTimeout:       durationpb.New(connectTimeout),
		TransportSocket: &corev3.TransportSocket{
			Name:       "envoy.transport_sockets.tls",
			ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: tls},
		},
		TypedExtensionProtocolOptions: map[string]*anypb.Any{
			"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2,
		},
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: controllerName,
			Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
				HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: target.address()}},
			}}}},
		},
	}, nil
}

func (c controller) address() *corev3.Address {
	if c.path != "" {
		return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: c.path}}}
	}
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: c.host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: c.port},
	}}}
}

// tlsContext is mutual TLS 1.3, over unix sockets too: the certificate is how the controller knows the amphora.
func tlsContext(options *Options) *tlsv3.UpstreamTlsContext {
	return &tlsv3.UpstreamTlsContext{
		Sni: options.ServerName,
		CommonTlsContext: &tlsv3.CommonTlsContext{
			TlsParams: &tlsv3.TlsParameters{
				TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
				TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
			},
			AlpnProtocols: []string{"h2"},
			TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{{
				Name: clientSecretName, SdsConfig: secretSource(options.clientSecretFile()),
			}},
			ValidationContextType: &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{
				ValidationContextSdsSecretConfig: &tlsv3.SdsSecretConfig{
					Name: caSecretName, SdsConfig: secretSource(options.caSecretFile()),
				},
			},
		},
	}
}

func pack(message interface {
	proto.Message
	ValidateAll() error
},
) (*anypb.Any, error) {
	if err := message.ValidateAll(); err != nil {
		return nil, err
	}
	packed := &anypb.Any{}
	return packed, anypb.MarshalFrom(packed, message, proto.MarshalOptions{Deterministic: true})
}
