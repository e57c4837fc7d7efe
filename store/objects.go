package store

import (
	"cmp"
	"context"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// batch is the number of rows or ids in one statement.
const batch = 500

// LoadBalancerOf returns the load balancer that an object belongs to, as of the last saved tree. The error wraps
// ErrNotFound when no tree has it.
func (s *Store) LoadBalancerOf(ctx context.Context, ref model.Ref) (string, error) {
	var id string
	err := s.read(ctx, "find the load balancer of "+string(ref.Kind)+" "+ref.ID, func(db *gorm.DB) error {
		if ref.Kind == model.KindLoadBalancer {
			return db.Model(&loadBalancerRow{}).Select("id").Where("id = ?", ref.ID).Take(&id).Error
		}
		return db.Model(&objectRow{}).Select("loadbalancer_id").
			Where("kind = ? AND id = ?", string(ref.Kind), ref.ID).Take(&id).Error
	})
	return id, err
}

// indexObjects brings the index to what the tree holds, by the difference: one changed member of 10,000 is one row. The
// index is what the tree before holds; if that one is not kept, the rows themselves are read.
func (s *Store) indexObjects(tx *gorm.DB, before *string, tree *model.LoadBalancer) error {
	objects := objectsOf(tree)
	var former []model.Ref
	if kept := s.keptBefore(tree.ID, before); kept != nil {
		former = objectsOf(kept)
		if slices.Equal(former, objects) {
			return nil // as after most changes: nothing came or went
		}
	} else {
		var rows []objectRow
		if err := tx.Where("loadbalancer_id = ?", tree.ID).Find(&rows).Error; err != nil {
			return err
		}
		for _, row := range rows {
			former = append(former, model.Ref{Kind: model.Kind(row.Kind), ID: row.ID})
		}
	}
	have, want := set(former), set(objects)
	gone := map[string][]string{}
	for ref := range have {
		if !want[ref] {
			gone[string(ref.Kind)] = append(gone[string(ref.Kind)], ref.ID)
		}
	}
	for kind, ids := range gone {
		for chunk := range slices.Chunk(ids, batch) {
			err := tx.Where("kind = ? AND id IN ? AND loadbalancer_id = ?", kind, chunk, tree.ID).Delete(&objectRow{}).Error
			if err != nil {
				return err
			}
		}
	}
	var added []objectRow
	for ref := range want {
		if !have[ref] {
			added = append(added, objectRow{Kind: string(ref.Kind), ID: ref.ID, LoadBalancerID: tree.ID})
		}
	}
	if len(added) == 0 {
		return nil
	}
	// In one order everywhere: two transactions then wait for each other instead of deadlocking.
	slices.SortFunc(added, func(a, b objectRow) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID)) })
	return tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "kind"}, {Name: "id"}},
		DoUpdates: clause.AssignmentColumns([]string{"loadbalancer_id"}),
	}).CreateInBatches(added, batch).Error
}

func (s *Store) keptBefore(lbID string, text *string) *model.LoadBalancer {
	if text == nil {
		return nil
	}
	return s.trees.published(lbID, *text)
}

// objectsOf lists all objects of a tree but the load balancer.
func objectsOf(tree *model.LoadBalancer) []model.Ref {
	var refs []model.Ref
	add := func(kind model.Kind, id string) {
		if id != "" {
			refs = append(refs, model.Ref{Kind: kind, ID: id})
		}
	}
	for i := range tree.Listeners {
		listener := &tree.Listeners[i]
		add(model.KindListener, listener.ID)
		for j := range listener.L7Policies {
			policy := &listener.L7Policies[j]
			add(model.KindL7Policy, policy.ID)
			for k := range policy.Rules {
				add(model.KindL7Rule, policy.Rules[k].ID)
			}
		}
	}
	for i := range tree.Pools {
		pool := &tree.Pools[i]
		add(model.KindPool, pool.ID)
		for j := range pool.Members {
			add(model.KindMember, pool.Members[j].ID)
		}
		if pool.HealthMonitor != nil {
			add(model.KindHealthMonitor, pool.HealthMonitor.ID)
		}
	}
	return refs
}
