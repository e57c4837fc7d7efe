package agent_test

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/credentials"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/process"
	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
	"github.com/octavia-envoy/octavia-envoy/driver/amphora"
	"github.com/octavia-envoy/octavia-envoy/driver/amphora/amphoratest"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/server"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

func TestAgentKeepsEnvoyRunning(t *testing.T) {
	m := newMachine(t, 0)
	command := m.start()
	first := m.waitFor("a running Envoy", running)
	if first.Envoy.GetPid() == 0 || first.Envoy.GetMemoryBytes() == 0 || first.Envoy.GetRestarts() != 0 {
		t.Errorf("odd report: %v", first.Envoy)
	}
	if !strings.Contains(first.EnvoyVersion, "1.40.") {
		t.Errorf("Envoy's version is %q", first.EnvoyVersion)
	}
	testkit.Eventually(t, func() error {
		row, err := m.Store.Amphora(t.Context(), m.config.AmphoraID)
		if err == nil && row.LastHeartbeat.IsZero() {
			err = errors.New("no heartbeat in the store")
		}
		return err
	})

	if err := m.envoyProcess().Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := m.waitFor("another Envoy", func(state amphora.AgentState) bool {
		return running(state) && state.Envoy.GetPid() != first.Envoy.GetPid()
	})
	if second.Envoy.GetRestarts() != 1 || !strings.Contains(second.Envoy.GetLastError(), "killed") {
		t.Errorf("reported %d restarts, last error %q", second.Envoy.GetRestarts(), second.Envoy.GetLastError())
	}

	envoy := m.envoyProcess()
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Errorf("a clean stop ended with %v", err)
	}
	if envoy.Alive() {
		t.Error("Envoy outlived a clean stop")
	}
	for _, path := range []string{
		agent.AdminSocket(m.config.RunDir), agent.MetricsSocket(m.config.RunDir), agent.EnvoyPIDPath(m.config.RunDir), agent.PIDPath(m.config.RunDir),
	} {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("left behind: %s (%v)", path, err)
		}
	}
}

func TestNextAgentAdoptsEnvoy(t *testing.T) {
	m := newMachine(t, 0)
	command := m.start()
	before := m.waitFor("a running Envoy", running)
	envoy := m.envoyProcess()

	// While one agent runs, another must not begin.
	output, err := exec.Command(m.binary, "run", "--config", m.path).CombinedOutput()
	if err == nil || !strings.Contains(string(output), agent.ErrRunning.Error()) {
		t.Fatalf("a second agent: %v, %s", err, output)
	}

	_ = command.Process.Kill()
	_ = command.Wait()
	if !envoy.Alive() {
		t.Fatal("Envoy died with its agent")
	}
	if err := os.Remove(agent.EnvoyPIDPath(m.config.RunDir)); err != nil { // killed before it was written: the worst case
		t.Fatal(err)
	}
	m.start()
	after := m.waitFor("the adopted Envoy", func(state amphora.AgentState) bool {
		return running(state) && state.Since.After(before.Since)
	})
	if after.Envoy.GetPid() != before.Envoy.GetPid() || after.Envoy.GetRestarts() != 0 {
		t.Fatalf("Envoy is %d after %d restarts, want %d and none",
			after.Envoy.GetPid(), after.Envoy.GetRestarts(), before.Envoy.GetPid())
	}

	// The adopted one is supervised, too.
	if err := envoy.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	m.waitFor("an Envoy after the adopted one", func(state amphora.AgentState) bool {
		return running(state) && state.Envoy.GetPid() != before.Envoy.GetPid()
	})
}

// TestAgentEndsWhileItAdopts: an agent that is told to end before it knows whether the Envoy that it found answers stops that, too.
func TestAgentEndsWhileItAdopts(t *testing.T) {
	m := newMachine(t, 0)
	command := m.start()
	m.waitFor("a running Envoy", running)
	envoy := m.envoyProcess()
	_ = command.Process.Kill()
	_ = command.Wait()
	if err := envoy.Signal(unix.SIGSTOP); err != nil { // so that it does not answer
		t.Fatal(err)
	}
	next := m.start()
	testkit.Eventually(t, func() error {
		if id, err := process.Load(agent.PIDPath(m.config.RunDir)); err != nil || id.PID != next.Process.Pid {
			return errors.New("the next agent has not begun")
		}
		return nil
	})
	if err := next.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := next.Wait(); err != nil {
		t.Errorf("the agent ended with %v", err)
	}
	if envoy.Alive() {
		t.Error("Envoy runs on, and nobody looks after it")
	}
}

