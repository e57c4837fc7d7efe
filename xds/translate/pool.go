package translate

import (
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// pool checks a pool, adds its cluster and keeps it for the listeners if it can be served. again says that one before it has its id.
//
// Every pool without a monitor has its cluster, whether a listener uses it or not: so Envoy can refuse it before traffic depends
// on it, and no change of a listener adds or removes it. Of the others see dropUnused.
func (t *translation) pool(pool *model.Pool, again bool) {
	owner := model.Ref{Kind: model.KindPool, ID: pool.ID}
	refuse := func(field, reason string) {
		t.problem(&ValidationError{Owner: owner, Field: field, Reason: reason})
	}
	if err := checkID(pool.ID); err != nil {
		refuse("pool_id", err.Error())
	} else if again {
		refuse("pool_id", "the load balancer has another pool with this id")
	}
	switch pool.Protocol {
	case model.ProtocolHTTP, model.ProtocolHTTPS, model.ProtocolTCP, model.ProtocolProxy, model.ProtocolProxyV2, model.ProtocolUDP:
	default:
		refuse("protocol", unsupported("the protocol", pool.Protocol)+": use HTTP, HTTPS, PROXY, PROXYV2, TCP or UDP")
	}
	switch pool.LBAlgorithm {
	case model.AlgorithmRoundRobin, model.AlgorithmSourceIP, model.AlgorithmSourceIPPort:
	case model.AlgorithmLeastConnections:
		if pool.Protocol == model.ProtocolUDP {
			// Envoy would pick at random: it counts no sessions of UDP.
			refuse("lb_algorithm", "LEAST_CONNECTIONS is not supported for UDP: use ROUND_ROBIN, SOURCE_IP or SOURCE_IP_PORT")
		}
	default:
		refuse("lb_algorithm", unsupported("the algorithm", pool.LBAlgorithm)+
			": use ROUND_ROBIN, LEAST_CONNECTIONS, SOURCE_IP or SOURCE_IP_PORT")
	}
	checkPersistence(pool, refuse)
	checkMemberTLS(pool, refuse)
	bad := len(t.problems) > 0
	monitor := t.takeMonitor(pool)
	endpoints, backups := t.members(pool, monitor)
	if bad {
		return
	}
	if !pool.AdminStateUp {
		endpoints, backups = nil, false
	}
	served := &servedPool{Pool: pool, endpoints: endpoints, backups: backups, monitor: monitor}
	if err := t.poolCluster(poolClusterName(pool), model.DefaultTimeoutMemberConnect, served); err != nil {
		t.problem(refused(owner, err))
		return
	}
	t.pools[pool.ID] = served
	if pool.TLSEnabled {
		t.noteCiphers(owner, pool.TLSVersions, pool.TLSCiphers)
	}
}
