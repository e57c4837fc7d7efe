package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestRetry(t *testing.T) {
	s := &Store{log: slog.New(slog.DiscardHandler)}
	for _, test := range []struct {
		err  error
		want int
	}{
		{&mysql.MySQLError{Number: 1213}, 3},
		{&mysql.MySQLError{Number: 1205}, 3},
		{&mysql.MySQLError{Number: 1062}, 1},
		{fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: "40P01"}), 3},
		{&pgconn.PgError{Code: "40001"}, 3},
		{&pgconn.PgError{Code: "23505"}, 1},
		{errors.New("other"), 1},
	} {
		calls := 0
		err := s.retry(t.Context(), "test", func() error {
			if calls++; calls < 3 {
				return test.err
			}
			return nil
		})
		if calls != test.want || (err == nil) != (test.want == 3) {
			t.Errorf("%v: %d calls, %v; want %d", test.err, calls, err, test.want)
		}
	}
}

func TestRetryEndsWithTheContext(t *testing.T) {
	s := &Store{log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	err := s.retry(ctx, "test", func() error {
		if calls++; calls == 3 {
			cancel()
		}
		return &mysql.MySQLError{Number: 1213}
	})
	if !errors.Is(err, context.Canceled) || calls != 3 {
		t.Errorf("%d calls, %v; want 3 and the context's error", calls, err)
	}
}

// SQLite's own waiting hides the error in all tests that lock a file for less than its 15 s.
func TestSQLiteBusyIsTriedAgain(t *testing.T) {
	name := "file:" + filepath.Join(t.TempDir(), "x.db") + "?_txlock=immediate"
	pool, err := sql.Open(sqliteDriver, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	})
	holder, err := pool.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &Store{log: slog.New(slog.DiscardHandler)}
	calls := 0
	err = s.retry(t.Context(), "test", func() error {
		if calls++; calls == 3 {
			if err := holder.Rollback(); err != nil {
				t.Error(err)
			}
		}
		tx, err := pool.BeginTx(t.Context(), nil)
		if err != nil {
			return err
		}
		return tx.Rollback()
	})
	if err != nil || calls != 3 {
		t.Errorf("%d calls, %v; want 3 and success", calls, err)
	}
}
