// Package envoybin finds the real Envoy that tests run.
package envoybin

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
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

// Start runs Envoy with a configuration file until the end of the test, which shows what it said if the test failed.
// Flags are further ones. Its working directory is that of the file.
func Start(tb testing.TB, config string, flags ...string) {
	tb.Helper()
	var output bytes.Buffer
	command := exec.Command(Path(tb), append([]string{
		"--config-path", config, "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warn",
	}, flags...)...)
	command.Dir = filepath.Dir(config)
	command.Stdout, command.Stderr = &output, &output
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if tb.Failed() {
			tb.Logf("Envoy said:\n%s", output.String())
		}
	})
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
