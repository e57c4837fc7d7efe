package store

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// PutAmphora adds an amphora or replaces what is known of it, but for two columns: its creation stays, and its last
// heartbeat only moves forward, because another replica may have heard it meanwhile.
func (s *Store) PutAmphora(ctx context.Context, amphora model.Amphora) error {
	if amphora.ID == "" {
		return errors.New("store: put amphora: it has no id")
	}
	if amphora.CreatedAt.IsZero() {
		amphora.CreatedAt = s.time()
	}
	row := amphoraRow{
		ID: amphora.ID, LoadBalancerID: amphora.LoadBalancerID, Status: string(amphora.Status), Role: amphora.Role,
		Compute: amphora.Compute, ComputeID: amphora.ComputeID,
		CreatedAt: newStamp(amphora.CreatedAt), LastHeartbeat: newStamp(amphora.LastHeartbeat),
	}
	return s.write(ctx, "put amphora "+amphora.ID, func(tx *gorm.DB) error {
		err := tx.Clauses(clause.OnConflict{
			Columns:   []clause.Column{{Name: "id"}},
			DoUpdates: clause.AssignmentColumns([]string{"loadbalancer_id", "status", "role", "compute", "compute_id"}),
		}).Create(&row).Error
		if err != nil || amphora.LastHeartbeat.IsZero() {
			return err
		}
		return advanceHeartbeat(tx, amphora.ID, amphora.LastHeartbeat).Error
	})
}

// Heartbeat notes when an amphora was heard; an older time than the one known changes nothing. The error wraps
// ErrNotFound when there is no such amphora.
func (s *Store) Heartbeat(ctx context.Context, id string, at time.Time) error {
	return s.write(ctx, "note a heartbeat of amphora "+id, func(tx *gorm.DB) error {
		result := advanceHeartbeat(tx, id, at)
		if result.Error != nil || result.RowsAffected > 0 {
			return result.Error
		}
		var row amphoraRow
		err := tx.Select("id").Where("id = ?", id).Take(&row).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return ErrNotFound
		}
		return err
	})
}

func advanceHeartbeat(tx *gorm.DB, id string, at time.Time) *gorm.DB {
	when := newStamp(at)
	return tx.Model(&amphoraRow{}).
		Where("id = ? AND (last_heartbeat IS NULL OR last_heartbeat < ?)", id, when).
		Update("last_heartbeat", when)
}

// Amphora returns one; the error wraps ErrNotFound when there is none.
func (s *Store) Amphora(ctx context.Context, id string) (*model.Amphora, error) {
	var row amphoraRow
	err := s.read(ctx, "read amphora "+id, func(db *gorm.DB) error { return db.Where("id = ?", id).Take(&row).Error })
	if err != nil {
		return nil, err
	}
	amphora := row.model()
	return &amphora, nil
}

// Amphorae returns those of a load balancer, or all for "", oldest first.
func (s *Store) Amphorae(ctx context.Context, lbID string) ([]model.Amphora, error) {
	var rows []amphoraRow
	err := s.read(ctx, "read the amphorae", func(db *gorm.DB) error {
		query := db.Order("created_at, id")
		if lbID != "" {
			query = query.Where("loadbalancer_id = ?", lbID)
		}
		return query.Find(&rows).Error
	})
	if err != nil {
		return nil, err
	}
	amphorae := make([]model.Amphora, len(rows))
	for i, row := range rows {
		amphorae[i] = row.model()
	}
	return amphorae, nil
}

// DeleteAmphora forgets one and what it said; none is no error.
func (s *Store) DeleteAmphora(ctx context.Context, id string) error {
	return s.write(ctx, "delete amphora "+id, func(tx *gorm.DB) error {
		if err := tx.Where("amphora_id = ?", id).Delete(&healthRow{}).Error; err != nil {
			return err
		}
		return tx.Where("id = ?", id).Delete(&amphoraRow{}).Error
	})
}

func (r amphoraRow) model() model.Amphora {
	return model.Amphora{
		ID: r.ID, LoadBalancerID: r.LoadBalancerID, Status: model.AmphoraStatus(r.Status), Role: r.Role,
		Compute: r.Compute, ComputeID: r.ComputeID, CreatedAt: r.CreatedAt.Time, LastHeartbeat: r.LastHeartbeat.Time,
	}
}
