package store

import (
	"database/sql"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
)

func postgresDialect(u *url.URL) (*dialect, error) {
	config, err := postgresConfig(u)
	if err != nil {
		return nil, err
	}
	return &dialect{
		name:   "postgres",
		target: target(u),
		goose:  goose.DialectPostgres,
		open:   func() (*sql.DB, error) { return setPool(stdlib.OpenDB(*config)), nil },
		gorm:   func(pool *sql.DB) gorm.Dialector { return postgres.New(postgres.Config{Conn: pool}) },
		// Row locks order what must be in order; whatever default the server has must not change that.
		transaction: []*sql.TxOptions{{Isolation: sql.LevelReadCommitted}},
		locker: func() (lock.SessionLocker, error) {
			return lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
		},
		hasTable: `SELECT COUNT(*) FROM information_schema.tables ` +
			`WHERE table_schema = CURRENT_SCHEMA() AND table_name = ?`,
		clock:    `clock_timestamp()`,
		later:    `clock_timestamp() + ?::bigint * INTERVAL '1 microsecond'`,
		laterArg: func(d time.Duration) any { return d.Microseconds() },
	}, nil
}

// postgresConfig takes all options that libpq and pgx take.
func postgresConfig(u *url.URL) (*pgx.ConnConfig, error) {
	options := u.Query()
	password := options.Get("password")
	options.Del("password")
	if strings.TrimPrefix(u.Path, "/") == "" && options.Get("dbname") == "" && options.Get("service") == "" {
		return nil, errors.New("the postgres DSN names no database")
	}
	bare := *u
	bare.RawQuery = options.Encode()
	if u.User != nil {
		if given, ok := u.User.Password(); ok {
			password = given
		}
		bare.User = url.User(u.User.Username())
	}
	// An error of the parser quotes the DSN: it gets one without the password, and even so it stays here.
	config, err := pgx.ParseConfig(bare.String())
	if err != nil {
		return nil, errors.New("an option of the postgres DSN is not valid; " +
			"see https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS")
	}
	if password != "" {
		config.Password = password
	}
	if config.ConnectTimeout == 0 || options.Get("connect_timeout") == "" {
		config.ConnectTimeout = connectTimeout
	}
	// Times go to the server as text without a zone.
	config.RuntimeParams["timezone"] = "UTC"
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "octavia-envoy"
	}
	return config, nil
}
