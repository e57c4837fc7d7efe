package storetest

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	_ "github.com/jackc/pgx/v5/stdlib" // registers the database/sql driver "pgx"
)

// PostgreSQL starts a server; Stop it. It refuses to run as root, and then runs as the user postgres.
func PostgreSQL() (*Server, error) {
	const hint = "apt-get install postgresql"
	// Debian keeps the programs of each version off the PATH.
	installed, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return nil, err
	}
	candidates := []string{"postgres"}
	for _, path := range installed {
		candidates = append([]string{path}, candidates...)
	}
	server, err := find(candidates...)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, hint)
	}
	initdb, err := find(filepath.Join(filepath.Dir(server), "initdb"), "initdb")
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, hint)
	}
	dir, err := newDir()
	if err != nil {
		return nil, err
	}
	address := func(database string) string {
		return "postgres:///" + database + "?" + url.Values{"host": {dir}, "user": {"postgres"}}.Encode()
	}
	s := &Server{dir: dir, driver: "pgx", quit: syscall.SIGQUIT, admin: address("postgres"), dsn: address}
	err = s.startPostgreSQL(initdb, server)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start PostgreSQL: %w", err), s.Stop())
	}
	return s, nil
}

func (s *Server) startPostgreSQL(initdb, server string) error {
	as, err := unprivileged(s.dir)
	if err != nil {
		return err
	}
	data := filepath.Join(s.dir, "data")
	initialize := exec.Command(initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	initialize.Dir, initialize.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: as}
	if err := setUp(initialize); err != nil {
		return err
	}
	cmd := exec.Command(server, "-D", data, "-k", s.dir, "-c", "listen_addresses=", "-c", "fsync=off",
		"-c", "full_page_writes=off", "-c", "max_connections=200", "-c", "TimeZone=Asia/Tokyo")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	return s.start(cmd)
}

// unprivileged gives the directory to the user postgres and returns that user, if this process is root's.
func unprivileged(dir string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root: %w", err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	if err := os.Chown(dir, int(uid), int(gid)); err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
