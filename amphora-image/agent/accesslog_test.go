package agent_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/accesslog"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/process"
	octavia "github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// configure writes the agent's configuration again.
func (m *machine) configure(change func(*agent.Config)) {
	m.t.Helper()
	change(&m.config)
	data, err := json.Marshal(m.config)
	if err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(m.path, data, 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// numbers collects those of requests, and how often each came.
type numbers struct {
	mu   sync.Mutex
	seen map[int]int
}

func (n *numbers) take(line []byte) error {
	var entry struct {
		Request string `json:"request_id"`
		Project string `json:"project_id"`
		Status  int    `json:"status"`
	}
	var number int
	if err := json.Unmarshal(line, &entry); err != nil {
		return fmt.Errorf("%.200q: %w", line, err)
	}
	if _, err := fmt.Sscanf(entry.Request, "request-%d", &number); err != nil || entry.Project != "project" || entry.Status != 503 {
		return fmt.Errorf("%.200q is not of a request, %w", line, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen[number]++
	return nil
}

func (n *numbers) missing(count int) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range count {
		if n.seen[i] == 0 {
			return fmt.Errorf("request %d is missing, %d of %d are there", i, len(n.seen), count)
		}
	}
	return nil
}

// receiveSyslog is a receiver over TCP; it returns what to call it, and what it got.
func receiveSyslog(t *testing.T) (target string, got *numbers) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	got = &numbers{seen: map[int]int{}}
	go func() {
		for {
			raw, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer raw.Close()
				reader := bufio.NewReader(raw)
				for {
					var length int
					if _, err := fmt.Fscanf(reader, "%d", &length); err != nil {
						return
					}
					message := make([]byte, length+1)
					if _, err := io.ReadFull(reader, message); err != nil {
						return
					}
					header, line, _ := bytes.Cut(message, []byte("] "))
					if !bytes.Contains(header, []byte(`octavia-envoy - HTTP [octavia@32473 project_id="project" loadbalancer_id="`)) {
						t.Errorf("the header is %q", header)
					}
					if err := got.take(line); err != nil {
						t.Error(err)
					}
				}
			}()
		}
	}()
	return "tcp:" + listener.Addr().String(), got
}

// TestNoLineOfTheAccessLogIsLost: files are put aside under load, agents killed and stopped, and every request has its line, once
// in the files and once at least at the receiver.
func TestNoLineOfTheAccessLogIsLost(t *testing.T) {
	m := newMachine(t, 0)
	target, got := receiveSyslog(t)
	dir := filepath.Join(m.Dir, "log")
	m.configure(func(c *agent.Config) {
		c.AccessLog = accesslog.Config{Dir: dir, MaxFileBytes: 50_000, Files: 1000, Targets: []string{target}}
	})
	// An Envoy that was killed has left half a line.
	if err := errors.Join(os.Mkdir(dir, 0o750), os.WriteFile(filepath.Join(dir, translate.AccessLogFile), []byte(`{"half`), 0o600)); err != nil {
		t.Fatal(err)
	}
	listener := octavia.Listener{ID: "web", Protocol: "HTTP", ProtocolPort: freePort(t), AdminStateUp: true, ConnectionLimit: -1}
	m.publish(&octavia.LoadBalancer{
		ProjectID: "project", Flavor: map[string]any{"access_log": true}, Listeners: []octavia.Listener{listener},
	})
	command := m.start()
	m.waitFor("a running Envoy", running)

	var connection net.Conn
	testkit.Eventually(t, func() (err error) {
		connection, err = net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", listener.ProtocolPort))
		return err
	})
	defer func() { _ = connection.Close() }()
	sent := 0
	request := func(count int) {
		t.Helper()
		reader := bufio.NewReader(connection)
		for range count {
			if _, err := fmt.Fprintf(connection, "HEAD / HTTP/1.1\r\nHost: h\r\nX-Request-Id: request-%d\r\n\r\n", sent); err != nil {
				t.Fatal(err)
			}
			for {
				line, err := reader.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				if line == "\r\n" {
					break
				}
			}
			sent++
		}
	}
	aside := func() int {
		t.Helper()
		found, err := filepath.Glob(filepath.Join(dir, translate.AccessLogFile+".??????"))
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	// until sends requests until as many files more were put aside.
	until := func(more int) {
		t.Helper()
		before := aside()
		testkit.Until(t, "files are put aside", func() bool {
			request(50)
			return aside() >= before+more
		})
	}
	until(2)
	envoy := m.envoyProcess()
	_ = command.Process.Kill() // most likely between renaming and reopening
	_ = command.Wait()
	request(500)
	command = m.start()
	until(2)
	if m.envoyProcess() != envoy {
		t.Fatal("Envoy was not adopted")
	}
	request(10)
	testkit.Eventually(t, func() error { return got.missing(sent) })

	// The rest of the lines comes while Envoy stops, and is sent.
	request(10)
	_ = connection.Close()
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Error(err)
	}
	testkit.Eventually(t, func() error { return got.missing(sent) })

	files := &numbers{seen: map[int]int{}}
	paths, err := filepath.Glob(filepath.Join(dir, translate.AccessLogFile+"*"))
	if err != nil {
		t.Fatal(err)
	}
	half := 0
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(data) {
			if string(line) == "{\"half\n" {
				half++
				continue
			}
			if err := files.take(line); err != nil {
				t.Error(err)
			}
		}
	}
	if err := files.missing(sent); err != nil || len(files.seen) != sent || half != 1 {
		t.Errorf("%d lines of %d requests, %d halves, %v", len(files.seen), sent, half, err)
	}
	for number, times := range files.seen {
		if times != 1 {
			t.Errorf("request %d has %d lines", number, times)
		}
	}
}

// TestAccessLogAfterEnvoysEnd: the next Envoy writes to the same file, in the same directory.
func TestAccessLogAfterEnvoysEnd(t *testing.T) {
	m := newMachine(t, 0)
	listener := octavia.Listener{ID: "web", Protocol: "HTTP", ProtocolPort: freePort(t), AdminStateUp: true, ConnectionLimit: -1}
	m.publish(&octavia.LoadBalancer{Flavor: map[string]any{"access_log": true}, Listeners: []octavia.Listener{listener}})
	m.start()
	m.waitFor("a running Envoy", running)
	path := filepath.Join(m.config.RunDir, translate.AccessLogFile) // where it is by default
	var before process.ID
	for round := range 2 {
		testkit.Eventually(t, func() error {
			if current := m.envoyProcess(); current == before || !current.Alive() {
				return errors.New("no new Envoy")
			}
			_, _, _, err := ask(t, "GET", &listener, fmt.Sprintf("/round-%d", round))
			return err
		})
		testkit.Eventually(t, func() error {
			data, err := os.ReadFile(path)
			if err == nil && !strings.Contains(string(data), fmt.Sprintf(`"path":"/round-%d"`, round)) {
				err = fmt.Errorf("round %d is not in the log: %s", round, data)
			}
			return err
		})
		before = m.envoyProcess()
		if err := before.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
}
