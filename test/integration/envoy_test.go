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
)

// envoy is a real Envoy as an amphora runs it.
type envoy struct {
	t      *testing.T
	admin  *http.Client
	log    string
	cancel func()
}

// startEnvoy starts an Envoy with the certificate of the amphora id. nodeID is what its bootstrap claims to be.
func startEnvoy(t *testing.T, ca *authority, id, nodeID, xds string) *envoy {
	t.Helper()
	dir := tempDir(t)
	socket := filepath.Join(dir, "admin.sock")
	e := &envoy{t: t, log: filepath.Join(dir, "log"), admin: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}}
	bootstrap := bootstrapJSON(nodeID, socket, xds, ca.write(t, dir, "octavia-envoy://amphora/"+id))
	config := filepath.Join(dir, "envoy.json")
	must(t, os.WriteFile(config, []byte(bootstrap), 0o600))
	log, err := os.Create(e.log)
	must(t, err)

	cmd := exec.Command(envoybin.Path(t), "--config-path", config, "--use-dynamic-base-id", "--concurrency", "2",
		"--log-level", "info", "--drain-time-s", "2", "--drain-strategy", "immediate")
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
	eventually(t, "Envoy's admin socket", func() bool { _, err := e.get("/ready"); return err == nil })
	return e
}

func (e *envoy) get(path string) (string, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://admin"+path, nil)
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
	text, err := e.get("/stats?filter=^" + strings.ReplaceAll(name, ".", `\.`) + "$")
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
		text, err := w.envoy.get(`/stats?filter=^(cluster_manager\.warming_clusters|listener_manager\.total_listeners_warming)$`)
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

// bootstrapJSON is the least that Envoy needs to reach the controller. xds is host:port or the path of a socket.
func bootstrapJSON(nodeID, admin, xds string, tls files) string {
	address := fmt.Sprintf(`{"pipe": {"path": %q}}`, xds)
	if host, port, err := net.SplitHostPort(xds); err == nil {
		address = fmt.Sprintf(`{"socket_address": {"address": %q, "port_value": %s}}`, host, port)
	}
	return fmt.Sprintf(`{
  "node": {"id": %q, "cluster": "test"},
  "admin": {"address": {"pipe": {"path": %q}}},
  "dynamic_resources": {
    "ads_config": {"api_type": "DELTA_GRPC", "transport_api_version": "V3",
      "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}]},
    "lds_config": {"ads": {}, "resource_api_version": "V3"},
    "cds_config": {"ads": {}, "resource_api_version": "V3"}},
  "static_resources": {"clusters": [{
    "name": "xds", "type": "STATIC", "connect_timeout": "5s",
    "load_assignment": {"cluster_name": "xds", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": %s}}]}]},
    "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": {
      "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
      "sni": %q,
      "common_tls_context": {
        "tls_certificates": [{"certificate_chain": {"filename": %q}, "private_key": {"filename": %q}}],
        "validation_context": {"trusted_ca": {"filename": %q},
          "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": %q}}]}}}},
    "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
      "explicit_http_config": {"http2_protocol_options": {
        "connection_keepalive": {"interval": "10s", "timeout": "5s"}}}}}}]}}`,
		nodeID, admin, address, serverName, tls.cert, tls.key, tls.ca, serverName)
}
