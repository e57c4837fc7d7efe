package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	_ "modernc.org/sqlite" // registers the database/sql driver "sqlite", which needs no C compiler
)

// busyTimeout is how long SQLite itself waits for another connection's lock.
const busyTimeout = 15 * time.Second

// sqliteDriver is the name under which modernc.org/sqlite registers itself. gorm's own default is the cgo driver.
const sqliteDriver = "sqlite"

func sqliteDialect(path string) (*dialect, error) {
	path = strings.TrimPrefix(path, "//") // sqlite:///path, as SQLAlchemy has it
	if path == "" || strings.HasPrefix(path, ":") || strings.ContainsRune(path, '?') {
		return nil, errors.New(`the sqlite DSN needs the path of a file and takes no options: "sqlite:/path/file.db"`)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("the sqlite DSN: %w", err)
	}
	return &dialect{
		name:   "sqlite",
		target: "sqlite:" + path,
		goose:  goose.DialectSQLite3,
		open:   func() (*sql.DB, error) { return openSQLite(path) },
		gorm: func(pool *sql.DB) gorm.Dialector {
			return &sqlite.Dialector{DriverName: sqliteDriver, Conn: pool}
		},
		oneWriter: true,
		locker:    func() (lock.SessionLocker, error) { return &fileLocker{path: path + ".lock"}, nil },
		hasTable:  `SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = ?`,
		clock:     `strftime('%Y-%m-%d %H:%M:%f000', 'now')`,
		later:     `strftime('%Y-%m-%d %H:%M:%f000', 'now', ?)`,
		laterArg: func(d time.Duration) any {
			return "+" + strconv.FormatFloat(d.Seconds(), 'f', 6, 64) + " seconds"
		},
	}, nil
}

func openSQLite(path string) (*sql.DB, error) {
	if info, err := os.Stat(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("the directory of the database must exist: %w", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", filepath.Dir(path))
	}
	// SQLite gives its -wal and -shm files the mode of the database.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the database file: %w", err)
	}
	err = errors.Join(file.Chmod(0o600), file.Close())
	if err != nil {
		return nil, fmt.Errorf("the database file: %w", err)
	}
	options := url.Values{
		// A transaction that reads first and then writes would fail at once, without waiting, if another wrote between.
		"_txlock":       {"immediate"},
		"_busy_timeout": {strconv.FormatInt(busyTimeout.Milliseconds(), 10)},
		"_journal_mode": {"WAL"},
		// NORMAL survives a killed process but not a power cut, and an accepted call is a promise.
		"_synchronous":  {"FULL"},
		"_foreign_keys": {"on"},
	}
	name := url.URL{Scheme: "file", Path: path, RawQuery: options.Encode()}
	pool, err := sql.Open(sqliteDriver, name.String())
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(maxIdleConnections)
	pool.SetMaxIdleConns(maxIdleConnections)
	return pool, nil
}

// fileLocker lets one process at a time migrate a SQLite file. SQLite's write lock is not enough: goose reads the
// version before it begins the transaction of a migration. The kernel drops the lock when the process dies. It is on a
// file of its own, because closing any descriptor of the database would drop SQLite's own locks on it (POSIX fcntl).
type fileLocker struct {
	path string
	file *os.File
}

// SessionLock waits for the lock.
func (l *fileLocker) SessionLock(ctx context.Context, _ *sql.Conn) error {
	file, err := os.OpenFile(l.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("the migration lock: %w", err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			l.file = file
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return errors.Join(fmt.Errorf("the migration lock %s: %w", l.path, err), file.Close())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("the migration lock %s: %w", l.path, context.Cause(ctx)), file.Close())
		}
	}
}

// SessionUnlock gives the lock back.
func (l *fileLocker) SessionUnlock(context.Context, *sql.Conn) error { return l.file.Close() }
