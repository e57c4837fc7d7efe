package bench

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
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
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// python is that of the virtual environment that has Octavia; "" where there is none.
func python() string {
	output, err := exec.Command("../cloud/cloud", "venv").Output()
	if err != nil {
		return ""
	}
	return filepath.Join(string(bytes.TrimSpace(output)), "bin", "python")
}

// needOctavia skips a test of the ordinary ones where Octavia and HAProxy are not installed; benchmarks need them.
func needOctavia(tb testing.TB) {
	tb.Helper()
	if _, err := exec.LookPath(haproxyBinary()); err == nil && python() != "" {
		return
	}
	const hint = "Octavia and HAProxy are needed: run `test/cloud/cloud prepare --tests`"
	if _, benchmark := tb.(*testing.B); benchmark {
		tb.Fatal(hint)
	}
	tb.Skip(hint)
}

func haproxyBinary() string {
	if path, err := exec.LookPath("haproxy"); err == nil {
		return path
	}
	return "/usr/sbin/haproxy"
}

// renderer is Octavia's own renderer of configurations, running: to import Octavia takes seconds.
type renderer struct {
	in  io.Writer
	out *bufio.Reader
}

func startRenderer(tb testing.TB) *renderer {
	tb.Helper()
	command := exec.Command(python(), "-W", "ignore", "../parity/render.py")
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	require.NoError(tb, err)
	out, err := command.StdoutPipe()
	require.NoError(tb, err)
	require.NoError(tb, command.Start())
	tb.Cleanup(func() {
		_ = in.Close()
		_ = command.Wait()
	})
	return &renderer{in: in, out: bufio.NewReader(out)}
}

// render returns what Octavia would write for the load balancer, without the section global.
func (r *renderer) render(tb testing.TB, lb *model.LoadBalancer) string {
	tb.Helper()
	require.NoError(tb, json.NewEncoder(r.in).Encode(lb))
	var answer struct{ Config, Error string }
	require.NoError(tb, readLine(r.out, &answer))
	require.Empty(tb, answer.Error)
	_, config, found := strings.Cut(answer.Config, "\ndefaults\n")
	require.True(tb, found, answer.Config)
	return "defaults\n" + config
}

// haproxy is one as the amphora agent runs it: a master process that is told to start a new worker.
type haproxy struct {
	renderer *renderer
	file     string
	pid      int
	logging  bool
	log      string
	// logged counts the lines that came.
	logged atomic.Int64
}

// startHAProxy runs one until the end of the benchmark. It logs as Octavia's does by default, to a socket that somebody
// reads, or not at all.
func startHAProxy(tb testing.TB, r *renderer, lb *model.LoadBalancer, logging bool) *haproxy {
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
	command := exec.Command(haproxyBinary(), "-W", "-db", "-f", h.file)
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
	config := h.renderer.render(tb, lb)
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
		output, err := exec.Command(haproxyBinary(), "-c", "-f", h.file).CombinedOutput()
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
		total += cpu(tb, pid)
	}
	return total
}
