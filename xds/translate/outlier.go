package translate

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// always is the chance, in percent, that a member goes which an enforced detector finds.
const always = 100

// outlierDetection takes members out that fail what they are sent. Only what the flavor asks for is enforced: on its own
// Envoy compares the members' rates of success.
//
// One member may go whatever its share, as 10 % of a few members is none; but never the only one: that would turn its
// failures into an outage. So this, and with it the cluster, changes when a pool gets its second member or is left with
// one. Which members are up decides, not which are healthy, and not whether the pool is up.
func (t *translation) outlierDetection(pool *model.Pool) *clusterv3.OutlierDetection {
	asked := t.flavor.OutlierDetection
	if asked == nil || pool.Protocol == model.ProtocolUDP {
		return nil
	}
	detection := &clusterv3.OutlierDetection{
		Consecutive_5Xx:                    wrapperspb.UInt32(0),
		EnforcingConsecutive_5Xx:           wrapperspb.UInt32(0),
		ConsecutiveGatewayFailure:          wrapperspb.UInt32(0),
		EnforcingConsecutiveGatewayFailure: wrapperspb.UInt32(0),
		EnforcingSuccessRate:               wrapperspb.UInt32(0),
		EnforcingFailurePercentage:         wrapperspb.UInt32(0),
		MaxEjectionPercent:                 unlessZero(asked.MaxEjected),
	}
	if asked.Consecutive5xx > 0 {
		detection.Consecutive_5Xx = unlessZero(asked.Consecutive5xx)
		detection.EnforcingConsecutive_5Xx = wrapperspb.UInt32(always)
	}
	if asked.ConsecutiveGateway > 0 {
		detection.ConsecutiveGatewayFailure = unlessZero(asked.ConsecutiveGateway)
		detection.EnforcingConsecutiveGatewayFailure = wrapperspb.UInt32(always)
	}
	if asked.Interval > 0 {
		detection.Interval = milliseconds(asked.Interval)
	}
	if asked.Ejection > 0 {
		detection.BaseEjectionTime = milliseconds(asked.Ejection)
	}
	if membersUp(pool) > 1 {
		detection.AlwaysEjectOneHost = wrapperspb.Bool(true)
	}
	return detection
}

func membersUp(pool *model.Pool) int {
	up := 0
	for i := range pool.Members {
		if pool.Members[i].AdminStateUp {
			up++
		}
	}
	return up
}
