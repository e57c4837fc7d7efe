package store

import (
	"context"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// OCSPResponse is what a certificate's responder said last (RFC 6960).
type OCSPResponse struct {
	// Fingerprint is the certificate's SHA-256 in hex.
	Fingerprint string
	// Response is the answer in DER, checked before it was stored.
	Response  []byte
	FetchedAt time.Time
}

// OCSPResponse returns that of a certificate; the error wraps ErrNotFound when there is none.
func (s *Store) OCSPResponse(ctx context.Context, fingerprint string) (*OCSPResponse, error) {
	var row ocspRow
	err := s.read(ctx, "read an OCSP response", func(db *gorm.DB) error {
		return db.Where("fingerprint = ?", fingerprint).Take(&row).Error
	})
	if err != nil {
		return nil, err
	}
	return &OCSPResponse{Fingerprint: row.Fingerprint, Response: row.Response, FetchedAt: row.FetchedAt.Time}, nil
}

// PutOCSPResponse adds a response, or replaces an older one: of two controllers that fetch, the later answer stays.
func (s *Store) PutOCSPResponse(ctx context.Context, response OCSPResponse) error {
	if response.FetchedAt.IsZero() {
		response.FetchedAt = s.time()
	}
	row := ocspRow{
		Fingerprint: response.Fingerprint, Response: response.Response,
		FetchedAt: newStamp(response.FetchedAt), UsedAt: newStamp(s.time()),
	}
	return s.write(ctx, "put an OCSP response", func(tx *gorm.DB) error {
		var before ocspRow
		err := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).
			Where("fingerprint = ?", row.Fingerprint).Limit(1).Find(&before).Error
		if err != nil || before.FetchedAt.After(row.FetchedAt.Time) {
			return err
		}
		return tx.Clauses(clause.OnConflict{
			Columns:   []clause.Column{{Name: "fingerprint"}},
			DoUpdates: clause.AssignmentColumns([]string{"response", "fetched_at", "used_at"}),
		}).Create(&row).Error
	})
}

// KeepOCSPResponses notes that some certificates are in use and deletes the responses of those that were not since a time.
// It returns how many it deleted.
func (s *Store) KeepOCSPResponses(ctx context.Context, inUse []string, since time.Time) (int64, error) {
	var deleted int64
	err := s.write(ctx, "sort the OCSP responses", func(tx *gorm.DB) error {
		for start := 0; start < len(inUse); start += batch {
			chunk := inUse[start:min(start+batch, len(inUse))]
			err := tx.Model(&ocspRow{}).Where("fingerprint IN ?", chunk).Update("used_at", newStamp(s.time())).Error
			if err != nil {
				return err
			}
		}
		result := tx.Where("used_at < ?", newStamp(since)).Delete(&ocspRow{})
		deleted = result.RowsAffected
		return result.Error
	})
	return deleted, err
}
