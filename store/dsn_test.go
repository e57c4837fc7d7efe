package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/store"
)

func TestBadDSN(t *testing.T) {
	dir := t.TempDir()
	for dsn, want := range map[string]string{
		"":                                        "no scheme",
		"hunter2":                                 "no scheme",
		"oracle://u:hunter2@h/d":                  "unknown scheme",
		"u:hunter2@tcp(h)/d":                      "unknown scheme",
		"sqlite:":                                 "needs the path",
		"sqlite::memory:":                         "needs the path",
		"sqlite:/x.db?mode=ro":                    "takes no options",
		"sqlite:" + dir + "/none/x.db":            "directory of the database must exist",
		"sqlite:" + dir:                           "is a directory",
		"mysql://u:hunter2%zz@h/d":                "percent-encode",
		"mysql://u:hunter2/x@h/d":                 "percent-encode",
		"mysql://u:4/hunter2@h/d":                 "percent-encode",
		"mysql://u:4#hunter2@h/d":                 "percent-encode",
		"mysql://u:4?hunter2@h/d":                 "percent-encode",
		"mysql:u:hunter2@h/d":                     "percent-encode",
		"mysql://u:hunter2@h":                     "names no database",
		"mysql://u:hunter2@/d":                    "neither a host nor",
		"mysql://u:hunter2@h/d?timeout=soon":      "option of the mysql DSN",
		"mysql://u:hunter2@h/d?ssl_ca=/none/ca":   "ssl_ca",
		"postgres://u:hunter2@h":                  "names no database",
		"postgres://u:hunter2@h/d?sslmode=maybe":  "option of the postgres DSN",
		"postgres://u:hunter2@h:99999999/d":       "option of the postgres DSN",
		"postgres://h/d?password=hunter2&port=no": "option of the postgres DSN",
		// These are well formed, and nobody listens there.
		"mysql://u:hunter2@127.0.0.1:1/d":                 "mysql://u@127.0.0.1:1/d",
		"mysql://u:hunter2@h/d?unix_socket=" + dir + "/s": "no such file",
		"postgres://u:hunter2@127.0.0.1:1/d":              "postgres://u@127.0.0.1:1/d",
		"postgres:///d?password=hunter2&host=" + dir:      "no such file",
	} {
		s, err := store.Open(t.Context(), store.Options{DSN: dsn})
		if err == nil {
			t.Errorf("Open(%q) succeeded", dsn)
			_ = s.Close()
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%q): %v; want it to say %q", dsn, err, want)
		}
		if strings.Contains(strings.ReplaceAll(err.Error(), dir, ""), "hunter2") {
			t.Errorf("Open(%q) prints the password: %v", dsn, err)
		}
	}
}

// The server's answer to a wrong password must not carry it either.
func TestWrongPassword(t *testing.T) {
	if shared.mariadbErr != nil {
		t.Fatal(shared.mariadbErr)
	}
	dsn := strings.Replace(shared.mariadb.DSN(t), "root@", "root:hunter2@", 1)
	_, err := store.Open(t.Context(), store.Options{DSN: dsn})
	if err == nil || !strings.Contains(err.Error(), "Access denied") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("Open: %v", err)
	}
}

func TestSQLiteFiles(t *testing.T) {
	// Characters that mean something in a URI are part of the name.
	path := filepath.Join(t.TempDir(), "a b%20#.db")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s := open(t, "sqlite:"+path)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", path+suffix, info.Mode().Perm())
		}
	}
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "15000",
	} {
		var got string
		if err := s.DB().Raw("PRAGMA " + pragma).Scan(&got).Error; err != nil || got != want {
			t.Errorf("%s = %q, %v; want %q", pragma, got, err, want)
		}
	}
}
