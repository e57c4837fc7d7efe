package integration

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/envoyadmin"
	"github.com/octavia-envoy/octavia-envoy/test/envoybin"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	ready "github.com/octavia-envoy/octavia-envoy/test/warming"
	"github.com/octavia-envoy/octavia-envoy/xds/bootstrap"
)

// envoy is a real Envoy as an amphora runs it.
type envoy struct {
	t      *testing.T
	admin  *http.Client
	socket string // of admin
	log    string
	cancel func()
}

// startEnvoy starts an Envoy with the certificate of the amphora id. nodeID is what its bootstrap claims to be.
func startEnvoy(t *testing.T, ca *testkit.Authority, id, nodeID, xds string) *envoy {
	t.Helper()
	dir := testkit.SocketDir(t)
	socket := filepath.Join(dir, "admin.sock")
	e := &envoy{t: t, socket: socket, log: filepath.Join(dir, "log"), admin: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}}
	config := writeBootstrap(t, dir, nodeID, socket, xds, writeFiles(t, ca, dir, "octavia-envoy://amphora/"+id))
	log, err := os.Create(e.log)
	must(t, err)

	cmd := envoybin.Command(t, config, "--concurrency", "2", "--log-level", "info",
		"--drain-time-s", "2", "--drain-strategy", "immediate")
	cmd.Stdout, cmd.Stderr = log, log
	stop := testkit.Start(t, cmd)
	e.cancel = sync.OnceFunc(func() {
		stop()
		e.admin.CloseIdleConnections()
		_ = log.Close()
	})
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
func (w *warming) Warm(ctx context.Context, node string) error {
	return ready.Envoy{Admin: envoyadmin.New(w.envoy.socket)}.Warm(ctx, node)
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
