package local_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/credentials"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/process"
	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
	"github.com/octavia-envoy/octavia-envoy/driver/amphora"
	"github.com/octavia-envoy/octavia-envoy/driver/amphora/local"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/network"
	plumbing "github.com/octavia-envoy/octavia-envoy/driver/network/local"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

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
	c.listen(a.ID, lb)
	if got := c.get(lb, lb.VIPAddress); got != poolless {
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
		wait, cancel := context.WithTimeout(t.Context(), testkit.Patience)
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
	testkit.Eventually(t, func() error {
		state, _ := c.Fleet.State(a.ID)
		if !state.Connected || state.Envoy.GetState() != agentapiv1.EnvoyStatus_RUNNING {
			return fmt.Errorf("after a reboot: %+v", state)
		}
		return nil
	})
	c.listen(a.ID, lb)
	if got := c.get(lb, lb.VIPAddress); got != poolless {
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

// oneBuild is a Compute that does something after the first Build.
type oneBuild struct {
	amphora.Compute
	then func()
}

func (c *oneBuild) Build(ctx context.Context, spec amphora.Spec) (string, error) {
	computeID, err := c.Compute.Build(ctx, spec)
	if c.then != nil {
		c.then()
		c.then = nil
	}
	return computeID, err
}

// TestEnsureStartsAnAgentThatEndsMeanwhile has the agent end after Ensure has found that it runs: nobody else starts it then.
func TestEnsureStartsAnAgentThatEndsMeanwhile(t *testing.T) {
	c := newCloud(t)
	lb := c.loadBalancer("198.51.100.10")
	a := c.ensure(lb)
	agent, envoy := c.processes(a.ID)
	if err := agent.Signal(unix.SIGSTOP); err != nil { // or it would connect before it ends
		t.Fatal(err)
	}
	c.Stop()
	c.Start()
	c.manager = amphora.NewManager(amphora.ManagerOptions{
		Store: c.Store, Fleet: c.Fleet, Network: c.plumber, WatchEvery: 50 * time.Millisecond,
		Compute: &oneBuild{c.compute, func() {
			if err := errors.Join(agent.Signal(unix.SIGKILL), agent.Wait(t.Context())); err != nil {
				t.Error(err)
			}
		}},
	})
	c.ensure(lb)
	if next, sameEnvoy := c.processes(a.ID); next == agent || sameEnvoy != envoy {
		t.Errorf("agent %v, Envoy %v; want another agent and Envoy %v", next, sameEnvoy, envoy)
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
