package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// AddIntent commits an accepted provider call and its audit entry, and returns the intent's id: higher than all before
// it, never used again. The load balancer's row is made if there is none. After a nil error no crash loses the intent.
//
// What the intent and the audit entry leave out is filled in: times, and the entry's load balancer, object, action and
// request from the intent.
func (s *Store) AddIntent(ctx context.Context, intent model.Intent, audit Audit) (int64, error) {
	if intent.LoadBalancerID == "" {
		return 0, errors.New("store: add intent: it names no load balancer")
	}
	if intent.CreatedAt.IsZero() {
		intent.CreatedAt = s.time()
	}
	intent.ID = 0
	created := newStamp(intent.CreatedAt)
	intent.CreatedAt = created.Time
	body, err := json.Marshal(intent)
	if err != nil {
		return 0, fmt.Errorf("store: add intent: %w", err)
	}
	fillAudit(&audit, intent)
	var id int64
	err = s.write(ctx, "add intent for load balancer "+intent.LoadBalancerID, func(tx *gorm.DB) error {
		// First of all, for it locks the load balancer's row: ids of one load balancer are given in the order of commits.
		if err := s.upsertLoadBalancer(tx, intent.LoadBalancerID, audit.ProjectID); err != nil {
			return err
		}
		row := intentRow{LoadBalancerID: intent.LoadBalancerID, Intent: string(body), CreatedAt: created}
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		id = row.ID
		err := tx.Model(&outboxRow{}).
			Where("loadbalancer_id = ? AND newer_intent = ?", intent.LoadBalancerID, false).
			Update("newer_intent", true).Error
		if err != nil {
			return err
		}
		return s.insertAudit(tx, audit)
	})
	if err != nil {
		return 0, err
	}
	return id, nil
}

// Refresh asks for a load balancer to be brought up to date without a call of Octavia's: a certificate or what is stapled
// to it has changed. A load balancer that is not there is no error. Unlike AddIntent it proves nothing about Octavia, and
// is in no audit trail.
func (s *Store) Refresh(ctx context.Context, lbID string) error {
	now := newStamp(s.time())
	body, err := json.Marshal(model.Intent{
		LoadBalancerID: lbID, Op: model.OpRefresh, Object: model.Ref{Kind: model.KindLoadBalancer, ID: lbID}, CreatedAt: now.Time,
	})
	if err != nil {
		return fmt.Errorf("store: refresh: %w", err)
	}
	return s.write(ctx, "refresh load balancer "+lbID, func(tx *gorm.DB) error {
		if _, err := lockLoadBalancer(tx, lbID, "id"); err != nil {
			return ignoreNotFound(err)
		}
		return tx.Create(&intentRow{LoadBalancerID: lbID, Intent: string(body), CreatedAt: now}).Error
	})
}

// upsertLoadBalancer makes the row if there is none, and locks it in any case: the update is what holds the lock, and
// what makes a Galera node notice a change of the same row on another. On SQLite the transaction is the lock, and an update would
// write the whole row anew, the tree with it. The project of a row that is there stays: it is that of the tree, not that of who
// calls.
func (s *Store) upsertLoadBalancer(tx *gorm.DB, id, project string) error {
	now := newStamp(s.time())
	conflict := clause.OnConflict{Columns: []clause.Column{{Name: "id"}}}
	if conflict.DoNothing = s.dialect.oneWriter; !conflict.DoNothing {
		conflict.DoUpdates = clause.AssignmentColumns([]string{"updated_at"})
	}
	return tx.Clauses(conflict).Create(&loadBalancerRow{ID: id, ProjectID: short(project), CreatedAt: now, UpdatedAt: now}).Error
}

// Intents returns the unfinished intents of a load balancer, oldest first; none is no error.
func (s *Store) Intents(ctx context.Context, lbID string) ([]model.Intent, error) {
	what := "read the intents of load balancer " + lbID
	var rows []intentRow
	err := s.read(ctx, what, func(db *gorm.DB) error {
		return db.Where("loadbalancer_id = ?", lbID).Order("id").Find(&rows).Error
	})
	if err != nil {
		return nil, err
	}
	intents := make([]model.Intent, len(rows))
	for i, row := range rows {
		if err := json.Unmarshal([]byte(row.Intent), &intents[i]); err != nil {
			return nil, fmt.Errorf("store: %s: intent %d: %w", what, row.ID, err)
		}
		intents[i].ID = row.ID
	}
	return intents, nil
}

// Work is a load balancer with something to do.
type Work struct {
	LoadBalancerID string `gorm:"column:id"`
	// ProjectID is whose it is; before the first SaveTree that of who created it, and "" if nobody knows.
	ProjectID string
}

// withWork asks both indexes: it is asked after each call, and what it costs is not to grow with the load balancers that have
// nothing to do, whose rows are large.
const withWork = `SELECT lb.id, lb.project_id FROM (
		SELECT loadbalancer_id, MIN(created_at) AS since FROM intents GROUP BY loadbalancer_id
		UNION ALL
		SELECT late.id, late.retry_at FROM load_balancers late WHERE late.retry_at <= ?
			AND NOT EXISTS (SELECT 1 FROM intents i WHERE i.loadbalancer_id = late.id)
	) w JOIN load_balancers lb ON lb.id = w.loadbalancer_id
	ORDER BY w.since, lb.id`

// LoadBalancersWithWork returns the load balancers that have unfinished intents or whose RetryAt has come, the one that has
// waited longest first.
func (s *Store) LoadBalancersWithWork(ctx context.Context) ([]Work, error) {
	var work []Work
	err := s.read(ctx, "read the load balancers with work", func(db *gorm.DB) error {
		work = nil
		return db.Raw(withWork, newStamp(s.time())).Scan(&work).Error
	})
	return work, err
}
