package bootstrap

import (
	"bytes"
	"encoding/json"
	"fmt"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// adminMode lets nobody but Envoy's own user (and root) at the admin socket: it can stop Envoy.
const adminMode = 0o600

// Envoy returns the bootstrap of an amphora's Envoy, as JSON. (In YAML an id such as `n` or `1e3` would not be a string.)
// The error names everything that is wrong with the options.
func Envoy(options Options) ([]byte, error) {
	if err := options.check(); err != nil {
		return nil, fmt.Errorf("bootstrap of Envoy: %w", err)
	}
	cluster, err := controllerCluster(&options)
	if err != nil {
		return nil, fmt.Errorf("bootstrap of Envoy: %w", err)
	}
	message := &bootstrapv3.Bootstrap{
		Node: &corev3.Node{Id: options.NodeID, Cluster: options.Cluster},
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{Clusters: []*clusterv3.Cluster{
			cluster, translate.MetricsClusterAt(options.MetricsSocket),
		}},
		DynamicResources: dynamicResources(),
		StatsConfig:      statsConfig(),
		LayeredRuntime: &bootstrapv3.LayeredRuntime{Layers: []*bootstrapv3.RuntimeLayer{translate.RuntimeLayer(), {
			// Lets an operator change a runtime key of one Envoy by its admin interface, until it restarts.
			Name: "admin",
			LayerSpecifier: &bootstrapv3.RuntimeLayer_AdminLayer_{
				AdminLayer: &bootstrapv3.RuntimeLayer_AdminLayer{},
			},
		}}},
		Admin: &bootstrapv3.Admin{Address: &corev3.Address{Address: &corev3.Address_Pipe{
			Pipe: &corev3.Pipe{Path: options.AdminSocket, Mode: adminMode},
		}}},
	}
	if err := message.ValidateAll(); err != nil {
		return nil, fmt.Errorf("bootstrap of Envoy: %w", err)
	}
	return document(message)
}

// dynamicResources makes one delta ADS stream the source of everything.
func dynamicResources() *bootstrapv3.Bootstrap_DynamicResources {
	return &bootstrapv3.Bootstrap_DynamicResources{
		LdsConfig: translate.ADSConfigSource(),
		CdsConfig: translate.ADSConfigSource(),
		AdsConfig: &corev3.ApiConfigSource{
			// Not state of the world: it repeats a refused update for ever.
			ApiType:             corev3.ApiConfigSource_DELTA_GRPC,
			TransportApiVersion: corev3.ApiVersion_V3,
			GrpcServices: []*corev3.GrpcService{{
				TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{
					ClusterName: controllerName,
					RetryPolicy: &corev3.RetryPolicy{RetryBackOff: &corev3.BackoffStrategy{
						BaseInterval: durationpb.New(reconnectFirst),
						MaxInterval:  durationpb.New(reconnectLongest),
					}},
				}},
			}},
			SetNodeOnFirstMessageOnly: true,
		},
	}
}

// document writes a message as JSON that is the same every time: protojson varies its spaces on purpose.
func document(message proto.Message) ([]byte, error) {
	loose, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", message.ProtoReflect().Descriptor().FullName(), err)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, loose, "", "  "); err != nil {
		return nil, fmt.Errorf("write %s: %w", message.ProtoReflect().Descriptor().FullName(), err)
	}
	indented.WriteByte('\n')
	return indented.Bytes(), nil
}
