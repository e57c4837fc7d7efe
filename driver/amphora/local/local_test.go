package local_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/google/uuid"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/credentials"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/process"
	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
	"github.com/octavia-envoy/octavia-envoy/driver/amphora"
	"github.com/octavia-envoy/octavia-envoy/driver/amphora/amphoratest"
	"github.com/octavia-envoy/octavia-envoy/driver/amphora/local"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/network"
	plumbing "github.com/octavia-envoy/octavia-envoy/driver/network/local"
	"github.com/octavia-envoy/octavia-envoy/test/envoybin"
	"github.com/octavia-envoy/octavia-envoy/xds/server"
)

var agentBinary string

func TestMain(m *testing.M) {
	amphoratest.Main(m, func(path string) { agentBinary = path })
}

// neutron is one network with one subnet and a port for each load balancer. The real one is in driver/network's tests.
type neutron struct {
	network, subnet string
	mu              sync.Mutex
	ports           map[string]network.PortInfo
}

func (n *neutron) PortInfo(_ context.Context, id string) (network.PortInfo, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	port, ok := n.ports[id]
	if !ok {
		return port, network.ErrNotFound
	}
	return port, nil
}

func (n *neutron) SubnetInfo(context.Context, string) (network.SubnetInfo, error) {
	return network.SubnetInfo{
		ID: n.subnet, NetworkID: n.network, CIDR: netip.MustParsePrefix("198.51.100.0/24"),
		Gateway: netip.MustParseAddr("198.51.100.1"), MTU: 1450,
	}, nil
}

// cloud is a controller with the local drivers, on a network of its own.
type cloud struct {
	*amphoratest.Controller
	t        *testing.T
	neutron  *neutron
	compute  *local.Compute
	plumber  *plumbing.Plumber
	manager  *amphora.Manager
	stateDir string
	runDir   string
	netDir   string
	now      func() time.Time
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("network namespaces need root: run the tests as root")
	}
	c := &cloud{
		Controller: amphoratest.New(t), t: t,
		neutron: &neutron{network: uuid.NewString(), subnet: uuid.NewString(), ports: map[string]network.PortInfo{}},
	}
	c.stateDir, c.runDir, c.netDir = filepath.Join(c.Dir, "s"), filepath.Join(c.Dir, "r"), filepath.Join(c.Dir, "n")
	c.Start()
	c.wire()
	return c
}

// wire makes drivers and manager anew, as a controller that starts does.
func (c *cloud) wire() {
	c.t.Helper()
	var err error
	c.compute, err = local.New(local.Options{
		StateDir: c.stateDir, RunDir: c.runDir, AgentPath: agentBinary, EnvoyPath: envoybin.Path(c.t),
		Controller: c.Address(), Namespace: plumbing.NamespacePath, Enter: plumbing.InNamespace, Issuer: c.Authority,
		Concurrency: 1, HeartbeatMS: 100, Now: c.now,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.plumber = plumbing.New(plumbing.Options{Info: c.neutron, StateDir: c.netDir})
	c.manager = amphora.NewManager(amphora.ManagerOptions{
		Store: c.Store, Fleet: c.Fleet, Compute: c.compute, Network: c.plumber, WatchEvery: 50 * time.Millisecond,
	})
}

func (c *cloud) loadBalancer(address string) *model.LoadBalancer {
	c.t.Helper()
	lb := &model.LoadBalancer{
		ID: uuid.NewString(), VIPAddress: address, VIPNetworkID: c.neutron.network, VIPSubnetID: c.neutron.subnet,
		VIPPortID: uuid.NewString(),
	}
	parsed := netip.MustParseAddr(address).As4()
	c.neutron.mu.Lock()
	c.neutron.ports[lb.VIPPortID] = network.PortInfo{
		ID: lb.VIPPortID, NetworkID: c.neutron.network, MAC: fmt.Sprintf("fa:16:3e:00:00:%02x", parsed[3]),
		FixedIPs: []network.FixedIP{{SubnetID: c.neutron.subnet, Address: netip.MustParseAddr(address)}},
	}
	c.neutron.mu.Unlock()
	c.t.Cleanup(func() { // whatever the test did
		ctx := context.WithoutCancel(c.t.Context())
		if err := c.manager.Delete(ctx, lb.ID); err != nil {
			c.t.Errorf("clean up: %v", err)
		}
	})
	return lb
}

func (c *cloud) ensure(lb *model.LoadBalancer) model.Amphora {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), amphoratest.Patience)
	defer cancel()
	amphorae, err := c.manager.Ensure(ctx, lb)
	if err != nil {
		for _, row := range must(c.Store.Amphorae(c.t.Context(), lb.ID)) {
			log, _ := os.ReadFile(c.compute.LogPath(row.ID))
			c.t.Logf("%s", log)
		}
		c.t.Fatal(err)
	}
	if len(amphorae) != 1 || amphorae[0].Status != model.AmphoraAllocated {
		c.t.Fatalf("amphorae are %+v", amphorae)
	}
	amphoratest.DumpOnFailure(c.t, c.compute.LogPath(amphorae[0].ID))
	return amphorae[0]
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// processes returns the agent and the Envoy of an amphora, both of which have to run.
func (c *cloud) processes(id string) (agent, envoy process.ID) {
	c.t.Helper()
	amphoratest.Eventually(c.t, func() error {
		agents := must(process.Find("--config", filepath.Join(c.stateDir, id, "agent.json")))
		envoys := must(process.Find("--config-path", filepath.Join(c.runDir, id, "bootstrap.json")))
		if len(agents) != 1 || len(envoys) != 1 {
			return fmt.Errorf("agents %v, Envoys %v", agents, envoys)
		}
		agent, envoy = agents[0], envoys[0]
		return nil
	})
	return agent, envoy
}

// assertNothingLeft looks for everything that an amphora consists of.
func (c *cloud) assertNothingLeft(id string) {
	c.t.Helper()
	for _, arguments := range [][]string{
		{"--config", filepath.Join(c.stateDir, id, "agent.json")}, {"--config-path", filepath.Join(c.runDir, id, "bootstrap.json")},
	} {
		if found := must(process.Find(arguments...)); len(found) > 0 {
			c.t.Errorf("process left: %v of %s", found, arguments[1])
		}
	}
	for _, path := range []string{
		plumbing.NamespacePath(id), filepath.Join(c.stateDir, id), filepath.Join(c.runDir, id), filepath.Join(c.netDir, id+".json"),
	} {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			c.t.Errorf("file left: %s (%v)", path, err)
		}
	}
	if _, err := net.InterfaceByName(plumbing.HostLinkName(id)); err == nil {
		c.t.Errorf("interface left: %s", plumbing.HostLinkName(id))
	}
	for _, row := range must(c.Store.Amphorae(c.t.Context(), "")) {
		if row.ID == id {
			c.t.Errorf("row left: %+v", row)
		}
	}
	if _, known := c.Fleet.State(id); known {
		c.t.Error("the Fleet remembers it")
	}
}

