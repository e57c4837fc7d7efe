package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// How long a call tries to get past other transactions. A SQLite file that a backup or an operator has locked for 10 s
// must not cost an accepted call; SQLite itself waits for the first busyTimeout of it.
const (
	retryFirst  = 5 * time.Millisecond
	retryLast   = 500 * time.Millisecond
	retryBudget = 40 * time.Second
)

// retry runs fn until it succeeds, fails for a reason of its own, the context ends or the budget is spent.
func (s *Store) retry(ctx context.Context, what string, fn func() error) error {
	pause := &backoff.ExponentialBackOff{
		InitialInterval: retryFirst, MaxInterval: retryLast, Multiplier: 2, RandomizationFactor: 0.5,
	}
	pause.Reset()
	start := time.Now()
	for attempt := 1; ; attempt++ {
		err := fn()
		if err == nil || !contended(err) {
			return err
		}
		if time.Since(start) > retryBudget {
			return fmt.Errorf("gave up after %d attempts: %w", attempt, err)
		}
		s.log.DebugContext(ctx, "store: another transaction is in the way, trying again",
			"what", what, "attempt", attempt, "error", err)
		timer := time.NewTimer(pause.NextBackOff())
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

// contended reports whether the database rolled back or refused because of another transaction, and would take the same
// transaction now.
func contended(err error) bool {
	if my, ok := errors.AsType[*mysql.MySQLError](err); ok {
		switch my.Number {
		case 1213, // ER_LOCK_DEADLOCK: also a Galera certification failure
			1205, // ER_LOCK_WAIT_TIMEOUT
			1020: // ER_CHECKREAD: MariaDB 11.6 and later, innodb_snapshot_isolation
			return true
		}
		return false
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pg.Code {
		case "40001", // serialization_failure
			"40P01", // deadlock_detected
			"55P03": // lock_not_available
			return true
		}
		return false
	}
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		// The low byte is the primary code: SQLITE_BUSY_SNAPSHOT and SQLITE_BUSY_RECOVERY are SQLITE_BUSY.
		primary := lite.Code() & 0xff
		return primary == sqlite3.SQLITE_BUSY || primary == sqlite3.SQLITE_LOCKED
	}
	return false
}

// duplicate reports whether a row with that primary key exists.
func duplicate(err error) bool {
	if my, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return my.Number == 1062 // ER_DUP_ENTRY
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "23505" // unique_violation
	}
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		return lite.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
	}
	return false
}
