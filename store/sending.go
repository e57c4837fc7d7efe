package store

import (
	"context"
	"time"
)

// AcquireSending gives owner the sole right to send the messages of a load balancer for ttl from now, or extends it, as
// AcquireLease does for the work on it. One who has it looks again whether the message is still there: another may have sent it
// before. On SQLite, which has one controller, it is always given.
func (s *Store) AcquireSending(ctx context.Context, lbID, owner string, ttl time.Duration) (bool, error) {
	if s.dialect.oneWriter {
		return true, nil
	}
	return s.acquire(ctx, sendingTable, lbID, owner, ttl)
}

// ReleaseSending gives the right back; one that owner does not have is no error.
func (s *Store) ReleaseSending(ctx context.Context, lbID, owner string) error {
	if s.dialect.oneWriter {
		return nil
	}
	return s.release(ctx, sendingTable, lbID, owner)
}
