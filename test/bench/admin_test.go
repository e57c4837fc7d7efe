package bench

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/driver/certs"
	"github.com/octavia-envoy/octavia-envoy/test/envoybin"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/bootstrap"
)

// admin asks an Envoy at its admin socket, as the amphora's agent does.
type admin struct{ client *http.Client }

func newAdmin(socket string) *admin {
	return &admin{&http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}}
}

func (a *admin) get(ctx context.Context, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://admin"+path, nil)
	if err != nil {
		return "", err
	}
	response, err := a.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// realEnvoy is an Envoy as an amphora runs it.
type realEnvoy struct {
	*admin
	pid int
}

// startRealEnvoy runs one until the end of the benchmark. Its admin socket is socket.
func startRealEnvoy(tb testing.TB, authority *certs.Authority, address, node, socket string, workers int) *realEnvoy {
	tb.Helper()
	dir := testkit.SocketDir(tb)
	path := func(name string) string { return filepath.Join(dir, name) }
	issued, err := authority.AmphoraCredentials(node, 0)
	require.NoError(tb, err)
	options := bootstrap.Options{
		NodeID: node, Cluster: "lb", Controller: "tcp:" + address, ServerName: serverName,
		CertFile: path("cert.pem"), KeyFile: path("key.pem"), CAFile: path("ca.pem"), AdminSocket: socket,
	}
	files, err := bootstrap.Secrets(options)
	require.NoError(tb, err)
	files[options.CertFile], files[options.KeyFile], files[options.CAFile] = issued.Certificate, issued.Key, issued.CA
	files[path("envoy.json")], err = bootstrap.Envoy(options)
	require.NoError(tb, err)
	for file, content := range files {
		require.NoError(tb, os.WriteFile(file, content, 0o600))
	}
	e := &realEnvoy{admin: newAdmin(socket), pid: runEnvoy(tb, path("envoy.json"), workers)}
	tb.Cleanup(e.client.CloseIdleConnections)
	return e
}

// startStatic runs an Envoy with one worker that needs no controller.
func startStatic(tb testing.TB, file string) (pid int) {
	tb.Helper()
	return runEnvoy(tb, file, 1)
}

func runEnvoy(tb testing.TB, file string, workers int) (pid int) {
	tb.Helper()
	command := envoybin.Command(tb, file, "--concurrency", strconv.Itoa(workers), "--log-level", "error")
	testkit.Start(tb, command)
	return command.Process.Pid
}

// live waits until Envoy serves.
func (e *realEnvoy) live(tb testing.TB) {
	tb.Helper()
	testkit.Until(tb, "Envoy is live", func() bool {
		text, err := e.get(tb.Context(), "/ready")
		return err == nil && text == "LIVE\n"
	})
}
