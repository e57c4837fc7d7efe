package api

import (
	"fmt"

	"github.com/gin-gonic/gin"

	"github.com/octavia-envoy/octavia-envoy/api/wire"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

func (s *server) memberRoutes(v1 *gin.RouterGroup) {
	const kind = model.KindMember
	v1.POST("/pools/:pool_id/members", s.handle(kind, model.OpCreate, createMember))
	v1.PUT("/pools/:pool_id/members", s.handle(kind, model.OpBatchUpdate, updateMembers))
	v1.PUT("/pools/:pool_id/members/:member_id", s.handle(kind, model.OpUpdate, updateMember))
	v1.DELETE("/pools/:pool_id/members/:member_id", s.handle(kind, model.OpDelete, deleteMember))
}

// poolOf reads the pool of the URL, the parent of every member call.
func poolOf(c *gin.Context, call *call) (string, error) {
	id, err := pathID(c, "pool_id")
	call.parent = model.Ref{Kind: model.KindPool, ID: id}
	return id, err
}

func createMember(c *gin.Context, call *call) error {
	poolID, err := poolOf(c, call)
	if err != nil {
		return err
	}
	var member model.Member
	if err := decode(c, &member); err != nil {
		return err
	}
	call.object.ID = member.ID
	if err := firstError(requireID("member_id", member.ID), sameID("pool_id", poolID, member.PoolID)); err != nil {
		return err
	}
	call.apply = func(t *tree) (touched, error) {
		pool, path := t.pool(poolID)
		i := put(&pool.Members, member, func(m *model.Member) bool { return m.ID == member.ID })
		return touched{path: fmt.Sprintf("%s.members[%d]", path, i)}, nil
	}
	return nil
}

// updateMembers is a batch update: the list is all members that the pool is to have.
func updateMembers(c *gin.Context, call *call) error {
	poolID, err := poolOf(c, call)
	if err != nil {
		return err
	}
	// What the call locks and changes is the pool.
	call.object, call.parent = call.parent, model.Ref{}
	var request struct {
		Members *[]model.Member `json:"members"`
	}
	if err := decode(c, &request); err != nil {
		return err
	}
	if request.Members == nil {
		return invalid("members", "members must be given, as the list of all members that the pool is to have.")
	}
	call.memberIDs = make([]string, 0, len(*request.Members))
	for _, member := range *request.Members {
		call.memberIDs = append(call.memberIDs, member.ID)
	}
	call.apply = func(t *tree) (touched, error) {
		pool, path := t.pool(poolID)
		pool.Members = *request.Members
		return touched{path: path + ".members"}, nil
	}
	return nil
}

func updateMember(c *gin.Context, call *call) error {
	poolID, err := poolOf(c, call)
	if err != nil {
		return err
	}
	id, data, err := changeOf(c, call, "member_id")
	if err != nil {
		return err
	}
	var change model.Member
	if err := wire.Object(data, &change); err != nil {
		return malformed(err)
	}
	if err := firstError(sameID("member_id", id, change.ID), sameID("pool_id", poolID, change.PoolID)); err != nil {
		return err
	}
	call.apply = func(t *tree) (touched, error) {
		pool, path := t.pool(poolID)
		known := pool.Member(id) != nil
		if !known {
			pool.Members = append(pool.Members, model.Member{ID: id})
		}
		i := indexOf(pool.Members, func(m *model.Member) bool { return m.ID == id })
		return merge(t, &pool.Members[i], known, data, fmt.Sprintf("%s.members[%d]", path, i), call.object)
	}
	return nil
}

func deleteMember(c *gin.Context, call *call) (err error) {
	if _, err = poolOf(c, call); err != nil {
		return err
	}
	call.object.ID, err = pathID(c, "member_id")
	return err
}
