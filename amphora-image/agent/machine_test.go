package agent_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/credentials"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/process"
	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
	"github.com/octavia-envoy/octavia-envoy/driver/amphora"
	"github.com/octavia-envoy/octavia-envoy/driver/amphora/amphoratest"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/envoybin"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// agentBinary is the real one, built for this run.
var agentBinary string

func TestMain(m *testing.M) {
	amphoratest.Main(m, func(path string) { agentBinary = path })
}

// machine is one amphora: its files, and the agents that run on it one after the other.
type machine struct {
	*amphoratest.Controller
	t      *testing.T
	config agent.Config
	binary string
	path   string
	// published are the names of the resources that Envoy has, by type.
	published map[string][]string
	log       string
	// said is what the agents reported.
	said *said
}

func newMachine(t *testing.T, certificateLife time.Duration) *machine {
	t.Helper()
	controller := amphoratest.New(t)
	controller.FleetOptions.CertificateLife = certificateLife
	controller.FleetOptions.RecordEvery = time.Millisecond
	heard := newSaid()
	controller.FleetOptions.Health, controller.FleetOptions.Statistics = heard.hearHealth, heard.hearStatistics
	controller.Start()
	id := uuid.NewString()
	m := &machine{
		Controller: controller, t: t, binary: agentBinary, published: map[string][]string{}, said: heard,
		path: filepath.Join(controller.Dir, "agent.json"), log: filepath.Join(controller.Dir, "agent.log"),
		config: agent.Config{
			AmphoraID: id, LoadBalancerID: uuid.NewString(), Controller: controller.Address(),
			CredentialsDir: filepath.Join(controller.Dir, "tls"), RunDir: filepath.Join(controller.Dir, "run"),
			EnvoyPath: envoybin.Path(t), Concurrency: 1, HeartbeatMS: 100, StatisticsMS: 100, LogLevel: "debug",
		},
	}
	amphoratest.DumpOnFailure(t, m.log)
	issued, err := controller.Authority.AmphoraCredentials(id, certificateLife)
	if err != nil {
		t.Fatal(err)
	}
	if err := credentials.Install(m.config.CredentialsDir, issued); err != nil {
		t.Fatal(err)
	}
	if err := controller.Store.PutAmphora(t.Context(), model.Amphora{
		ID: id, LoadBalancerID: m.config.LoadBalancerID, Status: model.AmphoraAllocated, Compute: "test",
	}); err != nil {
		t.Fatal(err)
	}
	controller.ServeNothing(id)
	data, err := json.Marshal(m.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after those of the agents, which take their Envoys along
		left, err := process.Find("--config-path", agent.BootstrapPath(m.config.RunDir))
		if err != nil {
			t.Error(err)
		}
		for _, envoy := range left {
			t.Errorf("Envoy, pid %d, is left", envoy.PID)
			_ = envoy.Signal(unix.SIGKILL)
		}
	})
	return m
}

// start runs an agent; kill -9 it, or leave it to the end of the test.
func (m *machine) start() *exec.Cmd {
	m.t.Helper()
	log, err := os.OpenFile(m.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		m.t.Fatal(err)
	}
	defer log.Close()
	command := exec.Command(m.binary, "run", "--config", m.path)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
	})
	return command
}

func (m *machine) envoyProcess() process.ID {
	id, err := process.Load(agent.EnvoyPIDPath(m.config.RunDir))
	if err != nil {
		m.t.Fatal(err)
	}
	return id
}

// waitFor waits until the Fleet hears what is wanted of Envoy, and returns that.
func (m *machine) waitFor(what string, wanted func(amphora.AgentState) bool) amphora.AgentState {
	m.t.Helper()
	var state amphora.AgentState
	testkit.Eventually(m.t, func() error {
		var known bool
		state, known = m.Fleet.State(m.config.AmphoraID)
		if !known || !state.Connected || state.Envoy == nil || !wanted(state) {
			return fmt.Errorf("%s: have %+v", what, state)
		}
		return nil
	})
	return state
}

func running(state amphora.AgentState) bool {
	return state.Envoy.GetState() == agentapiv1.EnvoyStatus_RUNNING && state.Envoy.GetXdsConnected()
}
