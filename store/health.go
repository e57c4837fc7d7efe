package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// AmphoraHealth is what an amphora's agent said last of its members and listeners.
type AmphoraHealth struct {
	AmphoraID      string
	LoadBalancerID string
	// View is the reader's JSON; nil of an amphora that has said nothing yet.
	View []byte
	// UpdatedAt is when View was written.
	UpdatedAt time.Time
	// LastHeartbeat is when the agent was heard last, see Heartbeat. PutAmphoraHealth does not write it.
	LastHeartbeat time.Time
}

// Health is what there is to know of how the objects of a load balancer operate.
type Health struct {
	LoadBalancerID string
	// Tree is what was published last, maybe without keys; nil before the first SaveTree. It must not be changed.
	Tree *model.LoadBalancer
	// Reported is what Octavia has been told, or will be by what is in the outbox. Others may be reading it, too: it must not be
	// changed.
	Reported map[model.Ref]model.OperatingStatus
	// Refused are the objects of Tree that could not be served.
	Refused map[model.Ref]bool
	// PublishedAt is when Tree, or a change of what serves it, had reached the amphorae; zero before.
	PublishedAt time.Time
	// Amphorae are all that there are, oldest first.
	Amphorae []AmphoraHealth
	// SpokeAt is when Settle wrote its last message, and Pause how long it was to be silent from then on.
	SpokeAt time.Time
	Pause   time.Duration
}

// PutAmphoraHealth writes what amphorae of one load balancer said, and notes that the load balancer is to be settled. It
// returns whether that was noted already: then Octavia has not been told of the change before. Amphorae that there are
// no more are left out; the error wraps ErrNotFound when there is no such load balancer.
func (s *Store) PutAmphoraHealth(ctx context.Context, lbID string, views []AmphoraHealth) (unsettled bool, err error) {
	now := newStamp(s.time())
	err = s.write(ctx, "put the health of load balancer "+lbID, func(tx *gorm.DB) error {
		if _, err := lockLoadBalancer(tx, lbID, "id"); err != nil {
			return err
		}
		var exist []string
		if err := tx.Model(&amphoraRow{}).Where("loadbalancer_id = ?", lbID).Pluck("id", &exist).Error; err != nil {
			return err
		}
		there := set(exist)
		for _, view := range views {
			if !there[view.AmphoraID] {
				continue
			}
			row := healthRow{AmphoraID: view.AmphoraID, LoadBalancerID: lbID, View: string(view.View), UpdatedAt: now}
			err := tx.Clauses(clause.OnConflict{
				Columns:   []clause.Column{{Name: "amphora_id"}},
				DoUpdates: clause.AssignmentColumns([]string{"loadbalancer_id", "view", "updated_at"}),
			}).Create(&row).Error
			if err != nil {
				return err
			}
		}
		row, err := readReported(tx, lbID)
		if err != nil {
			return err
		}
		unsettled = !row.ChangedAt.IsZero()
		if !unsettled {
			row.ChangedAt = now
		}
		row.settle(now.Time)
		return putReported(tx, row)
	})
	return unsettled, err
}

// AmphoraHealth returns what the amphorae of a load balancer said last, all of them for "", in the order of their
// creation; those that have said nothing are there without a view.
func (s *Store) AmphoraHealth(ctx context.Context, lbID string) ([]AmphoraHealth, error) {
	var all []AmphoraHealth
	err := s.read(ctx, "read the health of amphorae", func(db *gorm.DB) (err error) {
		all, err = readAmphoraHealth(db, lbID)
		return err
	})
	return all, err
}

func readAmphoraHealth(db *gorm.DB, lbID string) ([]AmphoraHealth, error) {
	query := db.Table("amphorae a").
		Select("a.id AS amphora_id, a.loadbalancer_id, h.view, h.updated_at, a.last_heartbeat").
		Joins("LEFT JOIN amphora_health h ON h.amphora_id = a.id").Order("a.created_at, a.id")
	if lbID != "" {
		query = query.Where("a.loadbalancer_id = ?", lbID)
	}
	var rows []struct {
		AmphoraID      string
		LoadBalancerID string `gorm:"column:loadbalancer_id"`
		View           *string
		UpdatedAt      stamp
		LastHeartbeat  stamp
	}
	if err := query.Find(&rows).Error; err != nil {
		return nil, err
	}
	all := make([]AmphoraHealth, len(rows))
	for i, row := range rows {
		all[i] = AmphoraHealth{
			AmphoraID: row.AmphoraID, LoadBalancerID: row.LoadBalancerID,
			UpdatedAt: row.UpdatedAt.Time, LastHeartbeat: row.LastHeartbeat.Time,
		}
		if row.View != nil {
			all[i].View = []byte(*row.View)
		}
	}
	return all, nil
}

