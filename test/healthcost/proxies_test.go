package healthcost

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/envoybin"
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
	return run(tb, lb, exec.Command(envoybin.Path(tb), "--config-path", file, "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error"))
}

// startHAProxy runs one with what Octavia's own templates make of the load balancer.
func startHAProxy(tb testing.TB, lb *model.LoadBalancer) *proxy {
	tb.Helper()
	binary, err := exec.LookPath("haproxy")
	if err != nil {
		binary = "/usr/sbin/haproxy"
	}
	file := filepath.Join(tb.TempDir(), "haproxy.cfg")
	config := "global\n    maxconn 4000\n    nbthread 1\n\n" + render(tb, lb)
	require.NoError(tb, os.WriteFile(file, []byte(config), 0o600))
	return run(tb, lb, exec.Command(binary, "-db", "-f", file))
}

// render returns what Octavia would write for the load balancer, without its section global, which is about an amphora.
func render(tb testing.TB, lb *model.LoadBalancer) string {
	tb.Helper()
	venv, err := exec.Command("../cloud/cloud", "venv").Output()
	require.NoError(tb, err, "Octavia is needed: run `test/cloud/cloud prepare --tests`")
	document, err := json.Marshal(lb)
	require.NoError(tb, err)
	var problem bytes.Buffer
	command := exec.Command(strings.TrimSpace(string(venv))+"/bin/python", "-W", "ignore", "../parity/render.py")
	command.Stdin, command.Stderr = bytes.NewReader(append(document, '\n')), &problem
	line, err := command.Output()
	require.NoError(tb, err, problem.String())
	var answer struct{ Config, Error string }
	require.NoError(tb, json.Unmarshal(line, &answer))
	require.Empty(tb, answer.Error)
	_, config, found := strings.Cut(answer.Config, "\ndefaults\n")
	require.True(tb, found, answer.Config)
	return "defaults\n" + config
}

func run(tb testing.TB, lb *model.LoadBalancer, command *exec.Cmd) *proxy {
	tb.Helper()
	command.Dir, command.Stderr = tb.TempDir(), os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(tb, command.Start())
	stop := sync.OnceFunc(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	tb.Cleanup(stop)
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

// cpu is the time that the threads of the proxy have run.
func (p *proxy) cpu(tb testing.TB) time.Duration {
	tb.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.pid))
	require.NoError(tb, err)
	require.NotEmpty(tb, files)
	var total time.Duration
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(tb, err)
		nanoseconds, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
		require.NoError(tb, err)
		total += time.Duration(nanoseconds)
	}
	return total
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
