package server

import (
	"context"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
)

// permissions are who may call what, by service. The services of Options.Register are for amphorae. A service that is not
// here does not exist: it answers Unimplemented to everyone.
func permissions() map[string][]role {
	return map[string][]role{
		"envoy.service.discovery.v3.AggregatedDiscoveryService": {roleAmphora},
		"envoy.service.status.v3.ClientStatusDiscoveryService":  {roleOperator},
		"grpc.reflection.v1.ServerReflection":                   {roleOperator},
		"grpc.reflection.v1alpha.ServerReflection":              {roleOperator},
		"grpc.health.v1.Health":                                 {roleOperator},
	}
}

// authorize returns a context with the caller's identity, or the error to answer with.
func (s *Server) authorize(ctx context.Context, fullMethod string) (context.Context, error) {
	who, err := s.identify(ctx)
	if err != nil {
		s.logger.Warn("refused a caller", "method", fullMethod, "error", err)
		return nil, grpcstatus.Error(codes.Unauthenticated, err.Error())
	}
	service, _, _ := strings.Cut(strings.TrimPrefix(fullMethod, "/"), "/")
	if roles, known := s.permissions[service]; known && !slices.Contains(roles, who.role) {
		s.logger.Warn("refused a call", "method", fullMethod, "role", string(who.role), "name", who.name)
		return nil, grpcstatus.Errorf(codes.PermissionDenied, "%s %s may not call %s", who.role, who.name, service)
	}
	return context.WithValue(ctx, identityKey{}, who), nil
}

func (s *Server) authorizeUnary(
	ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	ctx, err := s.authorize(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

func (s *Server) authorizeStream(
	srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler,
) error {
	ctx, err := s.authorize(stream.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	return handler(srv, &identifiedStream{ServerStream: stream, ctx: ctx})
}

// identifiedStream puts the identity where go-control-plane and the handlers look for it.
type identifiedStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context carries the identity.
func (s *identifiedStream) Context() context.Context { return s.ctx }

// RecvMsg overwrites the node of a discovery request with the certificate's: nobody can ask for another's resources, nor
// leave the node out. Envoy's list of extensions, a hundred kilobytes, is not kept.
func (s *identifiedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	req, ok := m.(*discoveryv3.DeltaDiscoveryRequest)
	if !ok {
		return nil
	}
	id, _ := NodeFromContext(s.ctx)
	said := req.GetNode()
	req.Node = &corev3.Node{Id: id, Cluster: said.GetCluster(), UserAgentName: said.GetUserAgentName()}
	switch version := said.GetUserAgentVersionType().(type) {
	case *corev3.Node_UserAgentBuildVersion:
		req.Node.UserAgentVersionType = &corev3.Node_UserAgentBuildVersion{
			UserAgentBuildVersion: &corev3.BuildVersion{Version: version.UserAgentBuildVersion.GetVersion()},
		}
	case *corev3.Node_UserAgentVersion:
		req.Node.UserAgentVersionType = version
	}
	return nil
}