// Health returns what there is to know of how a load balancer operates, without its tree. A load balancer that is not
// there has nothing.
func (s *Store) Health(ctx context.Context, lbID string) (*Health, error) {
	health := &Health{LoadBalancerID: lbID}
	var row reportedRow
	err := s.read(ctx, "read what was reported of load balancer "+lbID, func(db *gorm.DB) (err error) {
		row, err = readReported(db, lbID)
		return err
	})
	if err == nil {
		health.Amphorae, err = s.AmphoraHealth(ctx, lbID)
	}
	if err == nil {
		err = s.fillReported(health, row)
	}
	if err != nil {
		return nil, err
	}
	return health, nil
}

// Settlement is what is to be said of a load balancer.
type Settlement struct {
	// Status goes to Octavia, unless it is empty.
	Status model.StatusUpdate
	// Pause is how long nothing more is to be said after it.
	Pause time.Duration
	// Again is when to settle without being asked; zero is never.
	Again time.Time
}

// Unsettled returns the load balancers that Settle has work with now, the one that waits longest first. Those of which a
// message of Settle's is still in the outbox are left out: one a load balancer is enough.
func (s *Store) Unsettled(ctx context.Context) ([]string, error) {
	var ids []string
	err := s.read(ctx, "read the unsettled load balancers", func(db *gorm.DB) error {
		ids = nil
		return db.Raw(`SELECT r.loadbalancer_id FROM reported_statuses r
			WHERE r.settle_at <= ? AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.id = r.message_id)
			ORDER BY r.settle_at, r.loadbalancer_id`, newStamp(s.time())).Scan(&ids).Error
	})
	return ids, err
}

// Settle lets decide compare how a load balancer operates with what was reported, and puts the outcome in the outbox, all
// in one transaction; decide may run more than once. It returns what was put there. Nothing is done for a load balancer
// that is gone, is settled or not due, or has a message of Settle's in the outbox.
func (s *Store) Settle(ctx context.Context, lbID string, decide func(Health) Settlement) (model.StatusUpdate, error) {
	var said model.StatusUpdate
	err := s.write(ctx, "settle load balancer "+lbID, func(tx *gorm.DB) error {
		said = model.StatusUpdate{}
		now := s.time()
		lb, err := lockLoadBalancer(tx, lbID, "id", "tree")
		if err != nil {
			return ignoreNotFound(err)
		}
		row, err := readReported(tx, lbID)
		if err != nil || row.SettleAt.IsZero() || row.SettleAt.After(now) {
			return err
		}
		var waiting int64
		if err := tx.Model(&outboxRow{}).Where("id = ?", row.MessageID).Count(&waiting).Error; err != nil || waiting > 0 {
			return err
		}
		health := Health{LoadBalancerID: lbID, Tree: s.publicTree(ctx, lbID, lb.Tree)}
		if health.Amphorae, err = readAmphoraHealth(tx, lbID); err != nil {
			return err
		}
		if err := s.fillReported(&health, row); err != nil {
			return err
		}
		settlement := decide(health)
		row.SettleAt, row.ChangedAt = newStamp(settlement.Again), stamp{}
		if said = settlement.Status; !said.Empty() {
			row.SpokeAt, row.PauseMs = newStamp(now), settlement.Pause.Milliseconds()
			if row.MessageID, err = s.putMessage(tx, &row, said); err != nil {
				return err
			}
		}
		return putReported(tx, row)
	})
	return said, err
}

