package translate

import (
	"math"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/octavia-envoy/octavia-envoy/driver/flavor"
)

const (
	// noLimit lifts Envoy's circuit breakers, 1,024 connections and requests to a cluster by default: Octavia knows no
	// such limit.
	noLimit = math.MaxUint32
	// retriesAtOnce is Envoy's default for a cluster whose requests are retried, and the least that a budget allows.
	retriesAtOnce = 3
)

// circuitBreakers bounds what the members of a pool get at once. What is above is not queued: HTTP gets 503, a TCP connection
// and a UDP session are closed.
//
// Envoy's threads share the counts and look before they count, so that a bound can be passed by one for each of them.
func (t *translation) circuitBreakers() *clusterv3.CircuitBreakers {
	asked := t.flavor.CircuitBreaking
	if asked == nil {
		asked = new(flavor.CircuitBreaking)
	}
	thresholds := &clusterv3.CircuitBreakers_Thresholds{
		MaxConnections:     bound(asked.MaxConnections),
		MaxPendingRequests: bound(asked.MaxPending),
		MaxRequests:        bound(asked.MaxRequests),
		MaxRetries:         bound(asked.MaxRetries),
	}
	if retries := t.flavor.Retries; retries != nil {
		switch {
		case retries.Budget > 0:
			thresholds.RetryBudget = &clusterv3.CircuitBreakers_Thresholds_RetryBudget{
				BudgetPercent:       &typev3.Percent{Value: float64(retries.Budget)},
				MinRetryConcurrency: wrapperspb.UInt32(retriesAtOnce),
			}
		case asked.MaxRetries == 0:
			thresholds.MaxRetries = wrapperspb.UInt32(retriesAtOnce)
		}
	}
	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{thresholds}}
}

func bound(value int) *wrapperspb.UInt32Value {
	if value <= 0 {
		return wrapperspb.UInt32(noLimit)
	}
	return unlessZero(value)
}
