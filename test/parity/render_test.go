package parity

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

const pythonEnv = "PARITY_PYTHON"

// pythonPath returns the Python of the virtual environment that has Octavia.
func pythonPath() (string, error) {
	var problem strings.Builder
	command := exec.Command("../cloud/cloud", "venv")
	command.Stderr = &problem
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("Octavia is needed: run `test/cloud/cloud prepare --tests` (%w: %s)", err, strings.TrimSpace(problem.String()))
	}
	return strings.TrimSpace(string(output)) + "/bin/python", nil
}

// haproxyPath returns the HAProxy to compare with.
func haproxyPath(tb testing.TB) string {
	tb.Helper()
	for _, name := range []string{"haproxy", "/usr/sbin/haproxy"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	tb.Fatal("no HAProxy found: run `test/cloud/cloud prepare --tests`")
	return ""
}

// renderer is a running render.py: to import Octavia takes it seconds.
type renderer struct {
	in  io.Writer
	out *bufio.Reader
}

func startRenderer(t *testing.T) *renderer {
	t.Helper()
	var problem strings.Builder
	command := exec.Command(os.Getenv(pythonEnv), "-W", "ignore", "render.py")
	command.Stderr = &problem
	in, err := command.StdinPipe()
	must(t, err)
	out, err := command.StdoutPipe()
	must(t, err)
	must(t, command.Start())
	t.Cleanup(func() {
		_ = in.Close()
		if err := command.Wait(); err != nil {
			t.Errorf("render.py: %v\n%s", err, problem.String())
		}
	})
	return &renderer{in: in, out: bufio.NewReader(out)}
}

// render returns what Octavia would write for the load balancer, without its section global: that one names places and
// users of an amphora, and there is one to a process.
func (r *renderer) render(lb *model.LoadBalancer) (string, error) {
	document, err := json.Marshal(lb)
	if err != nil {
		return "", err
	}
	if _, err := r.in.Write(append(document, '\n')); err != nil {
		return "", fmt.Errorf("render.py: %w", err)
	}
	line, err := r.out.ReadBytes('\n')
	if err != nil {
		return "", fmt.Errorf("render.py: %w", err)
	}
	var answer struct{ Config, Error string }
	if err := json.Unmarshal(line, &answer); err != nil {
		return "", err
	}
	if answer.Error != "" {
		return "", errors.New(answer.Error)
	}
	_, config, found := strings.Cut(answer.Config, "\ndefaults\n")
	if !found {
		return "", fmt.Errorf("no section defaults in %q", answer.Config)
	}
	return "defaults\n" + config, nil
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
