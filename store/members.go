package store

import (
	"context"
	"encoding/json"
	"fmt"

	"gorm.io/gorm"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// MemberStatuses returns how many members of each load balancer are in which operating status, as Octavia was last told.
func (s *Store) MemberStatuses(ctx context.Context) (map[string]map[model.OperatingStatus]int, error) {
	var rows []reportedRow
	err := s.read(ctx, "count the members", func(db *gorm.DB) error {
		return db.Select("loadbalancer_id", "statuses").Find(&rows).Error
	})
	if err != nil {
		return nil, err
	}
	all := make(map[string]map[model.OperatingStatus]int, len(rows))
	for _, row := range rows {
		var reported struct {
			Members map[string]model.OperatingStatus `json:"member"`
		}
		if err := json.Unmarshal([]byte(row.Statuses), &reported); err != nil {
			return nil, fmt.Errorf("store: count the members of load balancer %s: %w", row.LoadBalancerID, err)
		}
		counts := map[model.OperatingStatus]int{}
		for _, status := range reported.Members {
			counts[status]++
		}
		all[row.LoadBalancerID] = counts
	}
	return all, nil
}
