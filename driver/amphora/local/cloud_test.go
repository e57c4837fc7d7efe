package local_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/process"
	"github.com/octavia-envoy/octavia-envoy/driver/amphora"
	"github.com/octavia-envoy/octavia-envoy/driver/amphora/amphoratest"
	"github.com/octavia-envoy/octavia-envoy/driver/amphora/local"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/network"
	plumbing "github.com/octavia-envoy/octavia-envoy/driver/network/local"
	"github.com/octavia-envoy/octavia-envoy/test/envoybin"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
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
	ctx, cancel := context.WithTimeout(c.t.Context(), testkit.Patience)
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
	testkit.Eventually(c.t, func() error {
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
