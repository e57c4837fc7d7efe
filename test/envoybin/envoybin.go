// Package envoybin finds the real Envoy that tests run.
package envoybin

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// Path returns the Envoy binary: $ENVOY_PATH, else the one that `make envoy` installed in the cache, else envoy on PATH.
// Without any it fails the test and says how to get one: a test that needs Envoy must not pass without it.
func Path(tb testing.TB) string {
	tb.Helper()
	if path := os.Getenv("ENVOY_PATH"); path != "" {
		return path
	}
	if cache, err := os.UserCacheDir(); err == nil {
		if path := filepath.Join(cache, "octavia-envoy", "bin", "envoy"); exists(path) {
			return path
		}
	}
	if path, err := exec.LookPath("envoy"); err == nil {
		return path
	}
	tb.Fatal("no Envoy found: run `make envoy`, or set ENVOY_PATH to an Envoy 1.40 binary")
	return ""
}

// Command is Envoy with a configuration file, whose folder it works in. Flags are further ones.
func Command(tb testing.TB, config string, flags ...string) *exec.Cmd {
	tb.Helper()
	command := exec.Command(Path(tb), append([]string{"--config-path", config, "--use-dynamic-base-id"}, flags...)...)
	command.Dir = filepath.Dir(config)
	return command
}

// Start runs Envoy with one worker until the end of the test, which shows what it said if the test failed.
func Start(tb testing.TB, config string, flags ...string) (pid int) {
	tb.Helper()
	command := Command(tb, config, append([]string{"--concurrency", "1", "--log-level", "warn"}, flags...)...)
	testkit.Start(tb, command)
	return command.Process.Pid
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
