package store_test

import (
	"io/fs"
	"path"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/migrations"
)

func open(t *testing.T, dsn string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// latest is the schema version of this program.
const latest = 5

func wantVersion(t *testing.T, s *store.Store, wantHave, wantWant int64) {
	t.Helper()
	have, want, err := s.MigrationVersion(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if have != wantHave || want != wantWant {
		t.Fatalf("MigrationVersion = %d, %d; want %d, %d", have, want, wantHave, wantWant)
	}
}

func tables(t *testing.T, s *store.Store) []string {
	t.Helper()
	names, err := s.DB().Migrator().GetTables()
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestMigrate(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		wantVersion(t, s, 0, latest)
		if names := tables(t, s); len(names) != 0 {
			t.Fatalf("asking for the version made tables: %v", names)
		}
		for range 2 {
			if err := s.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantVersion(t, s, latest, latest)
		}
		if err := s.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Two controllers that start at once, here four stores, must both come up, and the migration must run once.
func TestMigrateAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		var group errgroup.Group
		stores := make([]*store.Store, 4)
		for i := range stores {
			stores[i] = open(t, dsn)
		}
		for _, s := range stores {
			group.Go(func() error { return s.Migrate(t.Context()) })
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		var rows int64
		if err := stores[0].DB().Table("schema_migrations").Where("version_id = 1").Count(&rows).Error; err != nil {
			t.Fatal(err)
		}
		if rows != 1 {
			t.Errorf("version 1 was applied %d times", rows)
		}
	})
}

// A DDL statement commits by itself on MariaDB: a migration that was cut off must be able to run again.
func TestMigrateAgainAfterACut(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := s.DB().Exec("DELETE FROM schema_migrations WHERE version_id >= 1").Error
		if err == nil {
			err = s.DB().Exec("DROP TABLE leases").Error
		}
		if err != nil {
			t.Fatal(err)
		}
		wantVersion(t, s, 0, latest)
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantVersion(t, s, latest, latest)
		if ok, err := s.AcquireLease(t.Context(), newID(), "a", 1e9); err != nil || !ok {
			t.Errorf("AcquireLease = %v, %v", ok, err)
		}
	})
}

func TestNewerDatabaseIsLeftAlone(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := s.DB().Exec("INSERT INTO schema_migrations (version_id, is_applied) VALUES (99, true)").Error
		if err != nil {
			t.Fatal(err)
		}
		wantVersion(t, s, 99, latest)
		if err := s.Migrate(t.Context()); err == nil {
			t.Error("Migrate of a newer database succeeded")
		}
	})
}

func TestDialectsHaveTheSameMigrations(t *testing.T) {
	names := map[string][]string{}
	for _, dialect := range []string{"sqlite", "mysql", "postgres"} {
		files, err := fs.Glob(migrations.FS, dialect+"/*.sql")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			names[dialect] = append(names[dialect], path.Base(file))
		}
		if diff := cmp.Diff(names["sqlite"], names[dialect]); diff != "" {
			t.Errorf("sqlite and %s differ (-sqlite +%s):\n%s", dialect, dialect, diff)
		}
	}
}
