package api

import (
	"fmt"

	"github.com/gin-gonic/gin"

	"github.com/octavia-envoy/octavia-envoy/api/wire"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

func (s *server) l7RuleRoutes(v1 *gin.RouterGroup) {
	const kind = model.KindL7Rule
	v1.POST("/l7policies/:l7policy_id/rules", s.handle(kind, model.OpCreate, createL7Rule))
	v1.PUT("/l7policies/:l7policy_id/rules/:l7rule_id", s.handle(kind, model.OpUpdate, updateL7Rule))
	v1.DELETE("/l7policies/:l7policy_id/rules/:l7rule_id", s.handle(kind, model.OpDelete, deleteL7Rule))
}

// policyOf reads the policy of the URL, the parent of every rule call.
func policyOf(c *gin.Context, call *call) (string, error) {
	id, err := pathID(c, "l7policy_id")
	call.parent = model.Ref{Kind: model.KindL7Policy, ID: id}
	return id, err
}

func createL7Rule(c *gin.Context, call *call) error {
	policyID, err := policyOf(c, call)
	if err != nil {
		return err
	}
	var rule model.L7Rule
	if err := decode(c, &rule); err != nil {
		return err
	}
	call.object.ID = rule.ID
	if err := firstError(requireID("l7rule_id", rule.ID), sameID("l7policy_id", policyID, rule.L7PolicyID)); err != nil {
		return err
	}
	call.apply = func(t *tree) (touched, error) {
		policy, path := t.l7Policy(policyID, "")
		i := put(&policy.Rules, rule, func(r *model.L7Rule) bool { return r.ID == rule.ID })
		return touched{path: fmt.Sprintf("%s.rules[%d]", path, i)}, nil
	}
	return nil
}

func updateL7Rule(c *gin.Context, call *call) error {
	policyID, err := policyOf(c, call)
	if err != nil {
		return err
	}
	id, data, err := changeOf(c, call, "l7rule_id")
	if err != nil {
		return err
	}
	var change model.L7Rule
	if err := wire.Object(data, &change); err != nil {
		return malformed(err)
	}
	if err := firstError(sameID("l7rule_id", id, change.ID),
		sameID("l7policy_id", policyID, change.L7PolicyID)); err != nil {
		return err
	}
	call.apply = func(t *tree) (touched, error) {
		policy, path := t.l7Policy(policyID, "")
		same := func(r *model.L7Rule) bool { return r.ID == id }
		known := indexOf(policy.Rules, same) >= 0
		if !known {
			policy.Rules = append(policy.Rules, model.L7Rule{ID: id})
		}
		i := indexOf(policy.Rules, same)
		return merge(t, &policy.Rules[i], known, data, fmt.Sprintf("%s.rules[%d]", path, i), call.object)
	}
	return nil
}

func deleteL7Rule(c *gin.Context, call *call) (err error) {
	if _, err = policyOf(c, call); err != nil {
		return err
	}
	call.object.ID, err = pathID(c, "l7rule_id")
	return err
}
