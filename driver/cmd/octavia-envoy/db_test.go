package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestMigrate(t *testing.T) {
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "oe.db")
	migrate := func(args ...string) (string, error) {
		return run(t, append([]string{"db", "migrate", "--store.dsn", dsn}, args...)...)
	}
	if out, err := migrate("--check"); err == nil || !strings.Contains(err.Error(), "run octavia-envoy db migrate") {
		t.Errorf("--check of an empty database: %v\n%s", err, out)
	}
	out, err := migrate()
	if err != nil {
		t.Fatal(err)
	}
	contains(t, out, "the database went from version 0 to ")
	if out, err = migrate("--check"); err != nil {
		t.Errorf("--check afterwards: %v", err)
	}
	contains(t, out, "nothing to do")
	if _, err := migrate(); err != nil {
		t.Errorf("the second time: %v", err)
	}
}

func TestMigrateRefusesAnUnknownDatabase(t *testing.T) {
	_, err := run(t, "db", "migrate", "--store.dsn", "oracle:secret")
	if err == nil || !strings.Contains(err.Error(), `scheme "oracle"`) || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}
