package agent_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/accesslog"
	"github.com/octavia-envoy/octavia-envoy/driver/amphora"
)

// TestChecksWaitForTheNextAgent asks for checks as Envoy does: before, while there is no agent, and after.
func TestChecksWaitForTheNextAgent(t *testing.T) {
	m := newMachine(t, 0)
	var log accesslog.Config
	log.SetDefaults(m.config.RunDir)
	socket := agent.ProbeSocket(log.Dir)
	ask := func() net.Conn {
		t.Helper()
		connection, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = connection.Close() })
		if _, err := fmt.Fprint(connection, "GET /PING?timeout_ms=10000 HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		return connection
	}
	isUp := func(connection net.Conn) {
		t.Helper()
		response, err := http.ReadResponse(bufio.NewReader(connection), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Fatalf("answered %s", response.Status)
		}
	}
	first := m.start()
	m.waitFor("a running Envoy", running)
	isUp(ask())
	envoy := m.envoyProcess()
	for range 2 { // the next one's Envoy is not its child
		if err := first.Process.Signal(unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = first.Wait()
		waiting := ask()
		first = m.start()
		isUp(waiting)
		isUp(ask())
	}
	m.waitFor("a running Envoy", running)
	// Also of an Envoy that was started by an agent which had the socket from another Envoy.
	if err := envoy.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	m.waitFor("another Envoy", func(state amphora.AgentState) bool { return running(state) && m.envoyProcess() != envoy })
	_ = first.Process.Signal(unix.SIGKILL)
	_ = first.Wait()
	waiting := ask()
	m.start()
	isUp(waiting)
}
