// Package storetest gives tests real databases: a SQLite file, and private MariaDB and PostgreSQL servers that listen on
// a unix socket in a temporary directory and end with the test binary. A server that is not installed is a failure that
// says what to install.
package storetest

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/store"
)

// SQLite returns the DSN of a database in a directory of the test.
func SQLite(tb testing.TB) string {
	tb.Helper()
	return "sqlite:" + filepath.Join(tb.TempDir(), "store.db")
}

// Open opens and migrates a store, and closes it when the test ends.
func Open(tb testing.TB, dsn string) *store.Store { return OpenAt(tb, dsn, nil) }

// OpenAt is Open with a clock.
func OpenAt(tb testing.TB, dsn string, now func() time.Time) *store.Store {
	tb.Helper()
	ctx := context.Background()
	s, err := store.Open(ctx, store.Options{DSN: dsn, Now: now})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	if err := s.Migrate(ctx); err != nil {
		tb.Fatal(err)
	}
	return s
}
