package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/octavia-envoy/octavia-envoy/driver/lru"
	"github.com/octavia-envoy/octavia-envoy/store/seal"
)

// ErrNotFound is wrapped by every error that says that a row does not exist.
var ErrNotFound = errors.New("not found")

// Options say which database to open.
type Options struct {
	// DSN is "sqlite:/path/file.db", "mysql://user:password@host:3306/database" or "postgres://…"; see doc.go.
	DSN string
	// Keys seal the private keys of trees; nil stores no tree that has any, and reads none.
	Keys *seal.Keyring
	// Registry gets the metrics; nil registers none.
	Registry prometheus.Registerer
	// Logger is told of retries and migrations; nil discards.
	Logger *slog.Logger
	// Now is the clock of what the store stamps; nil is time.Now. Leases go by the database's clock, see AcquireLease.
	Now func() time.Time
}

// Store keeps the controller's state in a database. Its methods may be called from many goroutines, and many stores, on
// this and other machines, may share one database.
type Store struct {
	db      *gorm.DB
	sql     *sql.DB
	dialect *dialect
	keys    *seal.Keyring
	trees   *trees
	// reported are statuses as reported_statuses has them, decoded.
	reported *lru.Cache[*keptStatuses]
	log      *slog.Logger
	now      func() time.Time
	// writer holds one token where the database takes one writer at a time: waiting here is fair and ends with the
	// context, whereas SQLite's own waiting is polling. nil elsewhere.
	writer chan struct{}
}

// Open connects to the database. It does not migrate: see Migrate and MigrationVersion. No error holds the password.
func Open(ctx context.Context, options Options) (*Store, error) {
	d, err := parseDSN(options.DSN)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	s := &Store{
		dialect: d, keys: options.Keys, log: options.Logger, now: options.Now,
		trees: newTrees(maxTrees, options.Registry), reported: lru.New[*keptStatuses](maxStatuses),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if d.oneWriter {
		s.writer = make(chan struct{}, 1)
	}
	if err := s.connect(ctx); err != nil {
		return nil, fmt.Errorf("store: open %s: %w", d.target, err)
	}
	return s, nil
}

func (s *Store) connect(ctx context.Context) error {
	pool, err := s.dialect.open()
	if err != nil {
		return err
	}
	// The first connection switches a new SQLite file to WAL, for which it must be alone.
	err = s.retry(ctx, "open", func() error { return ping(ctx, pool) })
	if err == nil {
		// gorm.Open takes no context; after the ping it only asks for the server's version.
		s.db, err = gorm.Open(s.dialect.gorm(pool), &gorm.Config{
			SkipDefaultTransaction: true,
			DisableAutomaticPing:   true,
			Logger:                 logger.Discard,
			NowFunc:                s.time,
		})
	}
	if err != nil {
		return errors.Join(err, pool.Close())
	}
	s.sql = pool
	return nil
}

// Close closes the connections; calls under way fail.
func (s *Store) Close() error {
	if err := s.sql.Close(); err != nil {
		return fmt.Errorf("store: close: %w", err)
	}
	return nil
}

// Ping asks the database for an answer.
func (s *Store) Ping(ctx context.Context) error {
	if err := ping(ctx, s.sql); err != nil {
		return fmt.Errorf("store: ping: %w", err)
	}
	return nil
}

func ping(ctx context.Context, pool *sql.DB) error {
	var one int
	return pool.QueryRowContext(ctx, "SELECT 1").Scan(&one)
}

// time is the clock, as precise as the databases keep it.
func (s *Store) time() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// write runs fn in a transaction that is committed before it returns, and again when the database says that another
// transaction was in the way: fn must not keep anything from a run before.
func (s *Store) write(ctx context.Context, what string, fn func(tx *gorm.DB) error) error {
	if s.writer != nil {
		select {
		case s.writer <- struct{}{}:
			defer func() { <-s.writer }()
		case <-ctx.Done():
			return fmt.Errorf("store: %s: %w", what, context.Cause(ctx))
		}
	}
	err := s.retry(ctx, what, func() error {
		return s.db.WithContext(ctx).Transaction(fn, s.dialect.transaction...)
	})
	if err != nil {
		return fmt.Errorf("store: %s: %w", what, err)
	}
	return nil
}

// read runs one statement outside of a transaction.
func (s *Store) read(ctx context.Context, what string, fn func(db *gorm.DB) error) error {
	err := s.retry(ctx, what, func() error { return fn(s.db.WithContext(ctx)) })
	if errors.Is(err, gorm.ErrRecordNotFound) {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("store: %s: %w", what, err)
	}
	return nil
}
