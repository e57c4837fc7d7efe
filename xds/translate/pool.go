package translate

import (
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// pool checks a pool and keeps it for the listeners if it can be served.
func (t *translation) pool(pool *model.Pool) {
	owner := model.Ref{Kind: model.KindPool, ID: pool.ID}
	before := len(t.problems)
	refuse := func(field, reason string) {
		t.problem(&ValidationError{Owner: owner, Field: field, Reason: reason})
	}
	if err := checkID(pool.ID); err != nil {
		refuse("pool_id", err.Error())
	} else if _, ok := t.pools[pool.ID]; ok {
		refuse("pool_id", "the load balancer has another pool with this id")
	}
	switch pool.Protocol {
	case model.ProtocolHTTP, model.ProtocolHTTPS, model.ProtocolTCP:
	default:
		refuse("protocol", unsupported("the protocol", pool.Protocol)+": use HTTP, HTTPS or TCP")
	}
	switch pool.LBAlgorithm {
	case model.AlgorithmRoundRobin, model.AlgorithmLeastConnections:
	default:
		refuse("lb_algorithm", unsupported("the algorithm", pool.LBAlgorithm)+": use ROUND_ROBIN or LEAST_CONNECTIONS")
	}
	if pool.SessionPersistence != nil {
		refuse("session_persistence", unsupported("session persistence", pool.SessionPersistence.Type))
	}
	// The versions, ciphers and protocols of TLS mean nothing without it: Octavia fills in its defaults.
	if pool.TLSEnabled {
		refuse("tls_enabled", unsupported("TLS to members", ""))
	}
	for _, reference := range []struct{ field, value string }{
		{"tls_container_ref", pool.TLSContainerRef},
		{"ca_tls_container_ref", pool.CATLSContainerRef},
		{"crl_container_ref", pool.CRLContainerRef},
	} {
		if reference.value != "" {
			refuse(reference.field, unsupported("TLS to members", ""))
		}
	}
	bad := len(t.problems) > before
	if pool.HealthMonitor != nil {
		t.problem(&ValidationError{
			Owner: model.Ref{Kind: model.KindHealthMonitor, ID: pool.HealthMonitor.ID}, Field: "type",
			Reason: unsupported("a health monitor of type", pool.HealthMonitor.Type),
		})
	}
	endpoints, backups := t.members(pool)
	if bad {
		return
	}
	if !pool.AdminStateUp {
		endpoints, backups = nil, false
	}
	t.pools[pool.ID] = &servedPool{Pool: pool, endpoints: endpoints, backups: backups}
}

// unusedPools gives a cluster to every pool that no listener uses.
func (t *translation) unusedPools() {
	for _, pool := range sorted(t.lb.Pools, func(p *model.Pool) string { return p.ID }) {
		served := t.pools[pool.ID]
		if served == nil || served.used {
			continue
		}
		if _, err := t.poolCluster(served, nil); err != nil {
			t.problem(refused(model.Ref{Kind: model.KindPool, ID: pool.ID}, err))
		}
	}
}
