package translate

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	leastrequestv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/least_request/v3"
	maglevv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/maglev/v3"
	randomv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/random/v3"
	roundrobinv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/round_robin/v3"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// balancing returns how the clusters of a pool pick a member. Nil is Envoy's own choice, round robin by weight.
//
// A hash of the source needs no state, so that it survives a failover; HAProxy's stick table has to be copied. Its
// price is that a new member takes its share of the clients from the others, about 1 in n, where a stick table moves none.
func (t *translation) balancing(pool *model.Pool) (*clusterv3.LoadBalancingPolicy, error) {
	switch {
	case byPort(pool) && pool.Protocol == model.ProtocolUDP:
		// Envoy's sessions of UDP are by source address and port already, and its hash for them knows no port.
		return policy("envoy.load_balancing_policies.random", &randomv3.Random{})
	case bySource(pool), byPort(pool):
		return policy("envoy.load_balancing_policies.maglev", &maglevv3.Maglev{})
	case pool.LBAlgorithm == model.AlgorithmLeastConnections:
		// It asks all members who has the fewest requests or connections, where Envoy's default asks two.
		return policy("envoy.load_balancing_policies.least_request",
			&leastrequestv3.LeastRequest{SelectionMethod: leastrequestv3.LeastRequest_FULL_SCAN, SlowStartConfig: t.slowStart()})
	case t.flavor.SlowStart != nil:
		return policy("envoy.load_balancing_policies.round_robin", &roundrobinv3.RoundRobin{SlowStartConfig: t.slowStart()})
	}
	return nil, nil
}

func policy(name string, message validated) (*clusterv3.LoadBalancingPolicy, error) {
	config, err := pack(message)
	if err != nil {
		return nil, err
	}
	return &clusterv3.LoadBalancingPolicy{Policies: []*clusterv3.LoadBalancingPolicy_Policy{{
		TypedExtensionConfig: &corev3.TypedExtensionConfig{Name: name, TypedConfig: config},
	}}}, nil
}

// bySource reports whether a client's address alone picks its member. Persistence comes before the algorithm.
func bySource(pool *model.Pool) bool {
	return persistence(pool) == persistSourceIP || pool.LBAlgorithm == model.AlgorithmSourceIP
}

// byPort reports whether a client's address and port pick its member.
func byPort(pool *model.Pool) bool {
	return !bySource(pool) && pool.LBAlgorithm == model.AlgorithmSourceIPPort
}
