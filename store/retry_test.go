package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
