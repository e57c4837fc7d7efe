package bootstrap

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/test/envoybin"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// TestEnvoyConnects runs the real Envoy against a controller on a unix socket: it proves who it is, takes a rotated
// certificate without a restart, and refuses a controller of another name.
func TestEnvoyConnects(t *testing.T) {
	f := newFiles(t)
	serials := serve(t, f, "controller.test")
	start(t, f)
	expect(t, serials, 2)
	f.rotate(t, 3)
	expect(t, serials, 3)
}

func TestEnvoyRefusesAnotherController(t *testing.T) {
	f := newFiles(t)
	_ = serve(t, f, "other.test")
	start(t, f)
	failed := regexp.MustCompile(`cluster\.octavia-envoy-controller\.ssl\.fail_verify_san: [1-9]`)
	testkit.Eventually(t, func() error {
		if stats := admin(t, f, "/stats"); !failed.MatchString(stats) {
			return fmt.Errorf("no refusal of the name:\n%s", stats)
		}
		return nil
	})
}

// TestEnvoyAdmin looks at what an operator and the agent get to see.
func TestEnvoyAdmin(t *testing.T) {
	f := newFiles(t)
	start(t, f)
	stats := admin(t, f, "/stats")
	for _, wanted := range []string{
		"cluster_manager.warming_clusters: ", "listener_manager.total_listeners_warming: ", "control_plane.connected_state: ",
		"server.uptime: ", "cluster.octavia-envoy-controller.membership_total: 1",
		"cluster.octavia-envoy-controller.upstream_cx_total: ",
		"filesystem.write_total_buffered: ", "filesystem.write_failed: ",
	} {
		if !strings.Contains(stats, wanted) {
			t.Errorf("no %q", wanted)
		}
	}
	for _, unwanted := range []string{"circuit_breakers", "runtime.", "filesystem.reopen_failed", ".internal."} {
		if strings.Contains(stats, unwanted) {
			t.Errorf("%q costs memory and nobody reads it", unwanted)
		}
	}
	info, err := os.Stat(f.options.AdminSocket)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != adminMode {
		t.Errorf("the admin socket has mode %o, want %o", mode, adminMode)
	}
	if t.Failed() {
		t.Log(stats)
	}
}

// serve is a controller that takes connections, notes the serial number of the client's certificate and hangs up.
func serve(t *testing.T, f *files, name string) <-chan int64 {
	t.Helper()
	plain, err := new(net.ListenConfig).Listen(t.Context(), "unix", f.path("xds.sock"))
	if err != nil {
		t.Fatal(err)
	}
	listener := tls.NewListener(plain, f.serverTLS(t, name))
	serials := make(chan int64)
	done := make(chan struct{})
	t.Cleanup(func() {
		close(done)
		_ = listener.Close()
	})
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			secure, ok := connection.(*tls.Conn)
			if ok && secure.HandshakeContext(context.Background()) == nil {
				select {
				case serials <- secure.ConnectionState().PeerCertificates[0].SerialNumber.Int64():
				case <-done:
				}
			}
			_ = connection.Close()
		}
	}()
	return serials
}

func expect(t *testing.T, serials <-chan int64, want int64) {
	t.Helper()
	deadline := time.After(testkit.Patience)
	for {
		select {
		case serial := <-serials:
			if serial == want {
				return
			}
		case <-deadline:
			t.Fatalf("no connection with the certificate %d", want)
		}
	}
}

// start runs Envoy until the end of the test, and returns when its admin interface answers.
func start(t *testing.T, f *files) {
	t.Helper()
	envoybin.Start(t, f.write(t))
	testkit.Eventually(t, func() error {
		connection, err := new(net.Dialer).DialContext(t.Context(), "unix", f.options.AdminSocket)
		if err != nil {
			return fmt.Errorf("the admin interface does not answer: %w", err)
		}
		return connection.Close()
	})
}

func admin(t *testing.T, f *files, path string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", f.options.AdminSocket)
		},
	}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://admin"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
