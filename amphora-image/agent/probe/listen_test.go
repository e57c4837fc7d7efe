package probe

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/process"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// askOver makes a check over a socket, as Envoy does: the path may be longer than addresses may be.
func askOver(ctx context.Context, socket, path, host string) (int, string, error) {
	dir, err := os.Open(filepath.Dir(socket))
	if err != nil {
		return 0, "", err
	}
	defer dir.Close()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", "/proc/self/fd/"+strconv.Itoa(int(dir.Fd()))+"/"+filepath.Base(socket))
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+path, nil)
	if err != nil {
		return 0, "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

const pingSelf = "/PING?timeout_ms=10000"

func isUp(t *testing.T, socket string) {
	t.Helper()
	code, body, err := askOver(t.Context(), socket, pingSelf, "127.0.0.1:80")
	if code != http.StatusOK || body != "up\n" || err != nil {
		t.Fatalf("%d %q, %v", code, body, err)
	}
}

func TestServe(t *testing.T) {
	socket := filepath.Join(t.TempDir(), strings.Repeat("long/", 40), "probe.sock")
	must(t, os.MkdirAll(filepath.Dir(socket), 0o700))
	must(t, os.WriteFile(socket, []byte("of somebody who was killed"), 0o644))
	must(t, os.WriteFile(socket+".new", []byte("half done"), 0o644))
	b := New(Options{Socket: socket})
	must(t, b.Listen())
	stop := testkit.Run(t, b.Run)
	isUp(t, socket)
	code, body, err := askOver(t.Context(), socket, "/PING?timeout_ms=10", "192.0.2.1:80")
	if code != http.StatusServiceUnavailable || strings.Count(body, "\n") != 1 || err != nil {
		t.Errorf("%d %q, %v", code, body, err)
	}
	info, err := os.Stat(socket)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %s", info.Mode())
	}
	// What fails is opened again.
	b.mu.Lock()
	_ = b.listener.Close()
	b.mu.Unlock()
	testkit.Eventually(t, func() error { _, _, err := askOver(t.Context(), socket, pingSelf, "127.0.0.1:80"); return err })
	stop()
	left, err := os.ReadDir(filepath.Dir(socket))
	must(t, err)
	if len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestChecksEndWithTheirRequests stops with checks under way.
func TestChecksEndWithTheirRequests(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "probe.sock")
	stop := testkit.Run(t, New(Options{Socket: socket}).Run)
	testkit.Eventually(t, func() error { _, err := os.Stat(socket); return err })
	asked := make(chan struct{}, 10)
	hangs := serve(t, func(connection net.Conn) {
		asked <- struct{}{}
		_, _ = io.Copy(io.Discard, connection) // returns when the check ends
		asked <- struct{}{}
	})
	const path = "/HTTP?timeout_ms=100000&method=GET&path=/&version=1.0&codes=200"
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	ask := func() { _, _, err := askOver(ctx, socket, path, hangs.String()); ended <- err }
	go ask()
	<-asked
	cancel() // Envoy goes away
	<-asked
	if err := <-ended; err == nil {
		t.Error("answered nobody")
	}
	ctx = t.Context()
	go ask()
	<-asked
	stop()
	<-asked
	if err := <-ended; err == nil {
		t.Error("answered after the end")
	}
}

// hold starts something that has a bridge's socket, as Envoy does.
func hold(t *testing.T, files []*os.File) process.ID {
	t.Helper()
	command := exec.Command("sleep", "1000")
	command.ExtraFiles = files
	must(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	id, err := process.Of(command.Process.Pid)
	must(t, err)
	return id
}

// TestEndsThoughHeld ends while somebody else has the socket, and no check comes any more.
func TestEndsThoughHeld(t *testing.T) {
	b := New(Options{Socket: filepath.Join(t.TempDir(), "probe.sock")})
	must(t, b.Listen())
	hold(t, b.Files())
	stop := testkit.Run(t, b.Run)
	isUp(t, b.options.Socket)
	hold(t, b.Files())
	stop()
}

// kill leaves of a bridge what an agent that is killed leaves.
func kill(b *Bridge) {
	_ = b.listener.Close()
	_ = b.held.Close()
	b.pinger.close()
}

// TestNextAgentTakesOver has checks that are asked for while there is no agent.
func TestNextAgentTakesOver(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "probe.sock")
	first := New(Options{Socket: socket})
	must(t, first.Listen())
	envoy := hold(t, first.Files())
	kill(first)

	type result struct {
		code int
		err  error
	}
	results := make(chan result, 10)
	for range cap(results) {
		go func() {
			code, _, err := askOver(t.Context(), socket, pingSelf, "127.0.0.1:80")
			results <- result{code, err}
		}()
	}
	holders := func() ([]process.ID, error) { return []process.ID{hold(t, nil), envoy}, nil }
	second := New(Options{Socket: socket, Holders: holders})
	must(t, second.Listen())
	stop := testkit.Run(t, second.Run)
	for range cap(results) {
		if got := <-results; got.code != http.StatusOK || got.err != nil {
			t.Errorf("%d, %v", got.code, got.err)
		}
	}
	stop()
}

// TestNextAgentWithItsOwn has an Envoy that holds a socket which is not at the path any more.
func TestNextAgentWithItsOwn(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "probe.sock")
	first := New(Options{Socket: socket})
	must(t, first.Listen())
	envoy := hold(t, first.Files())
	kill(first)
	second := New(Options{Socket: socket}) // could not take it over
	must(t, second.Listen())
	kill(second)
	third := New(Options{Socket: socket, Holders: func() ([]process.ID, error) { return []process.ID{envoy}, nil }})
	must(t, third.Listen())
	stop := testkit.Run(t, third.Run)
	isUp(t, socket)
	stop()
}
