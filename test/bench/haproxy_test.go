package bench

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	octavia "github.com/octavia-envoy/octavia-envoy/test/haproxy"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// haproxy is one as the amphora agent runs it: a master process that is told to start a new worker.
type haproxy struct {
	renderer *octavia.Renderer
	file     string
	pid      int
	logging  bool
	log      string
	// logged counts the lines that came.
	logged atomic.Int64
}

// startHAProxy runs one until the end of the benchmark. It logs as Octavia's does by default, to a socket that somebody
// reads, or not at all.
func startHAProxy(tb testing.TB, r *octavia.Renderer, lb *model.LoadBalancer, logging bool) *haproxy {
	tb.Helper()
	dir := testkit.SocketDir(tb)
	h := &haproxy{renderer: r, file: filepath.Join(dir, "haproxy.cfg"), logging: logging}
	// Octavia's is a unix socket, which by default holds ten lines and loses the others: this one is to lose none.
	sink, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(tb, err)
	require.NoError(tb, sink.SetReadBuffer(4<<20))
	h.log = sink.LocalAddr().String()
	tb.Cleanup(func() { _ = sink.Close() })
	go func() {
		for line := make([]byte, 16<<10); ; {
			if _, err := sink.Read(line); err != nil {
				return
			}
			h.logged.Add(1)
		}
	}()
	h.write(tb, lb)
	command := exec.Command(octavia.Path(tb), "-W", "-db", "-f", h.file)
	command.Env = append(os.Environ(), "HAPROXY_MWORKER=1")
	var said bytes.Buffer
	command.Stderr = &said
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	require.NoError(tb, command.Start())
	h.pid = command.Process.Pid
	tb.Cleanup(func() {
		_ = syscall.Kill(-h.pid, syscall.SIGKILL) // the master and every worker
		_ = command.Wait()
		if tb.Failed() {
			tb.Logf("HAProxy said:\n%s", said.String())
		}
	})
	return h
}

// write renders and writes the configuration.
func (h *haproxy) write(tb testing.TB, lb *model.LoadBalancer) {
	tb.Helper()
	config, err := h.renderer.Render(lb)
	require.NoError(tb, err)
	if !h.logging {
		config = strings.ReplaceAll(config, "    log global\n", "    no log\n")
	}
	// The process that the amphora agent would run, but for users and places.
	global := fmt.Sprintf("global\n    maxconn 5000\n    nbthread 1\n    log %s local0\n    stats socket %s mode 0666 level user expose-fd listeners\n\n",
		h.log, filepath.Join(filepath.Dir(h.file), "stats"))
	require.NoError(tb, os.WriteFile(h.file, []byte(global+config), 0o600))
}

// reload does what the amphora agent does with a new configuration: it checks it, and then reloads the service, whose unit
// checks it once more and signals the master.
func (h *haproxy) reload(tb testing.TB) {
	tb.Helper()
	for range 2 {
		output, err := exec.Command(octavia.Path(tb), "-c", "-f", h.file).CombinedOutput()
		require.NoError(tb, err, string(output))
	}
	require.NoError(tb, syscall.Kill(h.pid, syscall.SIGUSR2))
}

// processes are the master and its workers, those that end included.
func (h *haproxy) processes(tb testing.TB) []int {
	tb.Helper()
	pids := []int{h.pid}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", h.pid, h.pid))
	require.NoError(tb, err)
	for field := range strings.FieldsSeq(string(text)) {
		var pid int
		_, err := fmt.Sscan(field, &pid)
		require.NoError(tb, err)
		pids = append(pids, pid)
	}
	return pids
}

func (h *haproxy) cpu(tb testing.TB) time.Duration {
	tb.Helper()
	var total time.Duration
	for _, pid := range h.processes(tb) {
		total += testkit.CPU(tb, pid)
	}
	return total
}