// publicTree returns a stored tree to look at, with its keys or without.
func (s *Store) publicTree(ctx context.Context, lbID string, body *string) *model.LoadBalancer {
	if body == nil {
		return nil
	}
	if kept := s.trees.published(lbID, *body); kept != nil {
		return kept
	}
	tree, err := model.Decode([]byte(*body))
	if err != nil {
		s.log.ErrorContext(ctx, "store: a stored tree cannot be read", "lb", lbID, "error", err)
		return nil
	}
	return tree
}

// Unsettle asks for a load balancer to be settled, all of them for "", though no amphora has said anything new.
func (s *Store) Unsettle(ctx context.Context, lbID string) error {
	now := newStamp(s.time())
	return s.write(ctx, "unsettle load balancers", func(tx *gorm.DB) error {
		query := tx.Model(&reportedRow{}).Where("settle_at IS NULL OR settle_at > ?", now)
		if lbID != "" {
			query = query.Where("loadbalancer_id = ?", lbID)
		}
		return query.Update("settle_at", now).Error
	})
}

// OldestChange is when the change was written that has waited longest to be settled; zero when there is none.
func (s *Store) OldestChange(ctx context.Context) (time.Time, error) {
	var oldest stamp
	err := s.read(ctx, "read the oldest change of health", func(db *gorm.DB) error {
		err := db.Model(&reportedRow{}).Select("changed_at").Where("changed_at IS NOT NULL").
			Order("changed_at").Limit(1).Row().Scan(&oldest)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return oldest.Time, err
}

// Told notes that Octavia was told, past the outbox, that a load balancer operates like this. If something else was put in
// the outbox meanwhile, that may have been overwritten: it is said again.
func (s *Store) Told(ctx context.Context, lbID string, status model.OperatingStatus) error {
	var row loadBalancerRow
	err := s.read(ctx, "read load balancer "+lbID, func(db *gorm.DB) error {
		return db.Select("operating_status").Where("id = ?", lbID).Take(&row).Error
	})
	if errors.Is(err, ErrNotFound) || err == nil && row.OperatingStatus == string(status) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.write(ctx, "note what load balancer "+lbID+" was told to be", func(tx *gorm.DB) error {
		return s.forget(tx, lbID, model.StatusUpdate{LoadBalancers: []model.ObjectStatus{{ID: lbID}}})
	})
}

// forget drops what was reported of the objects of an update, so that it is reported again.
func (s *Store) forget(tx *gorm.DB, lbID string, update model.StatusUpdate) error {
	if _, err := lockLoadBalancer(tx, lbID, "id"); err != nil {
		return ignoreNotFound(err)
	}
	row, err := readReported(tx, lbID)
	if err != nil {
		return err
	}
	changes := map[model.Ref]model.OperatingStatus{}
	for ref := range records(update) {
		changes[ref] = ""
	}
	if err := s.changeStatuses(&row, changes); err != nil {
		return err
	}
	row.settle(s.time())
	return putReported(tx, row)
}

// putMessage puts a status in the outbox and notes in the row, which the caller has to write, what Octavia will know by it.
// The load balancer's row is locked.
func (s *Store) putMessage(tx *gorm.DB, row *reportedRow, update model.StatusUpdate) (int64, error) {
	body, err := json.Marshal(update)
	if err != nil {
		return 0, fmt.Errorf("encode a status: %w", err)
	}
	message := outboxRow{LoadBalancerID: row.LoadBalancerID, Status: string(body), CreatedAt: newStamp(s.time())}
	if err := tx.Create(&message).Error; err != nil {
		return 0, err
	}
	operating := model.OperatingStatus("")
	changes := map[model.Ref]model.OperatingStatus{}
	for ref, record := range records(update) {
		switch {
		case record.ProvisioningStatus == model.ProvisioningDeleted:
			changes[ref] = ""
		case record.OperatingStatus != "":
			changes[ref] = record.OperatingStatus
			if ref.ID == row.LoadBalancerID {
				operating = record.OperatingStatus
			}
		}
	}
	err = s.changeStatuses(row, changes)
	if err == nil && operating != "" {
		// Most often it is what it was, and SQLite would write the tree beside it anew.
		err = tx.Model(&loadBalancerRow{}).Where("id = ? AND operating_status <> ?", row.LoadBalancerID, string(operating)).
			UpdateColumn("operating_status", string(operating)).Error
	}
	return message.ID, err
}
