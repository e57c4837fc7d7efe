package capabilities

import (
	"fmt"
	"net/netip"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

func poolProtocols() (supported []string, refused map[string]string) {
	supported = []string{
		model.ProtocolHTTP, model.ProtocolTCP, model.ProtocolHTTPS, model.ProtocolProxy, model.ProtocolProxyV2, model.ProtocolUDP,
	}
	refused = map[string]string{
		model.ProtocolSCTP: "Envoy has no SCTP; use a TCP pool, or the provider amphora for SCTP.",
	}
	return supported, refused
}

func poolAlgorithms() []string {
	return []string{
		model.AlgorithmRoundRobin, model.AlgorithmLeastConnections, model.AlgorithmSourceIP, model.AlgorithmSourceIPPort,
	}
}

func poolRefusals() []refusal[model.Pool] {
	return []refusal[model.Pool]{
		{
			"lb_algorithm",
			func(p *model.Pool) bool {
				return p.Protocol == model.ProtocolUDP && p.LBAlgorithm == model.AlgorithmLeastConnections
			},
			"The algorithm LEAST_CONNECTIONS is not supported for UDP, which has no connections to count; use ROUND_ROBIN, SOURCE_IP " +
				"or SOURCE_IP_PORT.",
		},
	}
}

func (c *checker) pool(i int, p *model.Pool) {
	o := object{}.child(model.KindPool, p.ID, fmt.Sprintf("pools[%d]", i))
	c.identity(o, "pool_id", "loadbalancer_id", p.LoadBalancerID, c.lb.ID)
	supported, refused := poolProtocols()
	c.choice(o, "protocol", p.Protocol, supported, refused)
	c.choice(o, "lb_algorithm", p.LBAlgorithm, poolAlgorithms(), nil)
	c.sessionPersistence(o, p)
	refuse(c, o, p, poolRefusals())
	c.poolTLS(o, p)
	if p.HealthMonitor != nil {
		c.healthMonitor(o, p)
	}
	taken := make(map[netip.AddrPort]string, len(p.Members))
	for j := range p.Members {
		c.member(o, j, p, &p.Members[j], taken)
	}
}
