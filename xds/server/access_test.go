package server

import (
	"strings"
	"testing"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	clusterservicev3 "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statusv3 "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	grpcstatus "google.golang.org/grpc/status"
)

func code(t *testing.T, err error, want codes.Code, text string) {
	t.Helper()
	if grpcstatus.Code(err) != want || !strings.Contains(err.Error(), text) {
		t.Fatalf("got %v, want %s with %q", err, want, text)
	}
}

// adsError opens an ADS stream and returns what it ends with.
func adsError(t *testing.T, conn *grpc.ClientConn) error {
	t.Helper()
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(t.Context())
	must(t, err)
	_, err = stream.Recv()
	return err
}

func TestWhoMayCallWhat(t *testing.T) {
	f := start(t, func(o *Options) {
		o.Register = []func(*grpc.Server){func(g *grpc.Server) {
			// Stands for the agents' service.
			clusterservicev3.RegisterClusterDiscoveryServiceServer(g, clusterservicev3.UnimplementedClusterDiscoveryServiceServer{})
		}}
	})
	amphora, operator, nobody := f.dial(t, "octavia-envoy://amphora/n"), f.dial(t, "octavia-envoy://operator/eve"), f.dial(t, "nobody.test")

	_, err := healthv1.NewHealthClient(operator).Check(t.Context(), &healthv1.HealthCheckRequest{})
	must(t, err)
	_, err = healthv1.NewHealthClient(amphora).Check(t.Context(), &healthv1.HealthCheckRequest{})
	code(t, err, codes.PermissionDenied, "amphora n may not call grpc.health.v1.Health")
	_, err = statusv3.NewClientStatusDiscoveryServiceClient(amphora).FetchClientStatus(t.Context(), &statusv3.ClientStatusRequest{})
	code(t, err, codes.PermissionDenied, "may not call")
	code(t, adsError(t, operator), codes.PermissionDenied, "operator eve may not call")
	code(t, adsError(t, f.dial(t, "octavia-envoy://api/shim")), codes.PermissionDenied, "api shim may not call")
	code(t, adsError(t, nobody), codes.Unauthenticated, "0 URI SANs")

	_, err = clusterservicev3.NewClusterDiscoveryServiceClient(operator).FetchClusters(t.Context(), &discoveryv3.DiscoveryRequest{})
	code(t, err, codes.PermissionDenied, "operator eve may not call")
	_, err = clusterservicev3.NewClusterDiscoveryServiceClient(amphora).FetchClusters(t.Context(), &discoveryv3.DiscoveryRequest{})
	code(t, err, codes.Unimplemented, "FetchClusters")
}

func TestOnlyDeltaADSIsServed(t *testing.T) {
	f := start(t, nil)
	amphora := f.dial(t, "octavia-envoy://amphora/n")
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(amphora).StreamAggregatedResources(t.Context())
	must(t, err)
	_, err = stream.Recv()
	code(t, err, codes.Unimplemented, "DELTA_GRPC")
	_, err = clusterservicev3.NewClusterDiscoveryServiceClient(amphora).FetchClusters(t.Context(), &discoveryv3.DiscoveryRequest{})
	code(t, err, codes.Unimplemented, "delta ADS only")
}

func TestTLSIsNeeded(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Fatal("no error")
	}
}

func TestReflectionListsTheServices(t *testing.T) {
	f := start(t, nil)
	stream, err := reflectionv1.NewServerReflectionClient(f.dial(t, "octavia-envoy://operator/eve")).ServerReflectionInfo(t.Context())
	must(t, err)
	must(t, stream.Send(&reflectionv1.ServerReflectionRequest{
		MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{},
	}))
	resp, err := stream.Recv()
	must(t, err)
	var names []string
	for _, service := range resp.GetListServicesResponse().GetService() {
		names = append(names, service.GetName())
	}
	equal(t, names, []string{
		"envoy.service.discovery.v3.AggregatedDiscoveryService", "envoy.service.status.v3.ClientStatusDiscoveryService",
		"grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
	})
}

func TestClientStatus(t *testing.T) {
	f := start(t, nil)
	f.Update("other", resource.ClusterType, map[string]*Resource{"x": cluster(t, "x", 1)}, nil)
	f.Update("n", resource.ClusterType, map[string]*Resource{"bad": cluster(t, "bad", 1), "good": cluster(t, "good", 1)}, nil)
	private, err := NewResource(resource.SecretType, &tlsv3.Secret{Name: "s"})
	must(t, err)
	f.Update("n", resource.SecretType, map[string]*Resource{"s": private}, nil)
	c := f.connect(t, "n")
	c.ask(resource.ClusterType)
	c.nack(c.expect([]string{"bad", "good"}, nil), "Error adding/updating cluster(s) bad: for a reason")
	must(t, wait(f, map[Key]string{key("good"): cluster(t, "good", 1).Version}))

	client := statusv3.NewClientStatusDiscoveryServiceClient(f.dial(t, "octavia-envoy://operator/eve"))
	all, err := client.FetchClientStatus(t.Context(), &statusv3.ClientStatusRequest{})
	must(t, err)
	equal(t, len(all.GetConfig()), 2)
	one, err := client.FetchClientStatus(t.Context(), &statusv3.ClientStatusRequest{NodeMatchers: []*matcherv3.NodeMatcher{
		{NodeId: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: "n"}}},
	}})
	must(t, err)
	equal(t, len(one.GetConfig()), 1)
	equal(t, one.GetConfig()[0].GetNode().GetId(), "n")
	configs := one.GetConfig()[0].GetGenericXdsConfigs()
	equal(t, len(configs), 3)
	bad, good, secret := configs[0], configs[1], configs[2]
	equal(t, bad.GetConfigStatus(), statusv3.ConfigStatus_ERROR)
	equal(t, bad.GetErrorState().GetDetails(), "for a reason")
	equal(t, good.GetConfigStatus(), statusv3.ConfigStatus_SYNCED)
	equal(t, good.GetVersionInfo(), cluster(t, "good", 1).Version)
	equal(t, good.GetXdsConfig().GetTypeUrl(), resource.ClusterType)
	equal(t, secret.GetConfigStatus(), statusv3.ConfigStatus_NOT_SENT)
	if secret.GetXdsConfig() != nil {
		t.Fatal("a secret is shown")
	}
}
