// Package testkit is what tests of several packages need. It knows nothing of this project, so that any of them may use it.
package testkit

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"time"
)

// Patience is how long Eventually and Until wait; machines may be busy. It ends a test that would wait for ever, and
// nothing is measured by it.
const Patience = 60 * time.Second

// pollEvery is how long they wait between two looks.
const pollEvery = 5 * time.Millisecond

// Eventually waits until probe returns nil, and fails the test with its last error when it does not within Patience.
func Eventually(tb testing.TB, probe func() error) {
	tb.Helper()
	for deadline := time.Now().Add(Patience); ; time.Sleep(pollEvery) {
		err := probe()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("still after %s: %v", Patience, err)
		}
	}
}

// Until waits until ok, and fails the test, naming what it waited for, when that is not within Patience.
func Until(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	never := errors.New("not yet: " + what)
	Eventually(tb, func() error {
		if ok() {
			return nil
		}
		return never
	})
}

// Run runs a server until stop, which may be called more than once, or the end of the test. An error of it fails the test.
func Run(tb testing.TB, serve func(context.Context) error) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Errorf("serve: %v", err)
		}
	})
	tb.Cleanup(stop)
	return stop
}

// SocketDir is a folder for unix sockets that goes with the test. Its path is short: a socket's has 107 bytes at most, and
// t.TempDir puts the name of the test into it.
func SocketDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "oe") //nolint:usetesting // too long, see above
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
