package api

import (
	"encoding/json"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/octavia-envoy/octavia-envoy/api/wire"
	"github.com/octavia-envoy/octavia-envoy/driver/capabilities"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

func (s *server) loadBalancerRoutes(v1 *gin.RouterGroup) {
	const kind = model.KindLoadBalancer
	v1.POST("/loadbalancers", s.handle(kind, model.OpCreate, s.createLoadBalancer))
	v1.PUT("/loadbalancers/:loadbalancer_id", s.handle(kind, model.OpUpdate, updateLoadBalancer))
	v1.DELETE("/loadbalancers/:loadbalancer_id", s.handle(kind, model.OpDelete, deleteLoadBalancer))
	v1.POST("/loadbalancers/:loadbalancer_id/failover", s.handle(kind, model.OpFailover, failOverLoadBalancer))
}

// createLoadBalancer judges the whole tree. The port of the VIP is claimed if the call is accepted, and freed if not.
func (s *server) createLoadBalancer(c *gin.Context, call *call) error {
	data, err := body(c)
	if err != nil {
		return err
	}
	lb, err := wire.Decode(data)
	if err != nil {
		// The port must be freed even so.
		var named struct {
			ID string `json:"loadbalancer_id"`
		}
		if json.Unmarshal(data, &named) == nil && capabilities.ValidID(named.ID) {
			s.settleVIPPort(call, named.ID)
		}
		return malformed(err)
	}
	if err := requireID("loadbalancer_id", lb.ID); err != nil {
		return err
	}
	s.settleVIPPort(call, lb.ID)
	call.apply = func(t *tree) (touched, error) {
		t.lb, t.partial = lb, false
		return touched{}, nil
	}
	return nil
}

func (s *server) settleVIPPort(call *call, id string) {
	call.object.ID, call.loadBalancerID = id, id
	call.prepare = s.claimVIPPort(id)
	call.refused = s.releaseVIPPort(id)
}

func updateLoadBalancer(c *gin.Context, call *call) error {
	id, data, err := changeOf(c, call, "loadbalancer_id")
	if err != nil {
		return err
	}
	var change model.LoadBalancer
	if err := wire.Object(data, &change); err != nil {
		return malformed(err)
	}
	if err := sameID("loadbalancer_id", id, change.ID); err != nil {
		return err
	}
	call.loadBalancerID = id
	call.apply = func(t *tree) (touched, error) {
		return merge(t, t.lb, !t.partial, data, "", call.object)
	}
	return nil
}

func deleteLoadBalancer(c *gin.Context, call *call) error {
	id, err := pathID(c, "loadbalancer_id")
	if err != nil {
		return err
	}
	call.object.ID, call.loadBalancerID = id, id
	if cascade := c.Query("cascade"); cascade != "" {
		if call.cascade, err = strconv.ParseBool(cascade); err != nil {
			return invalid("cascade", "cascade must be true or false.")
		}
	}
	return nil
}

func failOverLoadBalancer(c *gin.Context, call *call) error {
	id, err := pathID(c, "loadbalancer_id")
	if err != nil {
		return err
	}
	call.object.ID, call.loadBalancerID = id, id
	if c.Request.ContentLength == 0 {
		return nil
	}
	var request struct {
		Flavor map[string]any `json:"flavor"`
	}
	if err := decode(c, &request); err != nil {
		return err
	}
	if problems := capabilities.CheckFlavor(request.Flavor); len(problems) > 0 {
		return unservable(problems, pathsBelow("flavor", problems))
	}
	return nil
}

// changeOf reads the id of the URL, which is the object's, and the body of an update.
func changeOf(c *gin.Context, call *call, parameter string) (string, []byte, error) {
	id, err := pathID(c, parameter)
	if err != nil {
		return "", nil, err
	}
	call.object.ID = id
	data, err := body(c)
	return id, data, err
}
