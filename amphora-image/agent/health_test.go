package agent_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	octavia "github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// are waits until the members are said to be so, and no others.
func (m *machine) are(want map[string]string) {
	m.t.Helper()
	testkit.Eventually(m.t, func() error {
		if got := m.said.states(); !maps.Equal(got, want) {
			return fmt.Errorf("members are %v, want %v", got, want)
		}
		return nil
	})
}

// monitored gives a pool a monitor that asks every second, and believes the first answer.
func monitored(pool *octavia.Pool) {
	pool.HealthMonitor = &octavia.HealthMonitor{
		ID: "monitor-" + pool.ID, PoolID: pool.ID, AdminStateUp: true, Type: "HTTP", Delay: 1, Timeout: 1, MaxRetries: 1, MaxRetriesDown: 1,
		HTTPMethod: "GET", URLPath: "/healthy", ExpectedCodes: "200",
	}
}

// TestHealthIsWhatEnvoyActsOn follows a member down and up, over an agent and an Envoy that are killed, and a log that is emptied.
func TestHealthIsWhatEnvoyActsOn(t *testing.T) {
	m := newMachine(t, 0)
	command := m.start()
	m.waitFor("a running Envoy", running)
	var ill atomic.Bool
	handler := func(w http.ResponseWriter, request *http.Request) {
		if request.URL.Path == "/healthy" && ill.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}
	lb := site(t, handler)
	blue := &lb.Pools[0]
	second := member(t, "m2", func(http.ResponseWriter, *http.Request) {})
	drained := member(t, "m4", func(http.ResponseWriter, *http.Request) {})
	drained.Weight = 0
	blue.Members = append(blue.Members, second, drained)
	monitored(blue)
	// A TCP listener with the same pool checks the same members again, in a cluster of its own.
	lb.Listeners[1].DefaultPoolID = blue.ID
	m.publish(lb)
	up := map[string]string{"blue/m1": "UP", "blue/m2": "UP", "blue/m4": "UP"}
	m.are(up)

	ill.Store(true)
	down := map[string]string{"blue/m1": "DOWN", "blue/m2": "UP", "blue/m4": "UP"}
	m.are(down)
	m.said.mu.Lock()
	failure := m.said.members["blue/m1"].GetFailure()
	last := m.said.health[len(m.said.health)-1]
	m.said.mu.Unlock()
	if failure != "ACTIVE" {
		t.Errorf("it failed by %q", failure)
	}
	if last.GetWhole() || len(last.GetMembers()) != 1 {
		t.Errorf("one change is told by %v", last)
	}

	_ = command.Process.Kill()
	_ = command.Wait()
	m.said.forget()
	m.start()
	m.are(down)
	ill.Store(false)
	m.are(up)

	// A log that is too large is emptied under Envoy, which goes on.
	log := filepath.Join(m.config.RunDir, translate.HealthLog)
	filler, err := os.OpenFile(log, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	// At once: else the agent may empty it before the last of it has come.
	if _, err := filler.Write(bytes.Repeat(append(make([]byte, 1023), '\n'), 5<<10)); err != nil {
		t.Fatal(err)
	}
	_ = filler.Close()
	testkit.Eventually(t, func() error {
		info, err := os.Stat(log)
		if err == nil && info.Size() > 100<<10 {
			err = fmt.Errorf("the log has %d bytes", info.Size())
		}
		return err
	})
	ill.Store(true)
	m.are(down)

	// Another Envoy begins from nothing, and so does its log.
	m.said.forget()
	if err := m.envoyProcess().Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	m.are(down)

	// Without the monitor, there is nothing to say.
	blue.HealthMonitor = nil
	m.publish(lb)
	m.are(map[string]string{})
}

// TestHealthThatTheAgentChecks is about checks that Envoy has the agent do: Envoy 1.40 crashes when it is asked for endpoints with such ones.
func TestHealthThatTheAgentChecks(t *testing.T) {
	m := newMachine(t, 0)
	m.start()
	m.waitFor("a running Envoy", running)
	var ill atomic.Bool
	lb := site(t, func(w http.ResponseWriter, _ *http.Request) {
		if ill.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	monitored(&lb.Pools[0])
	lb.Pools[0].HealthMonitor.HTTPVersion = 1.0
	m.publish(lb)
	before := m.envoyProcess().PID
	m.are(map[string]string{"blue/m1": "UP"})
	ill.Store(true)
	m.are(map[string]string{"blue/m1": "DOWN"})
	if after := m.envoyProcess().PID; after != before {
		t.Errorf("Envoy was process %d and is %d", before, after)
	}
}

// TestFullListener is about listeners at their connection limit.
func TestFullListener(t *testing.T) {
	m := newMachine(t, 0)
	m.start()
	m.waitFor("a running Envoy", running)
	lb := site(t, func(http.ResponseWriter, *http.Request) {})
	lb.Listeners[1].ConnectionLimit = 1
	m.publish(lb)
	told := func(want map[string]bool) {
		t.Helper()
		testkit.Eventually(t, func() error {
			m.said.mu.Lock()
			defer m.said.mu.Unlock()
			if !maps.Equal(m.said.full, want) {
				return fmt.Errorf("full are %v, want %v", m.said.full, want)
			}
			return nil
		})
	}
	told(map[string]bool{"web": false, "db": false, "dns": false})
	connection := dial(t, &lb.Listeners[1])
	told(map[string]bool{"web": false, "db": true, "dns": false})
	_ = connection.Close()
	told(map[string]bool{"web": false, "db": false, "dns": false}) // a while later
	lb.Listeners = lb.Listeners[:2]
	m.publish(lb)
	told(map[string]bool{"web": false, "db": false})
}
