package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/seal"
)

// TestRekey replaces a key as `db new-key --help` says.
func TestRekey(t *testing.T) {
	folder := t.TempDir()
	dsn, keys := "sqlite:"+filepath.Join(folder, "oe.db"), filepath.Join(folder, "secrets.key")
	newKey := func(id string) string {
		t.Helper()
		line, err := run(t, "db", "new-key", id)
		if err != nil {
			t.Fatal(err)
		}
		return line
	}
	open := func(content string) *store.Store {
		t.Helper()
		if err := os.WriteFile(keys, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		ring, err := seal.Load(keys)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := store.Open(t.Context(), store.Options{DSN: dsn, Keys: ring})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = opened.Close() })
		return opened
	}
	before, after := newKey("before"), newKey("after")
	database := open(before)
	if err := database.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := database.SaveTree(t.Context(), &model.LoadBalancer{ID: "lb", Listeners: []model.Listener{{
		ID: "l", DefaultTLSContainerRef: "https://b", DefaultTLSContainer: &model.TLSContainer{Certificate: "C", PrivateKey: "K"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	rekey := func() string {
		t.Helper()
		out, err := run(t, "db", "rekey", "--store.dsn", dsn, "--store.key_file", keys)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	open(after + before)
	contains(t, rekey(), `1 load balancers were sealed with another key than "after"`)
	contains(t, rekey(), "0 load balancers")
	if err := open(after).CheckKeys(t.Context()); err != nil {
		t.Errorf("without the old key: %v", err)
	}
	if _, err := run(t, "db", "new-key", "two words"); err == nil || !strings.Contains(err.Error(), "cannot be one") {
		t.Errorf("an id with a blank: %v", err)
	}
}
