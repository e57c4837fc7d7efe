package healthcost

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/envoybin"
	"github.com/octavia-envoy/octavia-envoy/test/haproxy"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// proxy is a running proxy with one worker.
type proxy struct {
	pid  int
	stop func()
}

// startEnvoy runs one with what the load balancer becomes.
func startEnvoy(tb testing.TB, lb *model.LoadBalancer) *proxy {
	tb.Helper()
	resources, err := translate.LoadBalancer(lb)
	require.NoError(tb, err)
	static, err := translate.Static(resources)
	require.NoError(tb, err)
	document, err := protojson.Marshal(static)
	require.NoError(tb, err)
	file := filepath.Join(tb.TempDir(), "envoy.json")
	require.NoError(tb, os.WriteFile(file, document, 0o600))
	return run(tb, lb, envoybin.Command(tb, file, "--concurrency", "1", "--log-level", "error"))
}

// startHAProxy runs one with what Octavia's own templates make of the load balancer.
func startHAProxy(tb testing.TB, lb *model.LoadBalancer) *proxy {
	tb.Helper()
	config, err := haproxy.StartRenderer(tb).Render(lb)
	require.NoError(tb, err)
	file := filepath.Join(tb.TempDir(), "haproxy.cfg")
	require.NoError(tb, os.WriteFile(file, []byte("global\n    maxconn 4000\n    nbthread 1\n\n"+config), 0o600))
	return run(tb, lb, exec.Command(haproxy.Path(tb), "-db", "-f", file))
}

func run(tb testing.TB, lb *model.LoadBalancer, command *exec.Cmd) *proxy {
	tb.Helper()
	stop := testkit.Start(tb, command)
	for i := range lb.Listeners {
		testkit.Eventually(tb, func() error {
			connection, err := net.Dial("tcp", address(lb.VIPAddress, lb.Listeners[i].ProtocolPort))
			if err != nil {
				return err
			}
			return connection.Close()
		})
	}
	return &proxy{pid: command.Process.Pid, stop: stop}
}

// loadBalancer is one at an address of its own, with listeners and pools of the same names.
func loadBalancer(vip string, pools ...model.Pool) *model.LoadBalancer {
	lb := &model.LoadBalancer{ID: "lb", VIPAddress: vip, AdminStateUp: true, Pools: pools}
	for i := range pools {
		lb.Listeners = append(lb.Listeners, model.Listener{
			ID: "listener-" + pools[i].ID, Protocol: pools[i].Protocol, ProtocolPort: firstPort + i, AdminStateUp: true,
			ConnectionLimit: 1000, DefaultPoolID: pools[i].ID,
			TimeoutClientData: 50_000, TimeoutMemberConnect: 5_000, TimeoutMemberData: 50_000,
		})
	}
	return lb
}

func pool(id, kind string, falls, rises int, members ...model.Member) model.Pool {
	return model.Pool{
		ID: id, Protocol: model.ProtocolTCP, LBAlgorithm: "ROUND_ROBIN", AdminStateUp: true, Members: members,
		HealthMonitor: &model.HealthMonitor{
			ID: "monitor-" + id, AdminStateUp: true, Type: kind, Delay: int(delay / time.Second), Timeout: int(delay / time.Second),
			MaxRetries: rises, MaxRetriesDown: falls, HTTPMethod: "GET", URLPath: "/health", ExpectedCodes: "200",
		},
	}
}

func member(id, address string, port, monitorPort int) model.Member {
	return model.Member{ID: id, Address: address, ProtocolPort: port, MonitorPort: monitorPort, Weight: 1, AdminStateUp: true}
}

// The addresses of this machine alone that proxies and members have; no port of them is anybody else's.
const (
	haproxyVIP, envoyVIP = "127.77.0.1", "127.77.0.2"
	firstPort            = 7000
)

// home is the address of the number-th member.
func home(number int) string {
	return netip.AddrFrom4([4]byte{127, 78, byte(number / 250), byte(1 + number%250)}).String()
}

func address(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
