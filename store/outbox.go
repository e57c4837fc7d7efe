package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// OutboxMessage is a status update that Octavia has yet to be told.
type OutboxMessage struct {
	ID             int64
	LoadBalancerID string
	// ProjectID is whose load balancer it is; "" when that is gone.
	ProjectID string
	Status    model.StatusUpdate
	CreatedAt time.Time
	// Attempts is how often it failed, LastError why it did last.
	Attempts  int
	LastError string
}

// Outbox returns the messages that are due at now, in the order they were written, and of each load balancer at most the
// oldest: while that one waits for its next attempt the later ones wait behind it, for ACTIVE must not follow DELETED.
func (s *Store) Outbox(ctx context.Context, now time.Time) ([]OutboxMessage, error) {
	var rows []struct {
		Row       outboxRow `gorm:"embedded"`
		ProjectID *string
	}
	err := s.read(ctx, "read the outbox", func(db *gorm.DB) error {
		return db.Table("outbox o").Select("o.*, lb.project_id").
			Joins("LEFT JOIN load_balancers lb ON lb.id = o.loadbalancer_id").
			Where("o.next_attempt_at IS NULL OR o.next_attempt_at <= ?", newStamp(now)).
			Where("NOT EXISTS (SELECT 1 FROM outbox older WHERE older.loadbalancer_id = o.loadbalancer_id AND older.id < o.id)").
			Order("o.id").Find(&rows).Error
	})
	if err != nil {
		return nil, err
	}
	messages := make([]OutboxMessage, len(rows))
	for i, joined := range rows {
		row := joined.Row
		messages[i] = OutboxMessage{
			ID: row.ID, LoadBalancerID: row.LoadBalancerID, CreatedAt: row.CreatedAt.Time,
			Attempts: row.Attempts, LastError: row.LastError,
		}
		if joined.ProjectID != nil {
			messages[i].ProjectID = *joined.ProjectID
		}
		if err := json.Unmarshal([]byte(row.Status), &messages[i].Status); err != nil {
			return nil, fmt.Errorf("store: read the outbox: message %d: %w", row.ID, err)
		}
	}
	return messages, nil
}

// OutboxSent deletes a message that Octavia has; one that is gone already is no error.
func (s *Store) OutboxSent(ctx context.Context, id int64) error {
	return s.write(ctx, fmt.Sprintf("delete message %d of the outbox", id), func(tx *gorm.DB) error {
		return tx.Where("id = ?", id).Delete(&outboxRow{}).Error
	})
}

// OutboxDropped deletes a message that is not sent because Octavia seems to have it: how objects operate by it is said
// again, in case it has not. One that is gone already is no error.
func (s *Store) OutboxDropped(ctx context.Context, message OutboxMessage) error {
	return s.write(ctx, fmt.Sprintf("drop message %d of the outbox", message.ID), func(tx *gorm.DB) error {
		if err := s.forget(tx, message.LoadBalancerID, message.Status); err != nil {
			return err
		}
		return tx.Where("id = ?", message.ID).Delete(&outboxRow{}).Error
	})
}

// OutboxFailed notes why an attempt failed and when to make the next. The error wraps ErrNotFound when the message is
// gone, sent by another.
func (s *Store) OutboxFailed(ctx context.Context, id int64, cause string, next time.Time) error {
	return s.write(ctx, fmt.Sprintf("put off message %d of the outbox", id), func(tx *gorm.DB) error {
		return found(tx.Model(&outboxRow{}).Where("id = ?", id).Updates(map[string]any{
			"attempts": gorm.Expr("attempts + 1"), "last_error": long(cause), "next_attempt_at": newStamp(next),
		}))
	})
}

// HasNewerIntent reports whether an intent of the message's load balancer was accepted after the message was written,
// even if it has been finished since. Octavia accepts no call for an object that it holds for PENDING: the message, or
// one of the same effect, got there. Intents that were there before the message prove nothing and do not count.
//
// No clock is compared: AddIntent marks the messages it finds, in the order that the lock on the load balancer's row
// gives to the two. The error wraps ErrNotFound when the message is gone, sent by another.
func (s *Store) HasNewerIntent(ctx context.Context, message OutboxMessage) (bool, error) {
	var row outboxRow
	err := s.read(ctx, fmt.Sprintf("look for an intent newer than message %d of the outbox", message.ID),
		func(db *gorm.DB) error {
			return db.Select("newer_intent").Where("id = ?", message.ID).Take(&row).Error
		})
	return row.NewerIntent, err
}

// found makes an update of no row ErrNotFound.
func found(result *gorm.DB) error {
	if result.Error == nil && result.RowsAffected == 0 {
		return ErrNotFound
	}
	return result.Error
}
