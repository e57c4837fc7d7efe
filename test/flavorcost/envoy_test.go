package flavorcost

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/envoybin"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// proxy is a running Envoy with one worker.
type proxy struct {
	address string
	pid     int
}

// start runs an Envoy that serves a member with a flavor until the end of the benchmark.
func start(b *testing.B, flavor map[string]any, member netip.AddrPort) *proxy {
	b.Helper()
	p := launch(b, flavor, member, model.Listener{Protocol: model.ProtocolHTTP})
	testkit.Eventually(b, func() error {
		response, err := http.Get("http://" + p.address + "/")
		if err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("answered %s", response.Status)
		}
		return response.Body.Close()
	})
	return p
}

// launch runs an Envoy with one listener and does not wait for it.
func launch(b *testing.B, flavor map[string]any, member netip.AddrPort, listener model.Listener) *proxy {
	b.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	place := netip.MustParseAddrPort(free.Addr().String())
	require.NoError(b, free.Close())
	listener.ID, listener.ProtocolPort, listener.DefaultPoolID = "web", int(place.Port()), "pool"
	listener.AdminStateUp, listener.ConnectionLimit = true, -1
	resources, err := translate.LoadBalancer(&model.LoadBalancer{
		ID: "lb", VIPAddress: "127.0.0.1", AdminStateUp: true, Flavor: flavor, Listeners: []model.Listener{listener},
		Pools: []model.Pool{{
			ID: "pool", Protocol: model.ProtocolHTTP, LBAlgorithm: model.AlgorithmRoundRobin, AdminStateUp: true,
			Members: []model.Member{{
				ID: "member", Address: member.Addr().String(), ProtocolPort: int(member.Port()), Weight: 1, AdminStateUp: true,
			}},
		}},
	})
	require.NoError(b, err)
	static, err := translate.Static(resources)
	require.NoError(b, err)
	document, err := protojson.Marshal(static)
	require.NoError(b, err)
	file := filepath.Join(b.TempDir(), "envoy.json")
	require.NoError(b, os.WriteFile(file, document, 0o600))
	return &proxy{address: place.String(), pid: envoybin.Start(b, file)}
}
