package api

import (
	"fmt"

	"github.com/gin-gonic/gin"

	"github.com/octavia-envoy/octavia-envoy/api/wire"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

func (s *server) l7PolicyRoutes(v1 *gin.RouterGroup) {
	const kind = model.KindL7Policy
	v1.POST("/l7policies", s.handle(kind, model.OpCreate, createL7Policy))
	v1.PUT("/l7policies/:l7policy_id", s.handle(kind, model.OpUpdate, updateL7Policy))
	v1.DELETE("/l7policies/:l7policy_id", s.handle(kind, model.OpDelete, deleteL7Policy))
}

func createL7Policy(c *gin.Context, call *call) error {
	var policy model.L7Policy
	if err := decode(c, &policy); err != nil {
		return err
	}
	call.object.ID = policy.ID
	call.parent = model.Ref{Kind: model.KindListener, ID: policy.ListenerID}
	if err := firstError(requireID("l7policy_id", policy.ID), requireID("listener_id", policy.ListenerID)); err != nil {
		return err
	}
	call.apply = func(t *tree) (touched, error) {
		listener, path := t.listener(policy.ListenerID)
		i := put(&listener.L7Policies, policy, func(p *model.L7Policy) bool { return p.ID == policy.ID })
		return touched{path: fmt.Sprintf("%s.l7policies[%d]", path, i)}, nil
	}
	return nil
}

func updateL7Policy(c *gin.Context, call *call) error {
	id, data, err := changeOf(c, call, "l7policy_id")
	if err != nil {
		return err
	}
	var change model.L7Policy
	if err := wire.Object(data, &change); err != nil {
		return malformed(err)
	}
	if err := firstError(sameID("l7policy_id", id, change.ID),
		optionalID("listener_id", change.ListenerID)); err != nil {
		return err
	}
	call.parent = model.Ref{Kind: model.KindListener, ID: change.ListenerID}
	call.apply = func(t *tree) (touched, error) {
		known := t.hasL7Policy(id)
		policy, path := t.l7Policy(id, change.ListenerID)
		return merge(t, policy, known, data, path, call.object)
	}
	return nil
}

func (t *tree) hasL7Policy(id string) bool {
	return indexOf(t.lb.Listeners, func(l *model.Listener) bool {
		return indexOf(l.L7Policies, func(p *model.L7Policy) bool { return p.ID == id }) >= 0
	}) >= 0
}

func deleteL7Policy(c *gin.Context, call *call) (err error) {
	if call.object.ID, err = pathID(c, "l7policy_id"); err != nil {
		return err
	}
	listenerID, err := queryID(c, "listener_id")
	call.parent = model.Ref{Kind: model.KindListener, ID: listenerID}
	return err
}
