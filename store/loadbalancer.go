package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// LoadBalancer is what the store knows of one.
type LoadBalancer struct {
	ID        string
	ProjectID string
	Name      string
	// Tree is what Octavia last said; nil before the first SaveTree. Others may be reading it, too: it must not be changed,
	// see model.LoadBalancer.Copy.
	Tree *model.LoadBalancer
	// Revision counts the changes of Tree, from 1.
	Revision           int64
	ProvisioningStatus model.ProvisioningStatus
	OperatingStatus    model.OperatingStatus
	// LastError is why the last attempt failed; "" after a success.
	LastError string
	// RetryAt is when to try again without being asked; nil is never.
	RetryAt   *time.Time
	CreatedAt time.Time
	UpdatedAt time.Time
}

// SaveTree stores the whole tree of a load balancer and the index of its objects. The revision it returns is one higher
// than before if the tree's JSON changed, and the same if not. What model does not encode, private keys above all, is
// stored sealed, see Options.Keys.
func (s *Store) SaveTree(ctx context.Context, tree *model.LoadBalancer) (int64, error) {
	if tree == nil || tree.ID == "" {
		return 0, errors.New("store: save tree: it has no load balancer id")
	}
	encoded, err := json.Marshal(tree)
	if err != nil {
		return 0, fmt.Errorf("store: save tree of load balancer %s: %w", tree.ID, err)
	}
	body := string(encoded)
	var revision int64
	var secrets *secretsRow
	err = s.write(ctx, "save tree of load balancer "+tree.ID, func(tx *gorm.DB) error {
		row, err := lockLoadBalancer(tx, tree.ID, "id", "revision", "tree")
		if errors.Is(err, ErrNotFound) {
			if err := s.upsertLoadBalancer(tx, tree.ID, tree.ProjectID); err != nil {
				return err
			}
			// Another may have made the row, and saved a tree, since.
			row, err = lockLoadBalancer(tx, tree.ID, "id", "revision", "tree")
		}
		if err != nil {
			return err
		}
		if err := s.checkLease(tx, tree.ID); err != nil {
			return err
		}
		if secrets, err = s.sealSecrets(tx, tree); err != nil {
			return err
		}
		if row.Tree != nil && *row.Tree == body {
			revision = row.Revision
			return nil
		}
		revision = row.Revision + 1
		err = tx.Model(&loadBalancerRow{}).Where("id = ?", tree.ID).Updates(map[string]any{
			"tree": body, "revision": revision, "project_id": short(tree.ProjectID), "name": short(tree.Name),
			"updated_at": newStamp(s.time()),
		}).Error
		if err != nil {
			return err
		}
		return s.indexObjects(tx, row.Tree, tree)
	})
	if err != nil {
		return 0, err
	}
	s.trees.put(tree.ID, body, secrets, tree.Copy())
	return revision, nil
}

// lockLoadBalancer reads some columns of the row and keeps others from changing it until the transaction ends. On SQLite
// the transaction is the lock.
func lockLoadBalancer(tx *gorm.DB, id string, columns ...string) (loadBalancerRow, error) {
	var row loadBalancerRow
	err := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).
		Select(columns).Where("id = ?", id).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		err = ErrNotFound
	}
	return row, err
}

// LoadBalancer returns one, with its tree. The error wraps ErrNotFound when there is none.
func (s *Store) LoadBalancer(ctx context.Context, lbID string) (*LoadBalancer, error) {
	var row loadBalancerRow
	err := s.read(ctx, "read load balancer "+lbID, func(db *gorm.DB) error {
		return db.Where("id = ?", lbID).Take(&row).Error
	})
	if err != nil {
		return nil, err
	}
	sealed, err := s.secrets(ctx, lbID)
	if err != nil {
		return nil, err
	}
	lb := s.loadBalancer(ctx, row, sealed[lbID])
	if lb.Tree != nil && lb.Tree != s.trees.published(lbID, *row.Tree) {
		s.trees.put(lbID, *row.Tree, sealed[lbID], lb.Tree)
	}
	return &lb, nil
}

// Revision returns the revision of a load balancer's tree, 0 before the first; the error wraps ErrNotFound when there is no
// such load balancer. It reads nothing else.
func (s *Store) Revision(ctx context.Context, lbID string) (int64, error) {
	var row loadBalancerRow
	err := s.read(ctx, "read the revision of load balancer "+lbID, func(db *gorm.DB) error {
		return db.Select("revision").Where("id = ?", lbID).Take(&row).Error
	})
	return row.Revision, err
}

// LoadBalancers returns all, with their trees, oldest first.
func (s *Store) LoadBalancers(ctx context.Context) ([]LoadBalancer, error) {
	var rows []loadBalancerRow
	err := s.read(ctx, "read the load balancers", func(db *gorm.DB) error {
		return db.Order("created_at, id").Find(&rows).Error
	})
	if err != nil {
		return nil, err
	}
	sealed, err := s.secrets(ctx, "")
	if err != nil {
		return nil, err
	}
	all := make([]LoadBalancer, len(rows))
	for i := range rows {
		all[i] = s.loadBalancer(ctx, rows[i], sealed[rows[i].ID])
		rows[i].Tree = nil // all texts and all trees at once would be twice the memory
	}
	return all, nil
}

func (s *Store) loadBalancer(ctx context.Context, row loadBalancerRow, sealed *secretsRow) LoadBalancer {
	lb := LoadBalancer{
		ID: row.ID, ProjectID: row.ProjectID, Name: row.Name, Revision: row.Revision,
		ProvisioningStatus: model.ProvisioningStatus(row.ProvisioningStatus),
		OperatingStatus:    model.OperatingStatus(row.OperatingStatus),
		LastError:          row.LastError, RetryAt: row.RetryAt.ptr(),
		CreatedAt: row.CreatedAt.Time, UpdatedAt: row.UpdatedAt.Time,
	}
	if row.Tree == nil {
		return lb
	}
	if lb.Tree = s.trees.get(row.ID, *row.Tree, sealed); lb.Tree != nil {
		return lb
	}
	tree, err := model.Decode([]byte(*row.Tree))
	if err == nil {
		err = s.openSecrets(tree, sealed)
	}
	if err != nil {
		// One damaged row must not keep the controller from serving all others. Without a tree this load balancer is read
		// from Octavia again, whose database is the truth, and SaveTree replaces the row.
		s.log.ErrorContext(ctx, "store: a stored tree cannot be read", "lb", row.ID, "error", err)
		lb.LastError = long(fmt.Sprintf("the stored tree cannot be read: %v", err))
		return lb
	}
	tree.Secrets() // makes the places that it lacks: nobody may later
	lb.Tree = tree
	return lb
}
