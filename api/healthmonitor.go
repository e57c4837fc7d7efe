package api

import (
	"github.com/gin-gonic/gin"

	"github.com/octavia-envoy/octavia-envoy/api/wire"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

func (s *server) healthMonitorRoutes(v1 *gin.RouterGroup) {
	const kind = model.KindHealthMonitor
	v1.POST("/healthmonitors", s.handle(kind, model.OpCreate, createHealthMonitor))
	v1.PUT("/healthmonitors/:healthmonitor_id", s.handle(kind, model.OpUpdate, updateHealthMonitor))
	v1.DELETE("/healthmonitors/:healthmonitor_id", s.handle(kind, model.OpDelete, deleteHealthMonitor))
}

func createHealthMonitor(c *gin.Context, call *call) error {
	var monitor model.HealthMonitor
	if err := decode(c, &monitor); err != nil {
		return err
	}
	call.object.ID = monitor.ID
	call.parent = model.Ref{Kind: model.KindPool, ID: monitor.PoolID}
	if err := firstError(requireID("healthmonitor_id", monitor.ID), requireID("pool_id", monitor.PoolID)); err != nil {
		return err
	}
	call.apply = func(t *tree) (touched, error) {
		pool, path := t.pool(monitor.PoolID)
		pool.HealthMonitor = &monitor
		return touched{path: path + ".healthmonitor"}, nil
	}
	return nil
}

func updateHealthMonitor(c *gin.Context, call *call) error {
	id, data, err := changeOf(c, call, "healthmonitor_id")
	if err != nil {
		return err
	}
	var change model.HealthMonitor
	if err := wire.Object(data, &change); err != nil {
		return malformed(err)
	}
	if err := firstError(sameID("healthmonitor_id", id, change.ID), optionalID("pool_id", change.PoolID)); err != nil {
		return err
	}
	call.parent = model.Ref{Kind: model.KindPool, ID: change.PoolID}
	call.apply = func(t *tree) (touched, error) {
		pool, path := t.poolOfMonitor(id, change.PoolID)
		known := pool.HealthMonitor != nil && pool.HealthMonitor.ID == id
		monitor := model.HealthMonitor{ID: id}
		if known {
			monitor = *pool.HealthMonitor
		}
		pool.HealthMonitor = &monitor
		return merge(t, &monitor, known, data, path+".healthmonitor", call.object)
	}
	return nil
}

// poolOfMonitor returns the pool that has the monitor, or else the one that the call says.
func (t *tree) poolOfMonitor(id, poolID string) (*model.Pool, string) {
	has := func(p *model.Pool) bool { return p.HealthMonitor != nil && p.HealthMonitor.ID == id }
	if i := indexOf(t.lb.Pools, has); i >= 0 {
		poolID = t.lb.Pools[i].ID
	}
	return t.pool(poolID)
}

func deleteHealthMonitor(c *gin.Context, call *call) (err error) {
	if call.object.ID, err = pathID(c, "healthmonitor_id"); err != nil {
		return err
	}
	poolID, err := queryID(c, "pool_id")
	call.parent = model.Ref{Kind: model.KindPool, ID: poolID}
	return err
}
