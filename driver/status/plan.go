package status

import (
	"slices"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// Plan says what the intents of one load balancer come to, given Octavia's tree of it.
type Plan struct {
	// LoadBalancerID is "" when there is nothing to do: Octavia does not have the load balancer.
	LoadBalancerID string
	// Desired is what to publish: the tree without the deleted objects, and without references to them. It shares nothing
	// with the tree. It is nil when the load balancer itself is deleted or gone.
	Desired *model.LoadBalancer
	// Deleted are the objects that Octavia is to forget, each with everything below it, children before parents.
	Deleted []model.Ref
	// Touched are the objects that the calls set to PENDING or that are set right on the way, without the deleted ones,
	// from the root of the tree down.
	Touched []model.Ref

	// tree is what was read, deleted objects included.
	tree *model.LoadBalancer
	// locked are the objects that the calls set to PENDING.
	locked refSet
	// failing are the objects that the calls were about: a failure is theirs, not that of their parents.
	failing refSet
}

// NewPlan compares. tree is Octavia's (Agent.LoadBalancer) and may be nil if Octavia does not have it; intents are the
// unfinished ones, oldest first.
//
// When the tree cannot be read although the load balancer exists (ErrNoAnswer), the one that was published before may stand
// in for it: that is good enough to delete the load balancer or to report a failure.
//
// Ids are never used twice, so a deletion wins over whatever else the intents say of an object.
func NewPlan(tree *model.LoadBalancer, intents []model.Intent) Plan {
	if tree == nil {
		return Plan{}
	}
	plan := Plan{LoadBalancerID: tree.ID, tree: tree, locked: refSet{}, failing: refSet{}}
	deleted := deletions(tree, intents)
	root := model.Ref{Kind: model.KindLoadBalancer, ID: tree.ID}
	failover := false
	for _, intent := range intents {
		plan.locked.add(root)
		plan.lock(intent)
		failover = failover || intent.Op == model.OpFailover
	}
	for _, ref := range refs(tree) {
		if deleted[ref] {
			plan.Deleted = append(plan.Deleted, ref)
		} else if plan.locked[ref] || failover {
			// A failover is the way out of ERROR: all that a failure left in ERROR is set right.
			plan.Touched = append(plan.Touched, ref)
		}
	}
	// refs goes down the tree, deletions go up.
	slices.Reverse(plan.Deleted)
	if !deleted[root] {
		plan.Desired = without(tree, deleted)
	}
	return plan
}

// TouchAll makes the plan report every object that stays: after a failure of the whole, any of them may be in ERROR.
func (p *Plan) TouchAll() {
	if p.Desired != nil {
		p.Touched = refs(p.Desired)
	}
}

// Touch makes the plan report those of some objects that stay, though nobody asked for them: they were in ERROR alone.
func (p *Plan) Touch(which func(model.Ref) bool) {
	if p.Desired == nil {
		return
	}
	for _, ref := range refs(p.Desired) {
		if which(ref) && !slices.Contains(p.Touched, ref) {
			p.Touched = append(p.Touched, ref)
		}
	}
}

// deletions are the objects that the intents delete, with all that is below them. They are read from the last to the first, since a
// batch update does not know the members that came after it, and does not delete them.
func deletions(tree *model.LoadBalancer, intents []model.Intent) refSet {
	deleted := refSet{}
	created, listed := map[string]bool{}, map[string]map[string]bool{} // members; those of batch updates by pool
	for _, intent := range slices.Backward(intents) {
		switch intent.Op {
		case model.OpDelete:
			deleted.add(below(tree, intent.Object)...)
		case model.OpCreate:
			if intent.Object.Kind == model.KindMember {
				created[intent.Object.ID] = true
			}
		case model.OpBatchUpdate:
			pool := tree.Pool(intent.Object.ID)
			if pool == nil {
				continue
			}
			stays := listed[pool.ID]
			if stays == nil {
				stays = make(map[string]bool, len(intent.MemberIDs))
				listed[pool.ID] = stays
			}
			for _, id := range intent.MemberIDs {
				stays[id] = true
			}
			for _, member := range pool.Members {
				if !stays[member.ID] && !created[member.ID] {
					deleted.add(model.Ref{Kind: model.KindMember, ID: member.ID})
				}
			}
		case model.OpUpdate, model.OpFailover:
		}
	}
	return deleted
}

// lock notes what one intent set to PENDING (octavia/api/v2/controllers), and what it is about.
func (p *Plan) lock(intent model.Intent) {
	object := intent.Object
	p.locked.add(object)
	if intent.Op != model.OpBatchUpdate {
		p.failing.add(object)
	}
	switch intent.Op {
	case model.OpCreate:
		// Whatever was created along with it: a fully populated load balancer comes in one call, and what the call says of
		// its children is incomplete.
		created := below(p.tree, object)
		p.locked.add(created...)
		p.failing.add(created...)
	case model.OpBatchUpdate:
		// The pool is only locked, the call is about its members.
		members := memberRefs(p.tree, object.ID)
		p.locked.add(members...)
		p.failing.add(members...)
	case model.OpUpdate, model.OpDelete, model.OpFailover:
	}
	p.locked.add(above(p.tree, object, intent.ParentID)...)
}
