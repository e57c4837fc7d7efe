package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"gorm.io/driver/mysql"
	"gorm.io/gorm"
)

// mysqlIOTimeout ends a call to a server that went away without a word; it must exceed the longest statement.
const mysqlIOTimeout = 60 * time.Second

func mysqlDialect(u *url.URL) (*dialect, error) {
	config, err := mysqlConfig(u)
	if err != nil {
		return nil, err
	}
	return &dialect{
		name:   "mysql",
		target: target(u),
		goose:  goose.DialectMySQL,
		open: func() (*sql.DB, error) {
			connector, err := mysqldriver.NewConnector(config)
			if err != nil {
				return nil, errors.New("an option of the mysql DSN is not valid")
			}
			return setPool(sql.OpenDB(connector)), nil
		},
		gorm: func(pool *sql.DB) gorm.Dialector { return mysql.New(mysql.Config{Conn: pool}) },
		// InnoDB's default, REPEATABLE READ, locks gaps: inserts for different load balancers would deadlock.
		transaction: []*sql.TxOptions{{Isolation: sql.LevelReadCommitted}},
		locker:      func() (lock.SessionLocker, error) { return mysqlLocker{}, nil },
		hasTable: `SELECT COUNT(*) FROM information_schema.tables ` +
			`WHERE table_schema = DATABASE() AND table_name = ?`,
		clock:    `UTC_TIMESTAMP(6)`,
		later:    `UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND`,
		laterArg: func(d time.Duration) any { return d.Microseconds() },
	}, nil
}

// mysqlConfig understands the options of go-sql-driver and four that OpenStack's configuration files use (PyMySQL):
// unix_socket, ssl_ca, ssl_cert, ssl_key.
func mysqlConfig(u *url.URL) (*mysqldriver.Config, error) {
	options := u.Query()
	take := func(name string) string {
		value := options.Get(name)
		options.Del(name)
		return value
	}
	socket, ca, cert, key := take("unix_socket"), take("ssl_ca"), take("ssl_cert"), take("ssl_key")
	take("charset") // always utf8mb4

	// Options only: an error of the parser cannot quote what it was not given.
	config, err := mysqldriver.ParseDSN("/?" + options.Encode())
	if err != nil {
		return nil, errors.New("an option of the mysql DSN is not valid; " +
			"see https://github.com/go-sql-driver/mysql#parameters")
	}
	config.DBName = strings.TrimPrefix(u.Path, "/")
	if config.DBName == "" {
		return nil, errors.New("the mysql DSN names no database")
	}
	if u.User != nil {
		config.User = u.User.Username()
		config.Passwd, _ = u.User.Password()
	}
	switch {
	case socket != "":
		config.Net, config.Addr = "unix", socket
	case u.Hostname() == "":
		return nil, errors.New("the mysql DSN has neither a host nor the option unix_socket")
	default:
		port := u.Port()
		if port == "" {
			port = "3306"
		}
		config.Net, config.Addr = "tcp", net.JoinHostPort(u.Hostname(), port)
	}
	if ca != "" || cert != "" || key != "" {
		if config.TLS, err = mysqlTLS(ca, cert, key, u.Hostname()); err != nil {
			return nil, err
		}
	}
	config.ParseTime = true
	config.Loc = time.UTC
	// Matched, not changed, rows are what the other databases count.
	config.ClientFoundRows = true
	config.Collation = "utf8mb4_bin"
	if config.Timeout == 0 {
		config.Timeout = connectTimeout
	}
	if config.ReadTimeout == 0 {
		config.ReadTimeout = mysqlIOTimeout
	}
	if config.WriteTimeout == 0 {
		config.WriteTimeout = mysqlIOTimeout
	}
	if config.Params == nil {
		config.Params = map[string]string{}
	}
	// Refuse what does not fit instead of cutting it off, as OpenStack's oslo.db does.
	config.Params["sql_mode"] = "'TRADITIONAL'"
	config.Params["innodb_lock_wait_timeout"] = "10"
	// The driver's own logger writes to stderr; every failure also comes back as an error.
	config.Logger = log.New(io.Discard, "", 0)
	return config, nil
}

func mysqlTLS(caFile, certFile, keyFile, serverName string) (*tls.Config, error) {
	config := &tls.Config{ServerName: serverName, MinVersion: tls.VersionTLS12}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("the mysql DSN's ssl_ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("the mysql DSN's ssl_ca: no certificate in %s", caFile)
		}
	}
	if certFile != "" || keyFile != "" {
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return nil, fmt.Errorf("the mysql DSN's ssl_cert and ssl_key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// mysqlLocker lets one session at a time migrate a database; the server drops the lock with the session.
type mysqlLocker struct{}

// Names of user locks are the server's, not the database's.
const mysqlLockName = `CONCAT('octavia-envoy ', SHA1(DATABASE()))`

// SessionLock waits for the lock.
func (mysqlLocker) SessionLock(ctx context.Context, conn *sql.Conn) error {
	for {
		var got sql.NullInt64
		err := conn.QueryRowContext(ctx, `SELECT GET_LOCK(`+mysqlLockName+`, 5)`).Scan(&got)
		if err != nil {
			return fmt.Errorf("the migration lock: %w", err)
		}
		if !got.Valid {
			return errors.New("the migration lock: GET_LOCK failed")
		}
		if got.Int64 == 1 {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("the migration lock: %w", err)
		}
	}
}

// SessionUnlock gives the lock back.
func (mysqlLocker) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, `DO RELEASE_LOCK(`+mysqlLockName+`)`); err != nil {
		return fmt.Errorf("the migration lock: %w", err)
	}
	return nil
}
