package integration

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/credentials"
	"github.com/octavia-envoy/octavia-envoy/driver/amphora"
	"github.com/octavia-envoy/octavia-envoy/driver/certs"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/envoybin"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// apartAfter is shorter than it is by default, and more than a few heartbeats.
const apartAfter, heartbeat = time.Second, 200 * time.Millisecond

// agents are the amphorae of a replica that agents connect to.
type agents struct {
	*stack
	fleet *amphora.Fleet
}

func (a agents) Ensure(ctx context.Context, tree *model.LoadBalancer) ([]model.Amphora, error) {
	amphorae, err := a.stack.Ensure(ctx, tree)
	if err == nil {
		err = a.fleet.WaitConnected(ctx, amphorae[0].ID)
	}
	return amphorae, err
}

// startAgent runs an agent, and with it an Envoy, that both find their controller at an address.
func startAgent(t *testing.T, ca *testkit.Authority, id, controller string) {
	t.Helper()
	dir := testkit.SocketDir(t)
	cert, key := testkit.PEM(t, ca.Issue(t, testkit.Named(t, "octavia-envoy://amphora/"+id)))
	config := &agent.Config{
		AmphoraID: id, LoadBalancerID: id, Controller: "tcp:" + controller, ServerName: serverName,
		CredentialsDir: filepath.Join(dir, "tls"), RunDir: filepath.Join(dir, "run"), EnvoyPath: envoybin.Path(t), Concurrency: 1,
		DrainSeconds: 2, EnvoyLogLevel: "info", HeartbeatMS: int(heartbeat.Milliseconds()), StatisticsMS: 1000, HealthMS: 1000,
	}
	config.AccessLog.SetDefaults(config.RunDir)
	must(t, credentials.Install(config.CredentialsDir, &certs.Credentials{Certificate: cert, Key: certs.KeyPEM(key), CA: ca.PEM()}))
	logger := slog.New(slog.NewTextHandler(testWriter{t}, nil)).With("agent", id)
	testkit.Run(t, func(ctx context.Context) error { return agent.Run(ctx, agent.Options{Config: config, Logger: logger}) })
}

// An amphora whose agent and Envoy have come to different controllers cannot be changed: the agent follows its Envoy.
func TestAgentFollowsItsEnvoy(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	first, second := s.controllerOfAgents(), s.controllerOfAgents()
	must(t, s.store.PutAmphora(t.Context(), model.Amphora{ID: "lb", LoadBalancerID: "lb", Status: model.AmphoraAllocated, Compute: "test"}))
	way := startRelay(t, first.address, second.address)
	startAgent(t, s.ca, "lb", way.address())

	apart := func() bool {
		return first.connected("lb") != second.connected("lb") && first.fleet.Connected("lb") == second.connected("lb") &&
			second.fleet.Connected("lb") == first.connected("lb")
	}
	testkit.Until(t, "agent and Envoy have come to one controller each", apart)
	l := listener(t, "l1", "p1")
	s.change(loadBalancer([]model.Listener{l}, pool("p1", member(t, "m1"))))
	s.active("lb")
	serves(t, l, "m1")
	for i, r := range s.replicas {
		if r.connected("lb") != r.fleet.Connected("lb") {
			t.Errorf("controller %d: Envoy %v, agent %v", i, r.connected("lb"), r.fleet.Connected("lb"))
		}
	}
	if sent := first.counter("octavia_envoy_agents_apart_total") + second.counter("octavia_envoy_agents_apart_total"); sent < 1 || sent > 3 {
		t.Errorf("the agent has been sent away %v times", sent)
	}
}

// counter is the value of a counter without labels.
func (c *controller) counter(name string) float64 {
	c.t.Helper()
	families, err := c.registry.Gather()
	must(c.t, err)
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetCounter().GetValue()
		}
	}
	c.t.Fatal(fmt.Errorf("no metric %s", name))
	return 0
}