func TestWarmWaitsForClusters(t *testing.T) {
	m := newMachine(t, 0)
	m.start()
	m.waitFor("a running Envoy", running)
	id := m.config.AmphoraID
	if err := m.Fleet.Warm(t.Context(), id); err != nil {
		t.Fatal(err)
	}

	// A cluster whose endpoints nobody has yet warms until Envoy has given up waiting for them, or they come.
	resources, err := translate.LoadBalancer(&model.LoadBalancer{
		ID: "lb", VIPAddress: "127.0.0.1", AdminStateUp: true, Pools: []model.Pool{{
			ID: "pool", Protocol: "HTTP", LBAlgorithm: model.AlgorithmRoundRobin, AdminStateUp: true,
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	typeURL := amphoratest.TypeURL("cluster")
	cluster, err := server.NewResource(typeURL, resources.Clusters["pool"])
	if err != nil {
		t.Fatal(err)
	}
	m.Server.Update(id, typeURL, map[string]*server.Resource{"pool": cluster}, nil)
	testkit.Eventually(t, func() error {
		status, err := m.Fleet.Probe(t.Context(), id)
		if err == nil && status.GetWarmingClusters() != 1 {
			err = fmt.Errorf("Envoy has not taken up the cluster: %v", status)
		}
		return err
	})
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	err = m.Fleet.Warm(ctx, id)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 clusters and 0 listeners are warming") {
		t.Fatalf("Warm() = %v, want it to wait for one cluster", err)
	}
	m.Server.Update(id, typeURL, nil, []string{"pool"})
	if err := m.Fleet.Warm(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

func TestAgentOutlivesItsController(t *testing.T) {
	m := newMachine(t, 0)
	m.start()
	before := m.waitFor("a running Envoy", running)
	m.Stop()
	m.Start()
	m.ServeNothing(m.config.AmphoraID)
	after := m.waitFor("the same Envoy at the new controller", running)
	if after.Envoy.GetPid() != before.Envoy.GetPid() {
		t.Error("Envoy was started again")
	}
}

func TestControllerShutsAgentDown(t *testing.T) {
	m := newMachine(t, 0)
	command := m.start()
	m.waitFor("a running Envoy", running)
	envoy := m.envoyProcess()
	if err := m.Fleet.Shutdown(t.Context(), m.config.AmphoraID, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Errorf("the agent ended with %v", err)
	}
	if envoy.Alive() {
		t.Error("Envoy runs on")
	}
}

func TestCertificateRotates(t *testing.T) {
	m := newMachine(t, 3*time.Second)
	m.start()
	m.waitFor("a running Envoy", running)
	first, _, err := credentials.Load(m.config.CredentialsDir)
	if err != nil {
		t.Fatal(err)
	}
	// After the first certificate's end, agent and Envoy connect again, which only newer ones can.
	testkit.Eventually(t, func() error {
		current, _, err := credentials.Load(m.config.CredentialsDir)
		switch {
		case err != nil:
			return err
		case current.Leaf.Equal(first.Leaf):
			return errors.New("still the first certificate")
		case time.Now().Before(first.Leaf.NotAfter):
			return errors.New("the first certificate is still valid")
		}
		return nil
	})
	current, _, err := credentials.Load(m.config.CredentialsDir)
	if err != nil {
		t.Fatal(err)
	}
	if key, ok := current.PrivateKey.(*ecdsa.PrivateKey); !ok || key.Equal(first.PrivateKey) {
		t.Error("the certificate was renewed for the old key")
	}
	before := m.envoyProcess()
	m.Stop()
	m.Start()
	m.ServeNothing(m.config.AmphoraID)
	m.waitFor("agent and Envoy with a new certificate", running)
	if m.envoyProcess() != before {
		t.Error("Envoy was started again")
	}
}

func TestFleetRefusesStrangers(t *testing.T) {
	m := newMachine(t, 0)
	if err := m.Store.DeleteAmphora(t.Context(), m.config.AmphoraID); err != nil {
		t.Fatal(err)
	}
	m.start()
	testkit.Eventually(t, func() error {
		log, err := os.ReadFile(m.log)
		if err == nil && !strings.Contains(string(log), "is not known here") {
			err = errors.New("the agent has not been refused")
		}
		return err
	})
	if _, known := m.Fleet.State(m.config.AmphoraID); known {
		t.Error("an amphora without a row came in")
	}
}

func TestBrokenEnvoyIsReported(t *testing.T) {
	m := newMachine(t, 0)
	m.config.EnvoyPath = filepath.Join(m.Dir, "no-envoy")
	data, err := json.Marshal(m.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	m.start()
	state := m.waitFor("FAILED", func(state amphora.AgentState) bool {
		return state.Envoy.GetState() == agentapiv1.EnvoyStatus_FAILED
	})
	if !strings.Contains(state.Envoy.GetLastError(), "no-envoy") {
		t.Errorf("last error is %q", state.Envoy.GetLastError())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := m.Fleet.Warm(ctx, m.config.AmphoraID); err == nil || !strings.Contains(err.Error(), "FAILED") {
		t.Errorf("Warm() = %v, want it to name the state", err)
	}
}

// Envoy's listeners may take any address, so the agent must take none.
func TestAgentListensOnNothing(t *testing.T) {
	m := newMachine(t, 0)
	command := m.start()
	m.waitFor("a running Envoy", running)
	for _, pid := range []int{command.Process.Pid, m.envoyProcess().PID} {
		sockets, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range sockets {
			target, _ := os.Readlink(path)
			inode, isSocket := strings.CutPrefix(target, "socket:[")
			if isSocket && listens(t, pid, strings.TrimSuffix(inode, "]")) {
				t.Errorf("process %d listens on TCP", pid)
			}
		}
	}
	for _, socket := range []string{agent.AdminSocket(m.config.RunDir), agent.MetricsSocket(m.config.RunDir)} {
		if _, err := net.Dial("unix", socket); err != nil {
			t.Error(err)
		}
		if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", socket, info, err)
		}
	}
}

func listens(t *testing.T, pid int, inode string) bool {
	t.Helper()
	for _, table := range []string{"tcp", "tcp6"} {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(string(data), "\n") {
			fields := strings.Fields(line)
			if len(fields) > 9 && fields[3] == "0A" && fields[9] == inode {
				return true
			}
		}
	}
	return false
}
