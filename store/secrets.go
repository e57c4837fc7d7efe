package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// errNoKeys says that a tree has private keys and the store has nothing to seal them with.
var errNoKeys = errors.New("it has certificates, and there is nothing to seal their keys with")

// sealedSecrets are what the places of a tree hold, by their names: model.Secret.Name.
type sealedSecrets map[string]sealedSecret

// sealedSecret mirrors model.TLSContainer, which encodes as its id alone, or holds a bundle.
type sealedSecret struct {
	ID            string   `json:"id,omitempty"`
	PrimaryCN     string   `json:"primary_cn,omitempty"`
	Certificate   string   `json:"certificate,omitempty"`
	PrivateKey    string   `json:"private_key,omitempty"`
	Passphrase    string   `json:"passphrase,omitempty"`
	Intermediates []string `json:"intermediates,omitempty"`
	Bundle        string   `json:"bundle,omitempty"`
}

// sealSecrets stores what the tree's secrets hold, if that changed or another key seals now. There is one row a load
// balancer: they are read and written together. It returns the row, nil when there is nothing to seal.
func (s *Store) sealSecrets(tx *gorm.DB, tree *model.LoadBalancer) (*secretsRow, error) {
	held := sealedSecrets{}
	for _, secret := range tree.Secrets() {
		if c := secret.Certificate(); c != nil {
			held[secret.Name()] = sealedSecret{
				ID: c.ID, PrimaryCN: c.PrimaryCN, Certificate: c.Certificate, PrivateKey: c.PrivateKey, Passphrase: c.Passphrase,
				Intermediates: c.Intermediates,
			}
		} else if !secret.Missing() {
			held[secret.Name()] = sealedSecret{Bundle: string(secret.PEM())}
		}
	}
	if len(held) == 0 {
		return nil, tx.Where("loadbalancer_id = ?", tree.ID).Delete(&secretsRow{}).Error
	}
	if s.keys == nil {
		return nil, errNoKeys
	}
	body, err := json.Marshal(held) //nolint:gosec // what is to be sealed
	if err != nil {
		return nil, errors.New("its certificates cannot be encoded") // never with what was encoded
	}
	var row secretsRow
	err = tx.Where("loadbalancer_id = ?", tree.ID).Limit(1).Find(&row).Error
	if err != nil {
		return nil, err
	}
	if row.KeyID == s.keys.Active() {
		if before, err := s.keys.Open(row.KeyID, tree.ID, row.Sealed); err == nil && bytes.Equal(before, body) {
			return &row, nil
		}
	}
	return s.putSecrets(tx, tree.ID, body)
}

func (s *Store) putSecrets(tx *gorm.DB, lbID string, body []byte) (*secretsRow, error) {
	row := secretsRow{LoadBalancerID: lbID, UpdatedAt: newStamp(s.time())}
	row.KeyID, row.Sealed = s.keys.Seal(lbID, body)
	return &row, tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "loadbalancer_id"}},
		DoUpdates: clause.AssignmentColumns([]string{"key_id", "sealed", "updated_at"}),
	}).Create(&row).Error
}

// secrets returns the rows by load balancer: of one, or of all for "".
func (s *Store) secrets(ctx context.Context, lbID string) (map[string]*secretsRow, error) {
	var rows []secretsRow
	err := s.read(ctx, "read the secrets", func(db *gorm.DB) error {
		if lbID != "" {
			db = db.Where("loadbalancer_id = ?", lbID)
		}
		return db.Find(&rows).Error
	})
	if err != nil {
		return nil, err
	}
	byID := make(map[string]*secretsRow, len(rows))
	for i := range rows {
		byID[rows[i].LoadBalancerID] = &rows[i]
	}
	return byID, nil
}

// openSecrets fills the places of a tree. What was not stored stays missing.
func (s *Store) openSecrets(tree *model.LoadBalancer, row *secretsRow) error {
	if row == nil {
		return nil
	}
	if s.keys == nil {
		return fmt.Errorf("its certificates are sealed with the key %q: %w", row.KeyID, errNoKeys)
	}
	body, err := s.keys.Open(row.KeyID, tree.ID, row.Sealed)
	if err != nil {
		return fmt.Errorf("its certificates: %w", err)
	}
	var held sealedSecrets
	if err := json.Unmarshal(body, &held); err != nil {
		return errors.New("its certificates cannot be decoded")
	}
	for _, secret := range tree.Secrets() {
		c, ok := held[secret.Name()]
		if !ok {
			continue
		}
		secret.SetPEM(model.PEM(c.Bundle))
		if c.Certificate != "" {
			secret.SetCertificate(&model.TLSContainer{
				ID: c.ID, PrimaryCN: c.PrimaryCN, Certificate: c.Certificate, PrivateKey: c.PrivateKey, Passphrase: c.Passphrase,
				Intermediates: c.Intermediates,
			})
		}
	}
	return nil
}

// CheckKeys returns an error that names the keys which are needed to read what is stored, and are not there. A
// controller must not start then: what it cannot read it would take from the amphorae.
func (s *Store) CheckKeys(ctx context.Context) error {
	var used []string
	err := s.read(ctx, "read the ids of the keys", func(db *gorm.DB) error {
		return db.Model(&secretsRow{}).Distinct("key_id").Order("key_id").Pluck("key_id", &used).Error
	})
	if err != nil {
		return err
	}
	var missing []error
	for _, id := range used {
		if s.keys == nil || !s.keys.Has(id) {
			missing = append(missing, fmt.Errorf("certificates are sealed with the key %q, which store.key_file, or the secret of store.key_ref, lacks: put it back", id))
		}
	}
	return errors.Join(missing...)
}

// Rekey seals everything with the active key, and returns how many load balancers were sealed with another. Controllers may
// run meanwhile if they have both keys. When it returns no error the other keys are not needed any more.
func (s *Store) Rekey(ctx context.Context) (int, error) {
	if s.keys == nil {
		return 0, errors.New("store: rekey: there are no keys")
	}
	var due []string
	err := s.read(ctx, "find what other keys sealed", func(db *gorm.DB) error {
		return db.Model(&secretsRow{}).Where("key_id <> ?", s.keys.Active()).Order("loadbalancer_id").Pluck("loadbalancer_id", &due).Error
	})
	if err != nil {
		return 0, err
	}
	for i, lbID := range due {
		err := s.write(ctx, "seal anew the secrets of load balancer "+lbID, func(tx *gorm.DB) error {
			if _, err := lockLoadBalancer(tx, lbID, "id"); err != nil {
				return ignoreNotFound(err)
			}
			var row secretsRow
			if err := tx.Where("loadbalancer_id = ?", lbID).Limit(1).Find(&row).Error; err != nil || row.KeyID == "" {
				return err
			}
			body, err := s.keys.Open(row.KeyID, lbID, row.Sealed)
			if err != nil {
				return err
			}
			_, err = s.putSecrets(tx, lbID, body)
			return err
		})
		if err != nil {
			return i, err
		}
	}
	return len(due), nil
}

// ignoreNotFound takes a load balancer that was deleted meanwhile for done.
func ignoreNotFound(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