func (c *cloud) bridgeExists() bool {
	_, err := net.InterfaceByName(plumbing.BridgeName(c.neutron.network))
	return err == nil
}

func TestBuildServeDelete(t *testing.T) {
	c := newCloud(t)
	lb := c.loadBalancer("198.51.100.10")
	a := c.ensure(lb)
	agent, envoy := c.processes(a.ID)
	want := must(os.Stat(plumbing.NamespacePath(a.ID)))
	for _, running := range []process.ID{agent, envoy} {
		have := must(os.Stat(fmt.Sprintf("/proc/%d/ns/net", running.PID)))
		if !os.SameFile(have, want) {
			t.Errorf("process %d is in another namespace", running.PID)
		}
		session, err := unix.Getsid(running.PID)
		if err != nil || session != running.PID {
			t.Errorf("process %d is in session %d, %v: it would not outlive its parent's terminal", running.PID, session, err)
		}
		environment := string(must(os.ReadFile(fmt.Sprintf("/proc/%d/environ", running.PID))))
		if strings.Contains(environment, "HOME=") {
			t.Error("the controller's environment was handed on")
		}
	}

	// It is an amphora: from a client on the same network, the VIP answers by what the controller sends.
	c.listen(a.ID, lb.VIPAddress)
	if err := c.Fleet.Warm(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	if got := c.get(lb, lb.VIPAddress); got != http.StatusTeapot {
		t.Errorf("the VIP answers %d", got)
	}

	// Again changes nothing.
	if again := c.ensure(lb); again.ID != a.ID {
		t.Errorf("another amphora: %s", again.ID)
	}
	if sameAgent, sameEnvoy := c.processes(a.ID); sameAgent != agent || sameEnvoy != envoy {
		t.Error("other processes")
	}

	for range 2 { // deleting may be repeated
		if err := c.manager.Delete(t.Context(), lb.ID); err != nil {
			t.Fatal(err)
		}
		c.assertNothingLeft(a.ID)
	}
	if agent.Alive() || envoy.Alive() {
		t.Error("processes left")
	}
	if c.bridgeExists() {
		t.Error("bridge left")
	}
}

func TestBridgeStaysForOthers(t *testing.T) {
	c := newCloud(t)
	first, second := c.loadBalancer("198.51.100.10"), c.loadBalancer("198.51.100.11")
	a, b := c.ensure(first), c.ensure(second)
	if err := c.manager.Delete(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	c.assertNothingLeft(a.ID)
	if !c.bridgeExists() {
		t.Fatal("the bridge went with the first amphora")
	}
	_, envoy := c.processes(b.ID)
	if !envoy.Alive() {
		t.Error("the other amphora was hit")
	}
	if err := c.manager.Delete(t.Context(), second.ID); err != nil {
		t.Fatal(err)
	}
	if c.bridgeExists() {
		t.Error("bridge left")
	}
}

func TestWatchStartsDeadAgents(t *testing.T) {
	c := newCloud(t)
	lb := c.loadBalancer("198.51.100.10")
	a := c.ensure(lb)
	c.ServeNothing(a.ID)
	agent, envoy := c.processes(a.ID)

	// The controller is down when the agent dies.
	c.Stop()
	if err := agent.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := agent.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Start()
	c.ServeNothing(a.ID)
	c.wire()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.manager.Watch(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	connected := func() {
		t.Helper()
		wait, cancel := context.WithTimeout(t.Context(), amphoratest.Patience)
		defer cancel()
		if err := c.Fleet.WaitConnected(wait, a.ID); err != nil {
			t.Fatal(err)
		}
	}
	connected()
	next, sameEnvoy := c.processes(a.ID)
	if next == agent || sameEnvoy != envoy {
		t.Errorf("agent %v, Envoy %v; want another agent and Envoy %v", next, sameEnvoy, envoy)
	}

	// A reboot: processes, namespace and interfaces are gone, files below the run directory, too.
	c.crash(a.ID)
	amphoratest.Eventually(t, func() error {
		state, _ := c.Fleet.State(a.ID)
		if !state.Connected || state.Envoy.GetState() != agentapiv1.EnvoyStatus_RUNNING {
			return fmt.Errorf("after a reboot: %+v", state)
		}
		return nil
	})
	c.listen(a.ID, lb.VIPAddress)
	if err := c.Fleet.Warm(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	if got := c.get(lb, lb.VIPAddress); got != http.StatusTeapot {
		t.Errorf("after a reboot the VIP answers %d", got)
	}
}

// crash takes away what a reboot takes away.
func (c *cloud) crash(id string) {
	c.t.Helper()
	agent, envoy := c.processes(id)
	for _, running := range []process.ID{agent, envoy} {
		if err := running.Signal(unix.SIGKILL); err != nil {
			c.t.Fatal(err)
		}
	}
	if err := os.RemoveAll(filepath.Join(c.runDir, id)); err != nil {
		c.t.Fatal(err)
	}
	_ = exec.Command("ip", "link", "del", plumbing.HostLinkName(id)).Run()
	_ = exec.Command("ip", "netns", "del", plumbing.NamespaceName(id)).Run()
}

func TestEnsureResumes(t *testing.T) {
	// A controller that was killed after each step of a build leaves one of these.
	for name, prepare := range map[string]func(c *cloud, a model.Amphora, lb *model.LoadBalancer) error{
		"row": func(*cloud, model.Amphora, *model.LoadBalancer) error { return nil },
		"network": func(c *cloud, a model.Amphora, lb *model.LoadBalancer) error {
			return c.plumber.Plug(c.t.Context(), a, lb)
		},
		"half a network": func(c *cloud, a model.Amphora, lb *model.LoadBalancer) error {
			err := c.plumber.Plug(c.t.Context(), a, lb)
			return errors.Join(err, exec.Command("ip", "link", "del", plumbing.HostLinkName(a.ID)).Run())
		},
		"a namespace's file": func(c *cloud, a model.Amphora, _ *model.LoadBalancer) error {
			return errors.Join(os.MkdirAll("/run/netns", 0o755), os.WriteFile(plumbing.NamespacePath(a.ID), nil, 0o600))
		},
		"agent": func(c *cloud, a model.Amphora, lb *model.LoadBalancer) error {
			err := c.plumber.Plug(c.t.Context(), a, lb)
			_, buildErr := c.compute.Build(c.t.Context(), amphora.Spec{Amphora: a, LoadBalancer: lb})
			return errors.Join(err, buildErr)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			lb := c.loadBalancer("198.51.100.10")
			a := model.Amphora{
				ID: uuid.NewString(), LoadBalancerID: lb.ID, Status: model.AmphoraBooting, Role: amphora.RoleStandalone,
				Compute: local.Name,
			}
			if err := c.Store.PutAmphora(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			if err := prepare(c, a, lb); err != nil {
				t.Fatal(err)
			}
			c.wire()
			if ready := c.ensure(lb); ready.ID != a.ID {
				t.Errorf("built %s beside %s", ready.ID, a.ID)
			}
			c.processes(a.ID) // one of each
			if err := c.manager.Delete(t.Context(), lb.ID); err != nil {
				t.Fatal(err)
			}
			c.assertNothingLeft(a.ID)
		})
	}
}

func TestBuildReplacesACertificateThatNobodyRenewed(t *testing.T) {
	c := newCloud(t)
	lb := c.loadBalancer("198.51.100.10")
	a := c.ensure(lb)
	serial := func() string {
		pair, _, err := credentials.Load(c.compute.CredentialsDir(a.ID))
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.SerialNumber.String()
	}
	before := serial()
	build := func() {
		t.Helper()
		if _, err := c.compute.Build(t.Context(), amphora.Spec{Amphora: a}); err != nil {
			t.Fatal(err)
		}
	}
	if build(); serial() != before {
		t.Error("a fresh certificate was replaced")
	}
	c.now = func() time.Time { return time.Now().Add(25 * 24 * time.Hour) }
	c.wire()
	if build(); serial() == before {
		t.Error("a certificate near its end was kept")
	}
}

func TestDeleteFindsEnvoyWithoutAgent(t *testing.T) {
	c := newCloud(t)
	lb := c.loadBalancer("198.51.100.10")
	a := c.ensure(lb)
	agent, envoy := c.processes(a.ID)
	if err := agent.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := agent.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !envoy.Alive() {
		t.Fatal("Envoy died with its agent")
	}
	if err := c.manager.Delete(t.Context(), lb.ID); err != nil {
		t.Fatal(err)
	}
	c.assertNothingLeft(a.ID)
}

func TestEnsureSaysWhatIsMissing(t *testing.T) {
	c := newCloud(t)
	lb := c.loadBalancer("198.51.100.10")
	c.Stop() // nobody answers the agent
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := c.manager.Ensure(ctx, lb)
	if !errors.Is(err, amphora.ErrNotConnected) || !strings.Contains(err.Error(), "its agent is running") {
		t.Errorf("Ensure() = %v", err)
	}
	lb.VIPPortID = uuid.NewString()
	if _, err := c.manager.Ensure(t.Context(), lb); !errors.Is(err, network.ErrNotFound) {
		t.Errorf("Ensure() without a port = %v", err)
	}
}

// listen has the amphora's Envoy answer 418 on port 80 of the VIP.
func (c *cloud) listen(id, address string) {
	c.t.Helper()
	manager := &hcmv3.HttpConnectionManager{
		StatPrefix: "vip",
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
			VirtualHosts: []*routev3.VirtualHost{{Name: "all", Domains: []string{"*"}, Routes: []*routev3.Route{{
				Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
				Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: http.StatusTeapot}},
			}}}},
		}},
		HttpFilters: []*hcmv3.HttpFilter{{
			Name: "envoy.filters.http.router", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(&routerv3.Router{})},
		}},
	}
	listener := must(server.NewResource(resource.ListenerType, &listenerv3.Listener{
		Name: "vip",
		Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: address, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 80},
		}}},
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name:       "envoy.filters.network.http_connection_manager",
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(manager)},
		}}}},
	}))
	c.Server.Update(id, resource.ClusterType, nil, nil)
	c.Server.Update(id, resource.ListenerType, map[string]*server.Resource{"vip": listener}, nil)
	ctx, cancel := context.WithTimeout(c.t.Context(), amphoratest.Patience)
	defer cancel()
	key := server.Key{TypeURL: resource.ListenerType, Name: "vip"}
	if err := c.Server.Wait(ctx, id, map[server.Key]string{key: listener.Version}, nil); err != nil {
		c.t.Fatal(err)
	}
}

