package store_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
)

// lockFile takes the SQLite file as an operator's sqlite3 or a backup would; the function gives it back.
func lockFile(t *testing.T, dsn string) (unlock func()) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+strings.TrimPrefix(dsn, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := db.Conn(t.Context())
	if err == nil {
		_, err = conn.ExecContext(t.Context(), "BEGIN EXCLUSIVE")
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		_, err := conn.ExecContext(context.Background(), "COMMIT")
		if err := errors.Join(err, conn.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	}
}

func TestLockedSQLiteLosesNothing(t *testing.T) {
	dsn := storetest.SQLite(t)
	s := storetest.Open(t, dsn)
	unlock := lockFile(t, dsn)
	lb := newID()
	errs := make(chan error, 3)
	for range cap(errs) {
		go func() {
			_, err := s.AddIntent(t.Context(), model.Intent{LoadBalancerID: lb}, store.Audit{})
			errs <- err
		}()
	}
	select {
	case err := <-errs:
		t.Errorf("AddIntent returned %v while the database was locked", err)
	case <-time.After(2 * time.Second):
	}
	// Readers are not in anybody's way.
	if work, err := s.LoadBalancersWithWork(t.Context()); err != nil || len(work) != 0 {
		t.Errorf("LoadBalancersWithWork = %v, %v", work, err)
	}
	unlock()
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if intents, err := s.Intents(t.Context(), lb); err != nil || len(intents) != cap(errs) {
		t.Errorf("Intents = %v, %v; want %d", intents, err, cap(errs))
	}
}

// Waiting for the lock ends with the caller's patience, not with SQLite's 15 s: both the call that waits inside SQLite
// and the one that waits for it.
func TestLockedSQLiteEndsWithTheContext(t *testing.T) {
	dsn := storetest.SQLite(t)
	s := storetest.Open(t, dsn)
	unlock := lockFile(t, dsn)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	errs := make(chan error, 2)
	for range cap(errs) {
		go func() {
			_, err := s.AddIntent(ctx, model.Intent{LoadBalancerID: newID()}, store.Audit{})
			errs <- err
		}()
	}
	for range cap(errs) {
		select {
		case err := <-errs:
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("AddIntent: %v, want the context's error", err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("AddIntent waits on")
		}
	}
	unlock()
	// The connection that was interrupted is of use, or replaced.
	addIntent(t, s, model.Intent{LoadBalancerID: newID()})
}
