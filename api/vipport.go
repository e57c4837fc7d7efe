package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
)

func (s *server) vipPortRoutes(v1 *gin.RouterGroup) { v1.POST("/vip-ports", s.createVIPPort) }

// createVIPPort makes the port of a VIP, before there is a load balancer. If that one is refused later nobody but the
// controller can free the port, since Octavia then forgets it: so the port is on record before it exists.
func (s *server) createVIPPort(c *gin.Context) {
	call := &call{action: "loadbalancer.create_vip_port", object: model.Ref{Kind: model.KindLoadBalancer}}
	result, err := s.allocateVIP(c, call)
	ctx, cancel := detached(c.Request.Context())
	defer cancel()
	if call.loadBalancerID != "" {
		c.Set(keyLoadBalancer, call.loadBalancerID)
	}
	if err != nil {
		s.recordRefusal(ctx, c, call, err)
		s.refuse(c, err)
		return
	}
	if err := s.Store.AddAudit(ctx, s.audit(c, call, "accepted", "")); err != nil {
		s.Logger.ErrorContext(ctx, "a VIP port is not in the audit trail", "lb", call.loadBalancerID, "error", err)
	}
	c.JSON(http.StatusOK, gin.H{"vip": vipAnswer(result.VIP), "additional_vips": additionalVIPs(result.AdditionalVIPs)})
}

func (s *server) allocateVIP(c *gin.Context, call *call) (model.VIPResult, error) {
	var request model.VIPRequest
	if err := decode(c, &request); err != nil {
		return model.VIPResult{}, err
	}
	if err := requireID("loadbalancer_id", request.LoadBalancerID); err != nil {
		return model.VIPResult{}, err
	}
	call.object.ID, call.loadBalancerID = request.LoadBalancerID, request.LoadBalancerID
	// Now, and not when the load balancer is created: there would be a port then.
	if err := judgeVIP(request); err != nil {
		return model.VIPResult{}, err
	}
	if s.VIPs == nil {
		return model.VIPResult{}, &Error{Code: CodeNotImplemented, Message: "Octavia makes the ports of VIPs for this controller."}
	}
	ctx := c.Request.Context()
	if request.VIP.PortID != "" {
		// The user's own port is never ours to free.
		result, err := s.VIPs.AllocateVIP(ctx, request)
		return result, allocationFailed(err)
	}
	port := store.VIPPort{LoadBalancerID: request.LoadBalancerID, ProjectID: request.ProjectID, CreatedAt: s.Now()}
	if err := s.Store.PutVIPPort(ctx, port); err != nil {
		return model.VIPResult{}, storeFailed(err)
	}
	result, err := s.VIPs.AllocateVIP(ctx, request)
	if err == nil {
		port.PortID = result.VIP.PortID
		if err = s.Store.PutVIPPort(ctx, port); err == nil {
			return result, nil
		}
		err = storeFailed(err)
	}
	cleanup, cancel := detached(ctx)
	defer cancel()
	s.releaseVIPPort(request.LoadBalancerID)(cleanup)
	return model.VIPResult{}, allocationFailed(err)
}

// judgeVIP refuses what a load balancer with such a VIP would be refused for.
func judgeVIP(request model.VIPRequest) error {
	t := &tree{partial: true, lb: &model.LoadBalancer{
		ID: request.LoadBalancerID, VIPQoSPolicyID: request.VIP.QoSPolicyID, VIPSGIDs: request.VIP.SGIDs,
		AdditionalVIPs: request.AdditionalVIPs, VIPAddress: request.VIP.Address,
	}}
	keys := []string{"vip_qos_policy_id", "vip_sg_ids", "additional_vips"}
	if request.VIP.Address != "" { // else it is to be chosen
		keys = append(keys, "vip_address")
	}
	return judge(t, touched{keys: keys})
}

func allocationFailed(err error) error {
	if err == nil {
		return nil
	}
	if answer := new(Error); errors.As(err, &answer) {
		return answer
	}
	answer := unavailable("The port of the VIP could not be made", err)
	var spoken interface{ UserMessage() string }
	if errors.As(err, &spoken) {
		answer.Message = spoken.UserMessage()
	}
	var conflict interface{ Conflict() bool }
	if errors.As(err, &conflict) && conflict.Conflict() {
		answer.Code = CodeConflict
		if spoken == nil {
			answer.Message = "The VIP address is already in use."
		}
	}
	var misfit interface {
		Invalid() bool
		UserField() string
	}
	if errors.As(err, &misfit) && misfit.Invalid() {
		answer.Code, answer.Field = CodeInvalid, misfit.UserField()
	}
	return answer
}

// claimVIPPort returns what notes, before a load balancer is committed, that its port is needed. The order matters:
// after a crash between the two a port without a load balancer may be found and freed, the other way round a load
// balancer in use would lose its port.
func (s *server) claimVIPPort(id string) func(context.Context) error {
	return func(ctx context.Context) error {
		err := s.Store.ClaimVIPPort(ctx, id)
		if err != nil && !errors.Is(err, store.ErrNotFound) { // not found: the user's port, or Octavia's
			return storeFailed(err)
		}
		return nil
	}
}

// releaseVIPPort returns what frees the port that was made for a load balancer that is not to be. If that fails the
// record stays, and with it the chance to try again.
func (s *server) releaseVIPPort(id string) func(context.Context) {
	return func(ctx context.Context) {
		if err := s.freeVIPPort(ctx, id); err != nil {
			s.Logger.ErrorContext(ctx, "the VIP port of a refused load balancer is not freed yet", "lb", id, "error", err)
		}
	}
}

func (s *server) freeVIPPort(ctx context.Context, id string) error {
	if s.VIPs == nil {
		return nil
	}
	// A load balancer that was accepted before, or after all, keeps its port.
	if _, err := s.Store.LoadBalancer(ctx, id); !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if _, err := s.Store.VIPPort(ctx, id); errors.Is(err, store.ErrNotFound) {
		return nil // the user's own port, or none
	} else if err != nil {
		return err
	}
	if err := s.VIPs.DeallocateVIP(ctx, id); err != nil {
		return err
	}
	return s.Store.DeleteVIPPort(ctx, id)
}

// vipAnswer is octavia-lib's dictionary: what is not there is null.
func vipAnswer(vip model.VIP) gin.H {
	groups := vip.SGIDs
	if groups == nil {
		groups = []string{}
	}
	return gin.H{
		"vip_address": orNull(vip.Address), "vip_network_id": orNull(vip.NetworkID), "vip_port_id": orNull(vip.PortID),
		"vip_subnet_id": orNull(vip.SubnetID), "vip_qos_policy_id": orNull(vip.QoSPolicyID), "vip_sg_ids": groups,
		"octavia_owned": vip.OctaviaOwned,
	}
}

func additionalVIPs(vips []model.AdditionalVIP) []gin.H {
	answer := make([]gin.H, 0, len(vips))
	for _, vip := range vips {
		answer = append(answer, gin.H{
			"ip_address": orNull(vip.IPAddress), "network_id": orNull(vip.NetworkID),
			"port_id": orNull(vip.PortID), "subnet_id": orNull(vip.SubnetID),
		})
	}
	return answer
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}
