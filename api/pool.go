package api

import (
	"fmt"

	"github.com/gin-gonic/gin"

	"github.com/octavia-envoy/octavia-envoy/api/wire"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

func (s *server) poolRoutes(v1 *gin.RouterGroup) {
	const kind = model.KindPool
	v1.POST("/pools", s.handle(kind, model.OpCreate, createPool))
	v1.PUT("/pools/:pool_id", s.handle(kind, model.OpUpdate, updatePool))
	v1.DELETE("/pools/:pool_id", s.handle(kind, model.OpDelete, deletePool))
}

func createPool(c *gin.Context, call *call) error {
	var pool model.Pool
	if err := decode(c, &pool); err != nil {
		return err
	}
	call.object.ID, call.loadBalancerID = pool.ID, pool.LoadBalancerID
	if err := firstError(requireID("pool_id", pool.ID), requireID("loadbalancer_id", pool.LoadBalancerID),
		optionalID("listener_id", pool.ListenerID)); err != nil {
		return err
	}
	call.apply = func(t *tree) (touched, error) {
		i := put(&t.lb.Pools, pool, func(p *model.Pool) bool { return p.ID == pool.ID })
		change := touched{path: fmt.Sprintf("pools[%d]", i)}
		// Octavia makes it the default pool of the listener: they must fit each other.
		j := indexOf(t.lb.Listeners, func(l *model.Listener) bool { return l.ID == pool.ListenerID })
		if j >= 0 && t.lb.Listeners[j].DefaultPoolID == "" {
			t.lb.Listeners[j].DefaultPoolID = pool.ID
			change.elsewhere = map[string]string{fmt.Sprintf("listeners[%d].default_pool_id", j): "listener_id"}
		}
		return change, nil
	}
	return nil
}

func updatePool(c *gin.Context, call *call) error {
	id, data, err := changeOf(c, call, "pool_id")
	if err != nil {
		return err
	}
	var change model.Pool
	if err := wire.Object(data, &change); err != nil {
		return malformed(err)
	}
	if err := firstError(sameID("pool_id", id, change.ID),
		optionalID("loadbalancer_id", change.LoadBalancerID)); err != nil {
		return err
	}
	call.loadBalancerID = change.LoadBalancerID
	call.apply = func(t *tree) (touched, error) {
		known := t.lb.Pool(id) != nil
		pool, path := t.pool(id)
		return merge(t, pool, known, data, path, call.object)
	}
	return nil
}

func deletePool(c *gin.Context, call *call) (err error) {
	if call.object.ID, err = pathID(c, "pool_id"); err != nil {
		return err
	}
	call.loadBalancerID, err = queryID(c, "loadbalancer_id")
	return err
}
