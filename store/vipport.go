package store

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// VIPPort is a Neutron port that the controller made for a load balancer's VIP. It is made before Octavia asks for the
// load balancer itself, and is unclaimed until then: an unclaimed port of some age is left over from a request that
// Octavia refused, and is to be deleted.
type VIPPort struct {
	LoadBalancerID string
	PortID         string
	ProjectID      string
	Claimed        bool
	// CreatedAt is when the row was made; zero is now.
	CreatedAt time.Time
}

// PutVIPPort adds the port of a load balancer, or replaces it.
func (s *Store) PutVIPPort(ctx context.Context, port VIPPort) error {
	if port.LoadBalancerID == "" {
		return errors.New("store: put VIP port: it names no load balancer")
	}
	if port.CreatedAt.IsZero() {
		port.CreatedAt = s.time()
	}
	row := vipPortRow{
		LoadBalancerID: port.LoadBalancerID, PortID: port.PortID, ProjectID: short(port.ProjectID),
		Claimed: port.Claimed, CreatedAt: newStamp(port.CreatedAt),
	}
	return s.write(ctx, "put VIP port of load balancer "+port.LoadBalancerID, func(tx *gorm.DB) error {
		return tx.Clauses(clause.OnConflict{
			Columns:   []clause.Column{{Name: "loadbalancer_id"}},
			DoUpdates: clause.AssignmentColumns([]string{"port_id", "project_id", "claimed", "created_at"}),
		}).Create(&row).Error
	})
}

// VIPPort returns that of a load balancer; the error wraps ErrNotFound when there is none.
func (s *Store) VIPPort(ctx context.Context, lbID string) (*VIPPort, error) {
	var row vipPortRow
	err := s.read(ctx, "read VIP port of load balancer "+lbID, func(db *gorm.DB) error {
		return db.Where("loadbalancer_id = ?", lbID).Take(&row).Error
	})
	if err != nil {
		return nil, err
	}
	port := row.vipPort()
	return &port, nil
}

// VIPPorts returns the ports whose rows were made before olderThan, oldest first, either all or the stray ones: those that
// are unclaimed, and those that were claimed for a load balancer that was not committed then.
func (s *Store) VIPPorts(ctx context.Context, olderThan time.Time, strayOnly bool) ([]VIPPort, error) {
	var rows []vipPortRow
	err := s.read(ctx, "read the VIP ports", func(db *gorm.DB) error {
		query := db.Where("created_at < ?", newStamp(olderThan)).Order("created_at, loadbalancer_id")
		if strayOnly {
			query = query.Where(`(claimed = ? OR NOT EXISTS (
				SELECT 1 FROM load_balancers WHERE load_balancers.id = vip_ports.loadbalancer_id))`, false)
		}
		return query.Find(&rows).Error
	})
	if err != nil {
		return nil, err
	}
	ports := make([]VIPPort, len(rows))
	for i, row := range rows {
		ports[i] = row.vipPort()
	}
	return ports, nil
}

// ClaimVIPPort notes that Octavia asked for the load balancer. The error wraps ErrNotFound when there is no port: it was
// not ours, or has been deleted as left over.
func (s *Store) ClaimVIPPort(ctx context.Context, lbID string) error {
	return s.write(ctx, "claim VIP port of load balancer "+lbID, func(tx *gorm.DB) error {
		return found(tx.Model(&vipPortRow{}).Where("loadbalancer_id = ?", lbID).Update("claimed", true))
	})
}

// DeleteVIPPort forgets the port of a load balancer; none is no error. Delete the port itself first.
func (s *Store) DeleteVIPPort(ctx context.Context, lbID string) error {
	return s.write(ctx, "delete VIP port of load balancer "+lbID, func(tx *gorm.DB) error {
		return tx.Where("loadbalancer_id = ?", lbID).Delete(&vipPortRow{}).Error
	})
}

func (r vipPortRow) vipPort() VIPPort {
	return VIPPort{
		LoadBalancerID: r.LoadBalancerID, PortID: r.PortID, ProjectID: r.ProjectID, Claimed: r.Claimed,
		CreatedAt: r.CreatedAt.Time,
	}
}
