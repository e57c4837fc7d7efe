package server

import (
	"context"
	"errors"
	"io"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	statusv3 "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// csds is Envoy's client status discovery service: it shows what every Envoy was sent, took and refused.
//
//	grpcurl … envoy.service.status.v3.ClientStatusDiscoveryService/FetchClientStatus
type csds struct {
	statusv3.UnimplementedClientStatusDiscoveryServiceServer
	server *Server
}

// FetchClientStatus answers for all nodes that match, or all without a matcher.
func (c *csds) FetchClientStatus(
	_ context.Context, req *statusv3.ClientStatusRequest,
) (*statusv3.ClientStatusResponse, error) {
	match, err := nodeMatcher(req.GetNodeMatchers())
	if err != nil {
		return nil, err
	}
	resp := &statusv3.ClientStatusResponse{}
	for _, id := range c.server.Nodes() {
		if !match(id) {
			continue
		}
		if state, ok := c.server.NodeState(id); ok {
			resp.Config = append(resp.Config, clientConfig(state, req.GetExcludeResourceContents()))
		}
	}
	return resp, nil
}

// StreamClientStatus answers each request on the stream as FetchClientStatus does.
func (c *csds) StreamClientStatus(stream statusv3.ClientStatusDiscoveryService_StreamClientStatusServer) error {
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		resp, err := c.FetchClientStatus(stream.Context(), req)
		if err != nil {
			return err
		}
		if err := stream.Send(resp); err != nil {
			return err
		}
	}
}

func clientConfig(state NodeState, withoutContents bool) *statusv3.ClientConfig {
	node := &corev3.Node{}
	if state.Info != nil {
		node = proto.CloneOf(state.Info)
	}
	node.Id = state.Node
	config := &statusv3.ClientConfig{Node: node}
	for i := range state.Resources {
		config.GenericXdsConfigs = append(config.GenericXdsConfigs, genericConfig(&state.Resources[i], withoutContents))
	}
	return config
}

func genericConfig(state *ResourceState, withoutContents bool) *statusv3.ClientConfig_GenericXdsConfig {
	config := &statusv3.ClientConfig_GenericXdsConfig{
		TypeUrl: state.Key.TypeURL, Name: state.Key.Name, VersionInfo: state.Acked,
	}
	config.ConfigStatus, config.ClientStatus = status(state)
	if !state.SetAt.IsZero() {
		config.LastUpdated = timestamppb.New(state.SetAt)
	}
	if state.Rejected != nil {
		config.ErrorState = &adminv3.UpdateFailureState{
			Details:           state.Rejected.Text,
			VersionInfo:       state.Rejected.Version,
			LastUpdateAttempt: timestamppb.New(state.Rejected.At),
		}
	}
	// A secret holds a private key: it is shown by name and version only.
	if !withoutContents && state.Key.TypeURL != resource.SecretType {
		config.XdsConfig = state.body
	}
	return config
}

// status says how a resource stands, as the management server and as the client see it.
func status(state *ResourceState) (statusv3.ConfigStatus, adminv3.ClientResourceStatus) {
	switch {
	case state.Rejected != nil:
		return statusv3.ConfigStatus_ERROR, adminv3.ClientResourceStatus_NACKED
	case state.Acked != "" && state.Acked == state.Version:
		return statusv3.ConfigStatus_SYNCED, adminv3.ClientResourceStatus_ACKED
	case state.Acked != "":
		// It serves an older version, or one that it shall no longer have.
		return statusv3.ConfigStatus_STALE, adminv3.ClientResourceStatus_ACKED
	case state.Sent != "":
		return statusv3.ConfigStatus_STALE, adminv3.ClientResourceStatus_REQUESTED
	default:
		return statusv3.ConfigStatus_NOT_SENT, adminv3.ClientResourceStatus_UNKNOWN
	}
}
