package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// Audit says who did what to which object and what came of it. Entries are only ever added; they outlive their load
// balancer. Texts are cut at 255 characters, the message at 65536; none may hold a secret.
type Audit struct {
	ID int64
	// At is when; zero is now.
	At time.Time
	// RequestID is Octavia's, req-….
	RequestID      string
	ProjectID      string
	UserID         string
	LoadBalancerID string
	// Action is a model.Op or what the controller did by itself.
	Action     string
	ObjectKind string
	ObjectID   string
	// Outcome is one word: accepted, refused, ACTIVE, ERROR, ….
	Outcome string
	Message string
}

func fillAudit(audit *Audit, intent model.Intent) {
	fill := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	fill(&audit.LoadBalancerID, intent.LoadBalancerID)
	fill(&audit.RequestID, intent.RequestID)
	fill(&audit.Action, string(intent.Op))
	fill(&audit.ObjectKind, string(intent.Object.Kind))
	fill(&audit.ObjectID, intent.Object.ID)
	fill(&audit.Outcome, "accepted")
}

// AddAudit adds an entry that belongs to no intent.
func (s *Store) AddAudit(ctx context.Context, audit Audit) error {
	return s.write(ctx, "add an audit entry", func(tx *gorm.DB) error { return s.insertAudit(tx, audit) })
}

func (s *Store) insertAudit(tx *gorm.DB, a Audit) error {
	if a.At.IsZero() {
		a.At = s.time()
	}
	return tx.Create(&auditRow{
		At: newStamp(a.At), RequestID: short(a.RequestID), ProjectID: short(a.ProjectID), UserID: short(a.UserID),
		LoadBalancerID: short(a.LoadBalancerID), Action: short(a.Action), ObjectKind: short(a.ObjectKind),
		ObjectID: short(a.ObjectID), Outcome: short(a.Outcome), Message: long(a.Message),
	}).Error
}

// AuditEntries returns the newest entries of a load balancer, or of all for "", newest first; at most limit, all for 0.
func (s *Store) AuditEntries(ctx context.Context, lbID string, limit int) ([]Audit, error) {
	var rows []auditRow
	err := s.read(ctx, "read the audit trail", func(db *gorm.DB) error {
		query := db.Order("id DESC")
		if lbID != "" {
			query = query.Where("loadbalancer_id = ?", lbID)
		}
		if limit > 0 {
			query = query.Limit(limit)
		}
		return query.Find(&rows).Error
	})
	if err != nil {
		return nil, err
	}
	entries := make([]Audit, len(rows))
	for i, r := range rows {
		entries[i] = Audit{
			ID: r.ID, At: r.At.Time, RequestID: r.RequestID, ProjectID: r.ProjectID, UserID: r.UserID,
			LoadBalancerID: r.LoadBalancerID, Action: r.Action, ObjectKind: r.ObjectKind, ObjectID: r.ObjectID,
			Outcome: r.Outcome, Message: r.Message,
		}
	}
	return entries, nil
}

// PruneAudit deletes the entries from before a time and returns how many there were.
func (s *Store) PruneAudit(ctx context.Context, before time.Time) (int64, error) {
	var deleted int64
	err := s.write(ctx, "prune the audit trail", func(tx *gorm.DB) error {
		result := tx.Where("at < ?", newStamp(before)).Delete(&auditRow{})
		deleted = result.RowsAffected
		return result.Error
	})
	return deleted, err
}
