package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/octavia-envoy/octavia-envoy/driver/capabilities"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
)

// call is a provider call that changes something.
type call struct {
	// action names it in the audit trail: listener.create.
	action string
	op     model.Op
	object model.Ref
	// parent is what the object is in, a load balancer excepted; its zero value when the call does not say.
	parent model.Ref
	// loadBalancerID is set when the call says it.
	loadBalancerID string
	cascade        bool
	memberIDs      []string
	// apply makes the change in a copy of the tree; nil for a call that needs no judgement, as a delete.
	apply func(t *tree) (touched, error)
	// prepare runs before the commit; its error refuses the call.
	prepare func(ctx context.Context) error
	// refused runs when the call is not accepted, whatever the reason.
	refused func(ctx context.Context)
}

// handle returns the handler of one route: read fills in the call, the rest is the same for all.
func (s *server) handle(kind model.Kind, op model.Op, read func(*gin.Context, *call) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		call := &call{action: string(kind) + "." + string(op), op: op, object: model.Ref{Kind: kind}}
		id, err := s.accept(c, call, read)
		if call.loadBalancerID != "" {
			c.Set(keyLoadBalancer, call.loadBalancerID)
		}
		if err != nil {
			// Even if the caller is gone: what was made for the call must not stay, nor may the refusal go unrecorded.
			ctx, cancel := detached(c.Request.Context())
			defer cancel()
			if call.refused != nil {
				call.refused(ctx)
			}
			s.recordRefusal(ctx, c, call, err)
			s.refuse(c, err)
			return
		}
		s.Wake()
		c.JSON(http.StatusAccepted, gin.H{"intent": id, "loadbalancer_id": call.loadBalancerID})
	}
}

// accept judges a call and commits it; the error is an *Error.
func (s *server) accept(c *gin.Context, call *call, read func(*gin.Context, *call) error) (int64, error) {
	ctx := c.Request.Context()
	if err := read(c, call); err != nil {
		return 0, err
	}
	stored, err := s.find(ctx, call)
	if err != nil {
		return 0, err
	}
	if call.apply != nil {
		t := copyTree(stored, call.loadBalancerID)
		change, err := call.apply(t)
		if err != nil {
			return 0, err
		}
		if err := judge(t, change); err != nil {
			return 0, err
		}
	}
	if call.prepare != nil {
		if err := call.prepare(ctx); err != nil {
			return 0, err
		}
	}
	id, err := s.Store.AddIntent(ctx, model.Intent{
		LoadBalancerID: call.loadBalancerID,
		Op:             call.op,
		Object:         call.object,
		ParentID:       call.parentID(),
		Cascade:        call.cascade,
		MemberIDs:      call.memberIDs,
		RequestID:      c.GetString(keyRequestID),
		CreatedAt:      s.Now(),
	}, s.audit(c, call, "accepted", ""))
	if err != nil {
		return 0, storeFailed(err)
	}
	return id, nil
}

// parentID is what model.Intent wants: nothing for listeners and pools, whose parent is the load balancer.
func (call *call) parentID() string {
	if call.parent.Kind == model.KindLoadBalancer {
		return ""
	}
	return call.parent.ID
}

// judge refuses what cannot be served of the change.
func judge(t *tree, change touched) error {
	check := capabilities.Check
	if t.partial {
		check = capabilities.CheckPartial
	}
	var problems []capabilities.Problem
	var paths []string
	for _, problem := range check(t.lb) {
		if path, concerned := change.concerns(problem); concerned {
			problems, paths = append(problems, problem), append(paths, path)
		}
	}
	if len(problems) > 0 {
		return unservable(problems, paths)
	}
	return nil
}

func (s *server) audit(c *gin.Context, call *call, outcome, message string) store.Audit {
	return store.Audit{
		At:             s.Now(),
		RequestID:      c.GetString(keyRequestID),
		ProjectID:      header(c, "X-Project-Id"),
		UserID:         header(c, "X-User-Id"),
		LoadBalancerID: call.loadBalancerID,
		Action:         call.action,
		ObjectKind:     string(call.object.Kind),
		ObjectID:       call.object.ID,
		Outcome:        outcome,
		Message:        message,
	}
}

// recordRefusal writes the audit line of a call that was not accepted. If that fails, only the log says so: the answer is
// a refusal in any case.
func (s *server) recordRefusal(ctx context.Context, c *gin.Context, call *call, refusal error) {
	code := CodeInternal
	if answer := new(Error); errors.As(refusal, &answer) {
		code = answer.Code
	}
	err := s.Store.AddAudit(ctx, s.audit(c, call, "refused", string(code)+": "+refusal.Error()))
	if err != nil {
		s.Logger.ErrorContext(ctx, "a refused call is not in the audit trail", "request_id", c.GetString(keyRequestID),
			"lb", call.loadBalancerID, "action", call.action, "error", err)
	}
}

// detached returns a context that outlives the request, for a while.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
}