func pack(message proto.Message) *anypb.Any { return must(anypb.New(message)) }

// get asks the VIP from a client's namespace on the same network and returns the status.
func (c *cloud) get(lb *model.LoadBalancer, address string) int {
	c.t.Helper()
	client := c.loadBalancer("198.51.100.200") // plugged like a VIP: an address on the network
	probe := model.Amphora{ID: uuid.NewString(), LoadBalancerID: client.ID}
	if err := c.plumber.Plug(c.t.Context(), probe, client); err != nil {
		c.t.Fatal(err)
	}
	defer func() {
		if err := c.plumber.Unplug(context.WithoutCancel(c.t.Context()), probe); err != nil {
			c.t.Error(err)
		}
	}()
	status := 0
	err := plumbing.InNamespace(plumbing.NamespacePath(probe.ID), func() error {
		// On this thread: a client with connections of its own would dial from another thread, in another namespace.
		descriptor, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		file := os.NewFile(uintptr(descriptor), "client")
		defer file.Close()
		to := &unix.SockaddrInet4{Port: 80, Addr: netip.MustParseAddr(address).As4()}
		if err := unix.Connect(descriptor, to); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(file, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", lb.ID); err != nil {
			return err
		}
		_, err = fmt.Fscanf(file, "HTTP/1.1 %d", &status)
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return status
}
