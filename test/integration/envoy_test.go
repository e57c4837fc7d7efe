package integration

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/test/envoybin"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/bootstrap"
)

// envoy is a real Envoy as an amphora runs it.
type envoy struct {
	t      *testing.T
	admin  *http.Client
	log    string
	cancel func()
}

// startEnvoy starts an Envoy with the certificate of the amphora id. nodeID is what its bootstrap claims to be.
func startEnvoy(t *testing.T, ca *testkit.Authority, id, nodeID, xds string) *envoy {
	t.Helper()
	dir := testkit.SocketDir(t)
	socket := filepath.Join(dir, "admin.sock")
	e := &envoy{t: t, log: filepath.Join(dir, "log"), admin: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}}
	config := writeBootstrap(t, dir, nodeID, socket, xds, writeFiles(t, ca, dir, "octavia-envoy://amphora/"+id))
	log, err := os.Create(e.log)
	must(t, err)

	cmd := exec.Command(envoybin.Path(t), "--config-path", config, "--use-dynamic-base-id", "--concurrency", "2",
		"--log-level", "info", "--drain-time-s", "2", "--drain-strategy", "immediate")
	cmd.Dir = dir // monitors write a log into it
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(t, cmd.Start())
	stopped := false
	e.cancel = func() {
		if stopped {
			return
		}
		stopped = true
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		e.admin.CloseIdleConnections()
		_ = log.Close()
	}
	t.Cleanup(func() {
		e.cancel()
		if t.Failed() {
			text, _ := os.ReadFile(e.log)
			t.Logf("envoy %s:\n%s", id, text[max(0, len(text)-6000):])
		}
	})
	testkit.Until(t, "Envoy's admin socket", func() bool { _, err := e.get(t.Context(), "/ready"); return err == nil })
	return e
}

func (e *envoy) get(ctx context.Context, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://admin"+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := e.admin.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// stat is the value of one of Envoy's counters or gauges; 0 when there is none of that name.
func (e *envoy) stat(name string) int {
	e.t.Helper()
	text, err := e.get(e.t.Context(), "/stats?filter=^"+strings.ReplaceAll(name, ".", `\.`)+"$")
	must(e.t, err)
	_, value, found := strings.Cut(strings.TrimSpace(text), ": ")
	if !found {
		return 0
	}
	n, err := strconv.Atoi(value)
	must(e.t, err)
	return n
}

// warming asks Envoy's admin socket, as the amphora's agent does.
type warming struct{ envoy *envoy }

// Warm waits until neither a cluster nor a listener is warming.
func (w *warming) Warm(ctx context.Context, _ string) error {
	for {
		text, err := w.envoy.get(ctx, `/stats?filter=^(cluster_manager\.warming_clusters|listener_manager\.total_listeners_warming)$`)
		if err == nil && strings.Contains(text, "warming_clusters: 0\n") && strings.Contains(text, "listeners_warming: 0\n") {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("still warming: %q: %w", text, context.Cause(ctx))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// writeBootstrap writes what an amphora's Envoy starts with and returns its path. xds is host:port or the path of a socket.
func writeBootstrap(t *testing.T, dir, nodeID, admin, xds string, tls files) string {
	t.Helper()
	controller := "unix:" + xds
	if _, _, err := net.SplitHostPort(xds); err == nil {
		controller = "tcp:" + xds
	}
	options := bootstrap.Options{
		NodeID: nodeID, Cluster: "lb", Controller: controller, ServerName: serverName,
		CertFile: tls.cert, KeyFile: tls.key, CAFile: tls.ca, AdminSocket: admin,
	}
	written, err := bootstrap.Secrets(options)
	must(t, err)
	config := filepath.Join(dir, "envoy.json")
	written[config], err = bootstrap.Envoy(options)
	must(t, err)
	for path, content := range written {
		must(t, os.WriteFile(path, content, 0o600))
	}
	return config
}

// fetchTimeouts counts how often Envoy gave up waiting for a resource.
func (e *envoy) fetchTimeouts() int {
	e.t.Helper()
	text, err := os.ReadFile(e.log)
	must(e.t, err)
	return strings.Count(string(text), "initial fetch timed out")
}
