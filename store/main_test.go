package store_test

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/octavia-envoy/octavia-envoy/store/storetest"
)

// servers are the databases that all tests of this binary share.
type servers struct {
	mariadb, postgres       *storetest.Server
	mariadbErr, postgresErr error
}

var shared servers

func TestMain(m *testing.M) {
	if dsn := os.Getenv(crashDSN); dsn != "" {
		os.Exit(crashChild(dsn))
	}
	var wg sync.WaitGroup
	wg.Go(func() { shared.mariadb, shared.mariadbErr = storetest.MariaDB() })
	wg.Go(func() { shared.postgres, shared.postgresErr = storetest.PostgreSQL() })
	wg.Wait()
	code := m.Run()
	for _, server := range []*storetest.Server{shared.mariadb, shared.postgres} {
		if err := server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// onEach runs a test on an empty database of every kind. A server that did not start is a failure, not a skip.
func onEach(t *testing.T, test func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, storetest.SQLite(t))
	})
	for _, server := range []struct {
		name string
		*storetest.Server
		err error
	}{{"mariadb", shared.mariadb, shared.mariadbErr}, {"postgres", shared.postgres, shared.postgresErr}} {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			if server.err != nil {
				t.Fatal(server.err)
			}
			test(t, server.DSN(t))
		})
	}
}

func newID() string { return uuid.NewString() }

// clock is a clock that stands still until moved.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock {
	return &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("CET", 3600))}
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}
