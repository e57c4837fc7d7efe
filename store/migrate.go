package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"gorm.io/gorm"

	"github.com/octavia-envoy/octavia-envoy/store/migrations"
)

// versionTable is where goose notes the migrations that were done.
const versionTable = "schema_migrations"

// Migrate brings the schema to the version of this program. Many may do so at once: one works, the others wait. A
// database that is newer than this program is an error, and stays as it is.
func (s *Store) Migrate(ctx context.Context) (err error) {
	unlock, err := s.lockMigrations(ctx)
	if err != nil {
		return fmt.Errorf("store: migrate %s: %w", s.dialect.target, err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	have, want, err := s.MigrationVersion(ctx)
	if err != nil {
		return err
	}
	if have > want {
		return fmt.Errorf("store: the database has schema version %d and this program knows %d: "+
			"run the newer program, or restore a backup", have, want)
	}
	provider, err := s.provider()
	if err != nil {
		return err
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return fmt.Errorf("store: migrate %s: %w", s.dialect.target, err)
	}
	for _, result := range results {
		s.log.InfoContext(ctx, "store: migrated", "version", result.Source.Version, "duration", result.Duration.String())
	}
	return nil
}

// MigrationVersion returns the schema version of the database, 0 for an empty one, and the one that this program needs.
// It changes nothing. A caller must not work with a store when they differ.
func (s *Store) MigrationVersion(ctx context.Context) (have, want int64, err error) {
	provider, err := s.provider()
	if err != nil {
		return 0, 0, err
	}
	sources := provider.ListSources()
	want = sources[len(sources)-1].Version
	err = s.read(ctx, "read the schema version", func(db *gorm.DB) error {
		have = 0
		var tables int64
		if err := db.Raw(s.dialect.hasTable, versionTable).Scan(&tables).Error; err != nil || tables == 0 {
			return err
		}
		return db.Raw("SELECT COALESCE(MAX(version_id), 0) FROM " + versionTable + " WHERE is_applied").Scan(&have).Error
	})
	return have, want, err
}

// lockMigrations waits until no other migrates. goose could be given the locker, but it looks at the version before it
// takes the lock, and on MariaDB sees the version table that another is about to fill.
func (s *Store) lockMigrations(ctx context.Context) (unlock func() error, err error) {
	locker, err := s.dialect.locker()
	if err != nil {
		return nil, err
	}
	conn, err := s.sql.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if err := locker.SessionLock(ctx, conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return func() error {
		// The caller's context may have ended; the lock must go all the same.
		err := locker.SessionUnlock(context.WithoutCancel(ctx), conn)
		if err != nil {
			// The session may still hold the lock: it must not go back to the pool.
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
			return err
		}
		return conn.Close()
	}, nil
}

func (s *Store) provider() (*goose.Provider, error) {
	folder, err := fs.Sub(migrations.FS, s.dialect.name)
	if err != nil {
		return nil, fmt.Errorf("store: migrations: %w", err)
	}
	provider, err := goose.NewProvider(s.dialect.goose, s.sql, folder,
		goose.WithTableName(versionTable),
		goose.WithDisableGlobalRegistry(true),
		goose.WithSlog(s.log))
	if err != nil {
		return nil, fmt.Errorf("store: migrations: %w", err)
	}
	return provider, nil
}
