package translate

import (
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// keepalive probes idle TCP connections as the flavor says; nil does not.
func (t *translation) keepalive() *corev3.TcpKeepalive {
	asked := t.flavor.Keepalive
	if asked == nil {
		return nil
	}
	const second = int(time.Second / time.Millisecond)
	return &corev3.TcpKeepalive{
		KeepaliveTime:     wrapperspb.UInt32(uint32(asked.Idle / second)),     //nolint:gosec // the schema bounds it
		KeepaliveInterval: wrapperspb.UInt32(uint32(asked.Interval / second)), //nolint:gosec // the schema bounds it
		KeepaliveProbes:   wrapperspb.UInt32(uint32(asked.Probes)),            //nolint:gosec // the schema bounds it
	}
}

// memberKeepalive is that of connections to members.
func (t *translation) memberKeepalive() *clusterv3.UpstreamConnectionOptions {
	probes := t.keepalive()
	if probes == nil {
		return nil
	}
	return &clusterv3.UpstreamConnectionOptions{TcpKeepalive: probes}
}
