package storetest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"

	_ "github.com/go-sql-driver/mysql" // registers the database/sql driver "mysql"
)

// MariaDB starts a server; Stop it.
func MariaDB() (*Server, error) {
	server, err := find("mariadbd", "/usr/sbin/mariadbd", "/usr/libexec/mariadbd")
	if err != nil {
		return nil, fmt.Errorf("%w: apt-get install mariadb-server", err)
	}
	install, err := find("mariadb-install-db")
	if err != nil {
		return nil, fmt.Errorf("%w: apt-get install mariadb-server", err)
	}
	dir, err := newDir()
	if err != nil {
		return nil, err
	}
	data, socket := filepath.Join(dir, "data"), filepath.Join(dir, "s")
	s := &Server{
		dir: dir, driver: "mysql", quit: syscall.SIGTERM,
		admin: "root@unix(" + socket + ")/mysql",
		dsn:   func(database string) string { return "mysql://root@localhost/" + database + "?unix_socket=" + socket },
	}
	// No option file of this machine has a say. Nothing is synced to disk: the tests kill clients, not the kernel.
	options := []string{
		"--no-defaults", "--datadir=" + data, "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0",
		"--innodb-buffer-pool-size=64M", "--innodb-log-file-size=32M",
	}
	if os.Geteuid() == 0 {
		options = append(options, "--user=root")
	}
	err = setUp(exec.Command(install, slices.Concat(options, []string{
		"--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
	})...))
	if err == nil {
		err = s.start(exec.Command(server, slices.Concat(options, []string{
			"--socket=" + socket, "--skip-networking", "--pid-file=" + filepath.Join(dir, "pid"), "--skip-log-bin",
			"--max-connections=200",
		})...))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start MariaDB: %w", err), s.Stop())
	}
	return s, nil
}

// find returns the first of the programs that exists, a name without a slash on the PATH.
func find(candidates ...string) (string, error) {
	for _, candidate := range candidates {
		if path, err := exec.LookPath(candidate); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no %s found", candidates[0])
}
