package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	startLimit = 60 * time.Second
	stopLimit  = 20 * time.Second
)

// Server is a private database server.
type Server struct {
	dir    string
	driver string
	// admin is the database/sql DSN of the server's own database; dsn makes a store's DSN of a database's name.
	admin string
	dsn   func(database string) string
	// quit is the signal that ends the server at once but in order.
	quit   syscall.Signal
	cmd    *exec.Cmd
	exited chan struct{}
	output lockedBuffer
}

// DSN makes an empty database and returns the store's DSN for it. The database goes with the server: dropping it would
// cost a checkpoint a test.
func (s *Server) DSN(tb testing.TB) string {
	tb.Helper()
	name := "t" + strings.ToLower(rand.Text()[:12])
	if err := s.exec("CREATE DATABASE " + name); err != nil {
		tb.Fatal(err)
	}
	return s.dsn(name)
}

func (s *Server) exec(statement string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	db, err := sql.Open(s.driver, s.admin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, statement)
	return err
}

// start runs the server and waits until it answers.
func (s *Server) start(cmd *exec.Cmd) error {
	s.cmd, s.exited = cmd, make(chan struct{})
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, &s.output, &s.output
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	// A test binary that panics or runs out of time does not get to Stop.
	cmd.SysProcAttr.Pdeathsig = s.quit
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = cmd.Wait() // how it ended shows in its output
		close(s.exited)
	}()
	limit := time.After(startLimit)
	for {
		err := s.exec("SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("%s ended:\n%s", cmd.Path, s.output.String())
		case <-limit:
			return fmt.Errorf("%s does not answer: %w\n%s", cmd.Path, err, s.output.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop ends the server and removes its files. A nil server is none.
func (s *Server) Stop() error {
	if s == nil {
		return nil
	}
	var err error
	if s.cmd != nil && s.cmd.Process != nil {
		err = s.cmd.Process.Signal(s.quit)
		select {
		case <-s.exited:
		case <-time.After(stopLimit):
			err = errors.Join(err, s.cmd.Process.Kill())
			<-s.exited
		}
		if errors.Is(err, os.ErrProcessDone) {
			err = fmt.Errorf("%s ended by itself:\n%s", s.cmd.Path, s.output.String())
		}
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// newDir makes a directory whose name leaves room for a socket: an address has 108 bytes, and $TMPDIR may be long.
func newDir() (string, error) { return os.MkdirTemp("/tmp", "oe-store-") }

// setUp runs a program that makes the server's files.
func setUp(cmd *exec.Cmd) error {
	output, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd.Path, err, bytes.TrimSpace(output))
	}
	return nil
}
