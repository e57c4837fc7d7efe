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
	"github.com/octavia-envoy/octavia-envoy/store/seal"
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
	return OpenWith(tb, store.Options{DSN: dsn, Now: now, Keys: Keys(tb, "test")})
}

// Keys returns a keyring with new keys of those ids.
func Keys(tb testing.TB, ids ...string) *seal.Keyring {
	tb.Helper()
	var file []byte
	for _, id := range ids {
		file = append(file, seal.NewLine(id)...)
	}
	keys, err := seal.Parse(file)
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

// OpenWith is Open with all options.
func OpenWith(tb testing.TB, options store.Options) *store.Store {
	tb.Helper()
	ctx := context.Background()
	s, err := store.Open(ctx, options)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if changed := s.ChangedTrees(); len(changed) > 0 {
			tb.Errorf("the trees of %v, which may only be read, were changed", changed)
		}
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	if err := s.Migrate(ctx); err != nil {
		tb.Fatal(err)
	}
	return s
}
