package api

import (
	"fmt"

	"github.com/gin-gonic/gin"

	"github.com/octavia-envoy/octavia-envoy/api/wire"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

func (s *server) listenerRoutes(v1 *gin.RouterGroup) {
	const kind = model.KindListener
	v1.POST("/listeners", s.handle(kind, model.OpCreate, createListener))
	v1.PUT("/listeners/:listener_id", s.handle(kind, model.OpUpdate, updateListener))
	v1.DELETE("/listeners/:listener_id", s.handle(kind, model.OpDelete, deleteListener))
}

func createListener(c *gin.Context, call *call) error {
	var listener model.Listener
	if err := decode(c, &listener); err != nil {
		return err
	}
	call.object.ID, call.loadBalancerID = listener.ID, listener.LoadBalancerID
	if err := firstError(requireID("listener_id", listener.ID),
		requireID("loadbalancer_id", listener.LoadBalancerID)); err != nil {
		return err
	}
	call.apply = func(t *tree) (touched, error) {
		i := put(&t.lb.Listeners, listener, func(l *model.Listener) bool { return l.ID == listener.ID })
		return touched{path: fmt.Sprintf("listeners[%d]", i)}, nil
	}
	return nil
}

func updateListener(c *gin.Context, call *call) error {
	id, data, err := changeOf(c, call, "listener_id")
	if err != nil {
		return err
	}
	var change model.Listener
	if err := wire.Object(data, &change); err != nil {
		return malformed(err)
	}
	if err := firstError(sameID("listener_id", id, change.ID),
		optionalID("loadbalancer_id", change.LoadBalancerID)); err != nil {
		return err
	}
	call.loadBalancerID = change.LoadBalancerID
	call.apply = func(t *tree) (touched, error) {
		known := t.lb.Listener(id) != nil
		listener, path := t.listener(id)
		return merge(t, listener, known, data, path, call.object)
	}
	return nil
}

func deleteListener(c *gin.Context, call *call) (err error) {
	if call.object.ID, err = pathID(c, "listener_id"); err != nil {
		return err
	}
	call.loadBalancerID, err = queryID(c, "loadbalancer_id")
	return err
}
