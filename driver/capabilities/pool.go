package capabilities

import (
	"fmt"
	"net/netip"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

func poolProtocols() (supported []string, refused map[string]string) {
	const proxy = " pools are not supported yet; use a TCP or HTTP pool, whose members see the amphora's address."
	return []string{model.ProtocolHTTP, model.ProtocolTCP, model.ProtocolHTTPS}, map[string]string{
		model.ProtocolUDP:     "UDP pools are not supported yet; use a TCP pool, or the provider amphora for UDP.",
		model.ProtocolSCTP:    "Envoy has no SCTP; use a TCP pool, or the provider amphora for SCTP.",
		model.ProtocolProxy:   "PROXY" + proxy,
		model.ProtocolProxyV2: "PROXYV2" + proxy,
	}
}

func poolAlgorithms() (supported []string, refused map[string]string) {
	const instead = " is not supported yet; use ROUND_ROBIN or LEAST_CONNECTIONS."
	return []string{model.AlgorithmRoundRobin, model.AlgorithmLeastConnections}, map[string]string{
		model.AlgorithmSourceIP:     "The algorithm SOURCE_IP" + instead,
		model.AlgorithmSourceIPPort: "The algorithm SOURCE_IP_PORT" + instead,
	}
}

func poolRefusals() []refusal[model.Pool] {
	return []refusal[model.Pool]{
		{
			"session_persistence", func(p *model.Pool) bool { return p.SessionPersistence != nil },
			"Session persistence is not supported yet; create the pool without it.",
		},
	}
}

func (c *checker) pool(i int, p *model.Pool) {
	o := object{}.child(model.KindPool, p.ID, fmt.Sprintf("pools[%d]", i))
	c.identity(o, "pool_id", "loadbalancer_id", p.LoadBalancerID, c.lb.ID)
	supported, refused := poolProtocols()
	c.choice(o, "protocol", p.Protocol, supported, refused)
	supported, refused = poolAlgorithms()
	c.choice(o, "lb_algorithm", p.LBAlgorithm, supported, refused)
	refuse(c, o, p, poolRefusals())
	refuse(c, o, p, poolTLSRefusals())
	if p.HealthMonitor != nil {
		c.healthMonitor(o, p)
	}
	taken := make(map[netip.AddrPort]string, len(p.Members))
	for j := range p.Members {
		c.member(o, j, p, &p.Members[j], taken)
	}
}
