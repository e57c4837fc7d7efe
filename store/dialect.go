package store

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"gorm.io/gorm"
)

// Pool settings of the databases that are servers.
const (
	maxOpenConnections = 16
	maxIdleConnections = 8
	// connectionLifetime makes connections move back to a node that returned behind a load balancer.
	connectionLifetime = 5 * time.Minute
	connectTimeout     = 10 * time.Second
)

// dialect is all that differs between the databases.
type dialect struct {
	// name is sqlite, mysql or postgres: the folder of its migrations.
	name string
	// target says what is opened, without the password, for errors.
	target string
	goose  goose.Dialect
	open   func() (*sql.DB, error)
	gorm   func(*sql.DB) gorm.Dialector
	// transaction are the options of every transaction that writes.
	transaction []*sql.TxOptions
	oneWriter   bool
	locker      func() (lock.SessionLocker, error)
	// hasTable counts the tables of that name in this database.
	hasTable string
	// clock is the SQL for the database's time, in the format of the time columns.
	clock string
	// later is the SQL for the database's time plus the one argument that laterArg makes of a duration.
	later    string
	laterArg func(time.Duration) any
}

// parseDSN picks the dialect by the scheme. Its errors quote nothing that may hold a password: in a URL that does not
// parse, that may be any part.
func parseDSN(dsn string) (*dialect, error) {
	scheme, rest, found := strings.Cut(dsn, ":")
	if !found {
		return nil, errors.New(`the database DSN has no scheme: want "sqlite:/path/file.db", "mysql://…" or "postgres://…"`)
	}
	if scheme == "sqlite" {
		return sqliteDialect(rest)
	}
	if scheme != "mysql" && scheme != "postgres" && scheme != "postgresql" {
		return nil, errors.New(`the database DSN has an unknown scheme: want "sqlite:", "mysql:" or "postgres:"`)
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, fmt.Errorf("the %s DSN is not a valid URL: percent-encode special characters in user and password "+
			"(/ is %%2F, @ is %%40, # is %%23, %% is %%25)", scheme)
	}
	// "mysql://user:pass/word@host/db" parses, with the rest of the password in the path.
	if u.Opaque != "" || strings.Contains(u.Path, "@") || strings.Contains(u.Fragment, "@") || u.RawFragment != "" ||
		u.Fragment != "" || strings.Contains(u.RawQuery, "@") {
		return nil, fmt.Errorf("the %s DSN is not of the form %s://user:password@host:port/database?options: "+
			"percent-encode special characters in user and password", scheme, scheme)
	}
	if scheme == "mysql" {
		return mysqlDialect(u)
	}
	return postgresDialect(u)
}

// target is the URL without password and options.
func target(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	if u.User != nil {
		shown.User = url.User(u.User.Username())
	}
	return shown.String()
}

func setPool(pool *sql.DB) *sql.DB {
	pool.SetMaxOpenConns(maxOpenConnections)
	pool.SetMaxIdleConns(maxIdleConnections)
	pool.SetConnMaxLifetime(connectionLifetime)
	return pool
}
