package capabilities

import "github.com/octavia-envoy/octavia-envoy/driver/model"

func (c *checker) healthMonitor(pool object, p *model.Pool) {
	h := p.HealthMonitor
	o := pool.child(model.KindHealthMonitor, h.ID, "healthmonitor")
	c.identity(o, "healthmonitor_id", "pool_id", h.PoolID, p.ID)
	c.unsupported(o, "", "Health monitors are not supported yet; use the pool without one and take members that are "+
		"down out with admin_state_up false.")
}
