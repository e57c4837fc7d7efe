package server

import (
	"context"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/delta/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
)

// ads is the aggregated discovery service, its delta variant.
type ads struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	server *Server
}

// DeltaAggregatedResources serves one Envoy until it goes. Each stream has a delta server of its own, so that requests,
// responses and watches know which stream they belong to.
func (a *ads) DeltaAggregatedResources(
	stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer,
) error {
	id, ok := NodeFromContext(stream.Context())
	if !ok {
		return grpcstatus.Error(codes.Unauthenticated, "no amphora")
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	if a.server.arrives != nil {
		if err := a.server.arriving(ctx, id); err != nil {
			a.server.logger.Error("an envoy has to wait", "amphora", id, "error", err)
			return grpcstatus.Error(codes.Unavailable, "what this amphora shall have cannot be read")
		}
	}
	st := a.server.openStream(id)
	defer st.close()
	a.server.logger.Info("envoy connected", "amphora", id)
	// Only clusters and listeners can be asked for by asking for nothing.
	options := delta.DeactivateLegacyWildcardForTypes(
		[]string{resource.EndpointType, resource.RouteType, resource.SecretType})
	err := delta.NewServer(ctx, st, st, options).DeltaStreamHandler(stream, resource.AnyType)
	a.server.logger.Info("envoy disconnected", "amphora", id, "error", err)
	return err
}

// arriving calls arrives.
func (s *Server) arriving(ctx context.Context, id string) error {
	n := s.nodes.lock(id)
	n.arriving++
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		n.arriving--
		n.mu.Unlock()
		s.nodes.forget(id)
	}()
	return s.arrives(ctx, id)
}

// StreamAggregatedResources is the state-of-the-world variant. It is not served: go-control-plane answers each of its
// NACKs with the same resources again, over a thousand times a second.
func (a *ads) StreamAggregatedResources(discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	return grpcstatus.Error(codes.Unimplemented,
		"only delta xDS is served: set api_type to DELTA_GRPC in the bootstrap's ads_config")
}

// unknownService answers all that is not served here.
func unknownService(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	return grpcstatus.Errorf(codes.Unimplemented,
		"%s is not served: xDS is delta ADS only, AggregatedDiscoveryService/DeltaAggregatedResources", method)
}
