package store

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// AcquireLease gives owner the sole right to work on a load balancer for ttl from now, or extends it if owner has it. It
// reports whether owner has it now.
//
// Time is the database's, not Options.Now: replicas' clocks differ, and one that is ahead would take what another still
// holds. An owner that cannot extend in time must stop working before ttl is over, counted from before the call. On
// SQLite times are rounded to milliseconds.
func (s *Store) AcquireLease(ctx context.Context, lbID, owner string, ttl time.Duration) (bool, error) {
	return s.acquire(ctx, leaseTable, lbID, owner, ttl)
}

// The tables of leases: of the right to work on a load balancer, and to send its messages, see AcquireSending.
const (
	leaseTable   = "leases"
	sendingTable = "sending_leases"
)

func (s *Store) acquire(ctx context.Context, table, lbID, owner string, ttl time.Duration) (bool, error) {
	if lbID == "" || owner == "" || ttl <= 0 {
		return false, errors.New("store: acquire a lease: it needs a load balancer, an owner and a time")
	}
	for {
		got, err := s.tryLease(ctx, table, lbID, owner, ttl)
		if !errors.Is(err, errLeaseRace) && !duplicate(err) {
			return got, err
		}
		// Somebody made the row between two of the statements, maybe this owner in another goroutine.
	}
}

var errLeaseRace = errors.New("the lease was made meanwhile")

func (s *Store) tryLease(ctx context.Context, table, lbID, owner string, ttl time.Duration) (bool, error) {
	until, arg := s.dialect.later, s.dialect.laterArg(ttl)
	var got bool
	err := s.write(ctx, "acquire the lease of load balancer "+lbID, func(tx *gorm.DB) error {
		result := tx.Exec(`UPDATE `+table+` SET owner = ?, expires_at = `+until+
			` WHERE loadbalancer_id = ? AND (owner = ? OR expires_at <= `+s.dialect.clock+`)`, owner, arg, lbID, owner)
		if got = result.RowsAffected > 0; got || result.Error != nil {
			return result.Error
		}
		// Another has it, or there is no row. Asking is cheaper than an error in the server's log for each "no".
		var owners []string
		err := tx.Raw(`SELECT owner FROM `+table+` WHERE loadbalancer_id = ?`, lbID).Scan(&owners).Error
		switch {
		case err != nil:
			return err
		case len(owners) > 0 && owners[0] == owner:
			return errLeaseRace
		case len(owners) > 0:
			return nil
		}
		got = true
		return tx.Exec(`INSERT INTO `+table+` (loadbalancer_id, owner, expires_at) VALUES (?, ?, `+until+`)`,
			lbID, owner, arg).Error
	})
	return got && err == nil, err
}

// ReleaseLease gives the lease back; one that owner does not have is no error.
func (s *Store) ReleaseLease(ctx context.Context, lbID, owner string) error {
	return s.release(ctx, leaseTable, lbID, owner)
}

func (s *Store) release(ctx context.Context, table, lbID, owner string) error {
	return s.write(ctx, "release the lease of load balancer "+lbID, func(tx *gorm.DB) error {
		return tx.Exec(`DELETE FROM `+table+` WHERE loadbalancer_id = ? AND owner = ?`, lbID, owner).Error
	})
}

// holder is the key of the owner in a context.
type holder struct{}

// Holding makes SaveTree and Finish with this context depend on the owner's lease: they fail with ErrLeaseLost when the owner
// has not, or no longer, that of the load balancer.
//
// An owner that stops in time, see AcquireLease, needs no such thing. But a process may be stopped as a whole (a paused machine)
// and go on where it was, before it sees that its time is over: without this it would put what it has read long ago in the place
// of what another has done since.
func Holding(ctx context.Context, owner string) context.Context {
	return context.WithValue(ctx, holder{}, owner)
}

// ErrLeaseLost says that another may have the lease by now.
var ErrLeaseLost = errors.New("the lease is lost")

// checkLease is called with the load balancer's row locked. It keeps the lease as it is until the transaction ends: who gets it
// after that finds what this one wrote.
func (s *Store) checkLease(tx *gorm.DB, lbID string) error {
	owner, bound := tx.Statement.Context.Value(holder{}).(string)
	if !bound {
		return nil
	}
	var held []string
	err := tx.Table(leaseTable).Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).
		Where("loadbalancer_id = ? AND owner = ? AND expires_at > "+s.dialect.clock, lbID, owner).Pluck("owner", &held).Error
	if err == nil && len(held) == 0 {
		err = ErrLeaseLost
	}
	return err
}
