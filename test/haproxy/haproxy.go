// Package haproxy has what tests need to compare with Octavia's own driver: HAProxy, and Octavia's templates for it. Those
// that use the templates lie in folders beside this one: it finds the rest by that.
package haproxy

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

const hint = "run `test/cloud/cloud prepare --tests`"

// Path returns the HAProxy to compare with.
func Path(tb testing.TB) string {
	tb.Helper()
	for _, name := range []string{"haproxy", "/usr/sbin/haproxy"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	tb.Fatal("no HAProxy found: " + hint)
	return ""
}

// python returns the path of the Python that has Octavia.
func python() (string, error) {
	var problem strings.Builder
	command := exec.Command("../cloud/cloud", "venv")
	command.Stderr = &problem
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("find Octavia: %s (%w: %s)", hint, err, strings.TrimSpace(problem.String()))
	}
	return filepath.Join(strings.TrimSpace(string(output)), "bin", "python"), nil
}

// Renderer is Octavia's own renderer of configurations, running: to import Octavia takes it seconds.
type Renderer struct {
	in  io.Writer
	out *bufio.Reader
}

// StartRenderer runs one until the end of the test.
func StartRenderer(tb testing.TB) *Renderer {
	tb.Helper()
	path, err := python()
	if err != nil {
		tb.Fatal(err)
	}
	var problem strings.Builder
	command := exec.Command(path, "-W", "ignore", "../parity/render.py")
	command.Stderr = &problem
	in, err := command.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := command.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = in.Close()
		if err := command.Wait(); err != nil {
			tb.Errorf("render.py: %v\n%s", err, problem.String())
		}
	})
	return &Renderer{in: in, out: bufio.NewReader(out)}
}

// Render returns what Octavia would write for the load balancer, without its section global: that one names places and
// users of an amphora, and there is one to a process.
func (r *Renderer) Render(lb *model.LoadBalancer) (string, error) {
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
