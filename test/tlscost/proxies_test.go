package tlscost

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/envoybin"
	"github.com/octavia-envoy/octavia-envoy/test/haproxy"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// octaviaCiphers is default_listener_ciphers of octavia.conf, without those of TLS 1.3.
const octaviaCiphers = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:" +
	"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:" +
	"DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305"

// proxy is a running proxy with one worker.
type proxy struct {
	address string
	pid     int
}

// startEnvoy runs one with what a listener with Octavia's defaults becomes; change changes that.
func startEnvoy(tb testing.TB, certificate pki.Certificate, change ...func(*translate.Resources)) *proxy {
	tb.Helper()
	place := free(tb)
	resources, err := translate.LoadBalancer(&model.LoadBalancer{
		ID: "lb", VIPAddress: "127.0.0.1", AdminStateUp: true, Listeners: []model.Listener{{
			ID: "l", Protocol: model.ProtocolTerminatedHTTPS, ProtocolPort: int(place.Port()), AdminStateUp: true, ConnectionLimit: -1,
			DefaultTLSContainerRef: "https://barbican/1", DefaultTLSContainer: certificate.Container(),
			TLSVersions: []string{"TLSv1.2", "TLSv1.3"}, TLSCiphers: octaviaCiphers, ALPNProtocols: []string{"h2", "http/1.1", "http/1.0"},
		}},
	})
	require.NoError(tb, err)
	for _, some := range change {
		some(resources)
	}
	static, err := translate.Static(resources)
	require.NoError(tb, err)
	document, err := protojson.Marshal(static)
	require.NoError(tb, err)
	file := filepath.Join(tb.TempDir(), "envoy.json")
	require.NoError(tb, os.WriteFile(file, document, 0o600))
	return run(tb, place, envoybin.Command(tb, file, "--concurrency", "1", "--log-level", "error"))
}

// startHAProxy runs one whose bind line is that of Octavia's template.
func startHAProxy(tb testing.TB, certificate pki.Certificate, environment ...string) *proxy {
	tb.Helper()
	place, folder := free(tb), tb.TempDir()
	bundle, list := filepath.Join(folder, "c.pem"), filepath.Join(folder, "crt-list")
	require.NoError(tb, os.WriteFile(bundle, []byte(certificate.PEM()+certificate.KeyPEM()), 0o600))
	require.NoError(tb, os.WriteFile(list, []byte(bundle+"\n"), 0o600))
	file := filepath.Join(folder, "haproxy.cfg")
	require.NoError(tb, os.WriteFile(file, fmt.Appendf(nil, `global
    maxconn 5000
    nbthread 1
defaults
    mode http
    timeout client 50s
    timeout connect 5s
    timeout server 50s
frontend l
    bind %s ssl crt-list %s ciphers %s no-sslv3 no-tlsv10 no-tlsv11 alpn h2,http/1.1,http/1.0
`, place, list, octaviaCiphers), 0o600))
	command := exec.Command(haproxy.Path(tb), "-db", "-f", file)
	command.Env = append(os.Environ(), environment...)
	return run(tb, place, command)
}

func free(tb testing.TB) netip.AddrPort {
	tb.Helper()
	held, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	require.NoError(tb, held.Close())
	return netip.MustParseAddrPort(held.Addr().String())
}

func run(tb testing.TB, place netip.AddrPort, command *exec.Cmd) *proxy {
	tb.Helper()
	testkit.Start(tb, command)
	testkit.Eventually(tb, func() error {
		connection, err := net.Dial("tcp", place.String())
		if err != nil {
			return err
		}
		return connection.Close()
	})
	return &proxy{address: place.String(), pid: command.Process.Pid}
}
