package status_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/status"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// fakeAgent speaks like octavia/api/drivers/driver_agent/driver_listener.py on one socket. It also watches for what the
// real one cannot bear: a connection that ends before a whole frame has come.
type fakeAgent struct {
	socket string
	// answer gets the decoded request and writes the raw answer, whatever that is.
	answer func(conn net.Conn, request map[string]any)

	mu sync.Mutex
	// requests are all whole frames in the order in which they came.
	requests []map[string]any
	// broken counts connections that ended without a whole frame.
	broken int
}

func newFakeAgent(t *testing.T, answer func(conn net.Conn, request map[string]any)) *fakeAgent {
	t.Helper()
	dir := testkit.SocketDir(t)
	fake := &fakeAgent{socket: filepath.Join(dir, "s.sock"), answer: answer}
	listener, err := net.Listen("unix", fake.socket)
	if err != nil {
		t.Fatal(err)
	}
	var handlers sync.WaitGroup
	handlers.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			handlers.Go(func() { fake.handle(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		handlers.Wait()
		os.RemoveAll(dir)
		if fake.broken > 0 {
			t.Errorf("%d connections ended before a whole request: each would leave a process of the agent spinning", fake.broken)
		}
	})
	return fake
}

func (f *fakeAgent) handle(conn net.Conn) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	header, err := reader.ReadString('\n')
	size, parseErr := strconv.Atoi(strings.TrimSuffix(header, "\n"))
	if err != nil || parseErr != nil {
		f.count(nil)
		return
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(reader, payload); err != nil {
		f.count(nil)
		return
	}
	var request map[string]any
	if err := json.Unmarshal(payload, &request); err != nil {
		f.count(nil)
		return
	}
	f.count(request)
	f.answer(conn, request)
}

func (f *fakeAgent) count(request map[string]any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if request == nil {
		f.broken++
		return
	}
	f.requests = append(f.requests, request)
}

func (f *fakeAgent) seen() []map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]map[string]any(nil), f.requests...)
}

// client is an Agent whose three sockets are the fake.
func (f *fakeAgent) client() *status.Agent {
	return &status.Agent{StatusSocket: f.socket, StatsSocket: f.socket, GetSocket: f.socket}
}

func frame(payload string) []byte { return fmt.Appendf(nil, "%d\n%s", len(payload), payload) }

// answers makes a handler that always writes the same payload.
func answers(payload string) func(net.Conn, map[string]any) {
	return func(conn net.Conn, _ map[string]any) { _, _ = conn.Write(frame(payload)) }
}
