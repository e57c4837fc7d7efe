package store

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
)

// AcquireLease gives owner the sole right to work on a load balancer for ttl from now, or extends it if owner has it. It
// reports whether owner has it now.
//
// Time is the database's, not Options.Now: replicas' clocks differ, and one that is ahead would take what another still
// holds. An owner that cannot extend in time must stop working before ttl is over, counted from before the call. On
// SQLite times are rounded to milliseconds.
func (s *Store) AcquireLease(ctx context.Context, lbID, owner string, ttl time.Duration) (bool, error) {
	if lbID == "" || owner == "" || ttl <= 0 {
		return false, errors.New("store: acquire a lease: it needs a load balancer, an owner and a time")
	}
	for {
		got, err := s.tryLease(ctx, lbID, owner, ttl)
		if !errors.Is(err, errLeaseRace) && !duplicate(err) {
			return got, err
		}
		// Somebody made the row between two of the statements, maybe this owner in another goroutine.
	}
}

var errLeaseRace = errors.New("the lease was made meanwhile")

func (s *Store) tryLease(ctx context.Context, lbID, owner string, ttl time.Duration) (bool, error) {
	until, arg := s.dialect.later, s.dialect.laterArg(ttl)
	var got bool
	err := s.write(ctx, "acquire the lease of load balancer "+lbID, func(tx *gorm.DB) error {
		result := tx.Exec(`UPDATE leases SET owner = ?, expires_at = `+until+
			` WHERE loadbalancer_id = ? AND (owner = ? OR expires_at <= `+s.dialect.clock+`)`, owner, arg, lbID, owner)
		if got = result.RowsAffected > 0; got || result.Error != nil {
			return result.Error
		}
		// Another has it, or there is no row. Asking is cheaper than an error in the server's log for each "no".
		var owners []string
		err := tx.Raw(`SELECT owner FROM leases WHERE loadbalancer_id = ?`, lbID).Scan(&owners).Error
		switch {
		case err != nil:
			return err
		case len(owners) > 0 && owners[0] == owner:
			return errLeaseRace
		case len(owners) > 0:
			return nil
		}
		got = true
		return tx.Exec(`INSERT INTO leases (loadbalancer_id, owner, expires_at) VALUES (?, ?, `+until+`)`,
			lbID, owner, arg).Error
	})
	return got && err == nil, err
}

// ReleaseLease gives the lease back; one that owner does not have is no error.
func (s *Store) ReleaseLease(ctx context.Context, lbID, owner string) error {
	return s.write(ctx, "release the lease of load balancer "+lbID, func(tx *gorm.DB) error {
		return tx.Exec(`DELETE FROM leases WHERE loadbalancer_id = ? AND owner = ?`, lbID, owner).Error
	})
}
