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

// Counted is what the amphorae of one load balancer have counted, and which of them and of its listeners there are.
type Counted struct {
	Statistics model.LoadBalancerStatistics
	// Amphorae and Listeners exist: the others in Statistics are gone.
	Amphorae, Listeners map[string]bool
}

// UpdateStatistics lets change work on what the amphorae of a load balancer have counted and keeps the outcome, all in one
// transaction; change may run more than once. The error wraps ErrNotFound when there is no such load balancer.
func (s *Store) UpdateStatistics(ctx context.Context, lbID string, change func(Counted)) error {
	return s.write(ctx, "update the statistics of load balancer "+lbID, func(tx *gorm.DB) error {
		// The lock orders this with other controllers, and with the end of the load balancer.
		if _, err := lockLoadBalancer(tx, lbID, "id"); err != nil {
			return err
		}
		counted, before, err := readCounted(tx, lbID)
		if err != nil {
			return err
		}
		change(counted)
		return s.writeStatistics(tx, lbID, before, counted.Statistics)
	})
}

// readCounted also returns the text of each amphora's row.
func readCounted(tx *gorm.DB, lbID string) (counted Counted, before map[string]string, err error) {
	var rows []statisticsRow
	if err := tx.Where("loadbalancer_id = ?", lbID).Find(&rows).Error; err != nil {
		return counted, nil, err
	}
	var amphorae, listeners []string
	err = errors.Join(
		tx.Model(&amphoraRow{}).Select("id").Where("loadbalancer_id = ?", lbID).Find(&amphorae).Error,
		tx.Model(&objectRow{}).Select("id").
			Where("loadbalancer_id = ? AND kind = ?", lbID, string(model.KindListener)).Find(&listeners).Error,
	)
	if err != nil {
		return counted, nil, err
	}
	counted = Counted{Statistics: model.LoadBalancerStatistics{}, Amphorae: set(amphorae), Listeners: set(listeners)}
	before = map[string]string{}
	for _, row := range rows {
		before[row.AmphoraID] = row.Counted
		if counted.Statistics[row.AmphoraID], err = row.model(); err != nil {
			return counted, nil, err
		}
	}
	return counted, before, nil
}

func (s *Store) writeStatistics(tx *gorm.DB, lbID string, before map[string]string, after model.LoadBalancerStatistics) error {
	for amphora := range before {
		if _, stays := after[amphora]; stays {
			continue
		}
		err := tx.Where("loadbalancer_id = ? AND amphora_id = ?", lbID, amphora).Delete(&statisticsRow{}).Error
		if err != nil {
			return err
		}
	}
	for amphora, counted := range after {
		body, err := json.Marshal(counted)
		if err != nil {
			return err
		}
		if before[amphora] == string(body) {
			continue
		}
		row := statisticsRow{LoadBalancerID: lbID, AmphoraID: amphora, Counted: string(body), UpdatedAt: newStamp(s.time())}
		err = tx.Clauses(clause.OnConflict{
			Columns:   []clause.Column{{Name: "loadbalancer_id"}, {Name: "amphora_id"}},
			DoUpdates: clause.AssignmentColumns([]string{"counted", "updated_at"}),
		}).Create(&row).Error
		if err != nil {
			return err
		}
	}
	return nil
}

// Statistics returns what the amphorae have counted, by load balancer.
func (s *Store) Statistics(ctx context.Context) (map[string]model.LoadBalancerStatistics, error) {
	var rows []statisticsRow
	err := s.read(ctx, "read the statistics", func(db *gorm.DB) error { return db.Find(&rows).Error })
	if err != nil {
		return nil, err
	}
	all := map[string]model.LoadBalancerStatistics{}
	for _, row := range rows {
		if all[row.LoadBalancerID] == nil {
			all[row.LoadBalancerID] = model.LoadBalancerStatistics{}
		}
		if all[row.LoadBalancerID][row.AmphoraID], err = row.model(); err != nil {
			return nil, fmt.Errorf("store: read the statistics: %w", err)
		}
	}
	return all, nil
}

func (r statisticsRow) model() (model.AmphoraStatistics, error) {
	var counted model.AmphoraStatistics
	if err := json.Unmarshal([]byte(r.Counted), &counted); err != nil {
		return counted, fmt.Errorf("statistics of amphora %q: %w", r.AmphoraID, err)
	}
	return counted, nil
}

func set[T comparable](ids []T) map[T]bool {
	all := make(map[T]bool, len(ids))
	for _, id := range ids {
		all[id] = true
	}
	return all
}
