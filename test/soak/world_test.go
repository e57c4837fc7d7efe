package soak

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/process"
	"github.com/octavia-envoy/octavia-envoy/test/driveragent"
	"github.com/octavia-envoy/octavia-envoy/test/envoybin"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// world is an Octavia and a controller, a process of its own; the amphorae are that one's children at first.
type world struct {
	t *testing.T
	settings
	*octavia
	way     *relay
	sockets []*driveragent.Server
	command *exec.Cmd
	log     string
}

func startWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, settings: settings{Dir: testkit.SocketDir(t), AgentPath: agentPath, EnvoyBin: envoybin.Path(t)}}
	w.log = w.path("log")
	w.octavia = newOctavia(t, w.settings)
	rest := httptest.NewServer(w.octavia)
	t.Cleanup(rest.Close)
	w.Octavia = rest.URL
	w.sockets = w.serveAgent(w.settings)
	w.way = startRelay(t, w.path(xdsSocket), w.path(controllerSocket))
	t.Cleanup(w.end)
	w.start()
	return w
}

// start starts the controller and waits until it takes calls.
func (w *world) start() {
	w.t.Helper()
	text, err := json.Marshal(w.settings)
	must(w.t, err)
	log, err := os.OpenFile(w.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(w.t, err)
	defer log.Close()
	w.command = exec.Command("/proc/self/exe")
	w.command.Env = append(os.Environ(), roleVariable+"="+string(text))
	w.command.Stdout, w.command.Stderr = log, log
	must(w.t, w.command.Start())
	testkit.Eventually(w.t, func() error {
		response, err := w.api.Get("http://octavia/healthz")
		if err != nil {
			return err
		}
		return response.Body.Close()
	})
}

// stop ends the controller: asks it to, or kills it.
func (w *world) stop(signal syscall.Signal) {
	_ = w.command.Process.Signal(signal)
	_ = w.command.Wait()
	if signal == syscall.SIGKILL {
		time.Sleep(10 * time.Millisecond) // until the sockets have seen that
		for _, s := range w.sockets {
			s.Forgive()
		}
	}
}

// end ends whatever runs, and shows the controller's log of a test that failed.
func (w *world) end() {
	w.stop(syscall.SIGKILL)
	for _, argument := range []string{"--config", "--config-path"} {
		for _, path := range w.amphorae(argument) {
			running, err := process.Find(argument, path)
			if err != nil {
				w.t.Error(err)
			}
			for _, p := range running {
				_ = p.Signal(unix.SIGCONT)
				_ = p.Signal(unix.SIGKILL)
				_ = p.Wait(context.Background())
			}
		}
	}
	text, err := os.ReadFile(w.log)
	if err != nil {
		w.t.Error(err)
	}
	// The last is what the resync says when it had to heal something.
	for _, never := range []string{"DATA RACE", "panic", "Octavia waits for what nobody worked on"} {
		if at := strings.Index(string(text), never); at >= 0 {
			w.t.Errorf("the controller's log has: %.600s", text[at:])
		}
	}
	if w.t.Failed() {
		kept := filepath.Join(w.t.ArtifactDir(), "controller.log") // go test -artifacts
		must(w.t, os.WriteFile(kept, text, 0o600))
		w.t.Logf("the controller's log, in %s, ends with:\n%s", kept, text[max(0, len(text)-4000):])
	}
}

// amphorae are the paths by which agents (--config) and Envoys (--config-path) are known.
func (w *world) amphorae(argument string) []string {
	entries, err := os.ReadDir(w.path("s"))
	if err != nil {
		return nil
	}
	var paths []string
	for _, entry := range entries {
		if argument == "--config" {
			paths = append(paths, w.path("s/"+entry.Name()+"/agent.json"))
		} else {
			paths = append(paths, agent.BootstrapPath(w.path("r/"+entry.Name())))
		}
	}
	return paths
}

// debug reads a page of the controller's profiles.
func (w *world) debug(page string) (string, error) {
	client := unixClient(w.path(debugSocket))
	defer client.CloseIdleConnections()
	return read(client, "/debug/pprof/"+page)
}

func unixClient(socket string) *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
}

func read(client *http.Client, path string) (string, error) {
	response, err := client.Get("http://socket" + path)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(response.Status + " " + string(text))
	}
	return string(text), err
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// relay is the way of the amphorae to the controller, which can be cut.
type relay struct {
	target string
	mu     sync.Mutex
	open   map[net.Conn]struct{}
}

func startRelay(t *testing.T, socket, target string) *relay {
	t.Helper()
	listener, err := net.Listen("unix", socket)
	must(t, err)
	r := &relay{target: target, open: map[net.Conn]struct{}{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { r.serve(connection) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		r.cut()
		running.Wait()
	})
	return r
}

func (r *relay) serve(amphora net.Conn) {
	defer amphora.Close()
	controller, err := net.Dial("unix", r.target)
	if err != nil {
		return
	}
	defer controller.Close()
	ends := []net.Conn{amphora, controller}
	r.mu.Lock()
	for _, end := range ends {
		r.open[end] = struct{}{}
	}
	r.mu.Unlock()
	var both sync.WaitGroup
	for i := range ends {
		both.Go(func() {
			_, _ = io.Copy(ends[i], ends[1-i])
			_ = ends[i].Close()
		})
	}
	both.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, end := range ends {
		delete(r.open, end)
	}
}

// cut ends all streams there are.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for end := range r.open {
		_ = end.Close()
	}
}
