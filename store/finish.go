package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// Finish is the outcome of an attempt to bring a load balancer to what Octavia says.
type Finish struct {
	LoadBalancerID string
	// IntentIDs are the intents that are done with, for good or ill. Others stay: they came meanwhile.
	IntentIDs []int64
	// Status goes to Octavia by the outbox, unless it is empty.
	Status model.StatusUpdate
	// ProvisioningStatus is what the load balancer is now; "" leaves what was. How it operates is in Status.
	ProvisioningStatus model.ProvisioningStatus
	// Published says that the amphorae have what they had not before; Refused are the objects that they do not serve.
	Published bool
	Refused   []model.Ref
	// LastError replaces what was, "" too.
	LastError string
	// RetryAt replaces what was, nil too.
	RetryAt *time.Time
	// Deleted takes the row, tree, index and amphorae away. Outbox and audit trail stay, and so does the VIP port's row,
	// for a row is all that is known of a port that may still exist: see DeleteVIPPort.
	Deleted bool
}

// Finish commits the outcome in one transaction: whoever crashes, either the intents are still there or the status is on
// its way.
func (s *Store) Finish(ctx context.Context, f Finish) error {
	if f.LoadBalancerID == "" {
		return errors.New("store: finish: it names no load balancer")
	}
	if f.Deleted {
		defer s.trees.drop(f.LoadBalancerID)
		defer s.reported.Drop(f.LoadBalancerID)
	}
	return s.write(ctx, "finish load balancer "+f.LoadBalancerID, func(tx *gorm.DB) error {
		// The lock orders this with AddIntent: its intents are either before the message or, marked, after it.
		_, err := lockLoadBalancer(tx, f.LoadBalancerID, "id")
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		gone := err != nil
		if err := s.checkLease(tx, f.LoadBalancerID); err != nil {
			return err
		}
		for ids := range slices.Chunk(f.IntentIDs, batch) {
			err := tx.Where("loadbalancer_id = ? AND id IN ?", f.LoadBalancerID, ids).Delete(&intentRow{}).Error
			if err != nil {
				return err
			}
		}
		reported, err := s.report(tx, f)
		if err != nil {
			return err
		}
		if f.Deleted {
			return s.deleteLoadBalancer(tx, f)
		}
		if err := s.updateLoadBalancer(tx, f, map[string]any{}); err != nil || gone {
			return err
		}
		return putReported(tx, reported)
	})
}

// report puts the status in the outbox and returns what is reported by it.
func (s *Store) report(tx *gorm.DB, f Finish) (reportedRow, error) {
	row, err := readReported(tx, f.LoadBalancerID)
	if err != nil {
		return row, err
	}
	if !f.Status.Empty() {
		if _, err := s.putMessage(tx, &row, f.Status); err != nil {
			return row, err
		}
	}
	now := s.time()
	if f.Published {
		row.PublishedAt = newStamp(now)
		if err := row.refuse(f.Refused); err != nil {
			return row, err
		}
	}
	// An amphora may have spoken since the status was thought up.
	row.settle(now)
	return row, nil
}

func (s *Store) updateLoadBalancer(tx *gorm.DB, f Finish, columns map[string]any) error {
	columns["last_error"] = long(f.LastError)
	columns["retry_at"] = newStampPtr(f.RetryAt)
	columns["updated_at"] = newStamp(s.time())
	if f.ProvisioningStatus != "" {
		columns["provisioning_status"] = string(f.ProvisioningStatus)
	}
	return tx.Model(&loadBalancerRow{}).Where("id = ?", f.LoadBalancerID).Updates(columns).Error
}

func (s *Store) deleteLoadBalancer(tx *gorm.DB, f Finish) error {
	for _, row := range []any{&objectRow{}, &amphoraRow{}, &secretsRow{}, &statisticsRow{}, &healthRow{}, &reportedRow{}} {
		if err := tx.Where("loadbalancer_id = ?", f.LoadBalancerID).Delete(row).Error; err != nil {
			return err
		}
	}
	var intents int64
	err := tx.Model(&intentRow{}).Where("loadbalancer_id = ?", f.LoadBalancerID).Count(&intents).Error
	if err != nil {
		return err
	}
	if intents > 0 {
		// Accepted is accepted: the row stays, empty, until somebody has finished those too.
		return s.updateLoadBalancer(tx, f, map[string]any{"tree": nil})
	}
	return tx.Where("id = ?", f.LoadBalancerID).Delete(&loadBalancerRow{}).Error
}
