package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/process"
)

// machine is a load balancer's amphora: its agent and its Envoy.
type machine struct {
	w      *world
	id     string
	config string
}

// amphoraOf finds the one of a load balancer.
func (w *world) amphoraOf(id string) *machine {
	w.t.Helper()
	for _, path := range w.amphorae("--config") {
		var config agent.Config
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it goes
		}
		must(w.t, json.Unmarshal(text, &config))
		if config.LoadBalancerID == id {
			return &machine{w, config.AmphoraID, path}
		}
	}
	w.t.Fatalf("load balancer %s has no amphora", id)
	return nil
}

// signal sends a signal to the agent (--config) or to Envoy (--config-path).
func (a *machine) signal(argument string, signal unix.Signal) {
	a.w.t.Helper()
	path := a.config
	if argument == "--config-path" {
		path = agent.BootstrapPath(a.w.path("r/" + a.id))
	}
	running, err := process.Find(argument, path)
	must(a.w.t, err)
	for _, p := range running {
		must(a.w.t, p.Signal(signal))
		if signal == unix.SIGKILL {
			must(a.w.t, p.Wait(context.Background()))
		}
	}
}

func (a *machine) socket() string { return agent.AdminSocket(a.w.path("r/" + a.id)) }

// admin reads a page of Envoy's.
func (a *machine) admin(path string) (string, error) {
	client := unixClient(a.socket())
	defer client.CloseIdleConnections()
	return read(client, path)
}

// stats are Envoy's counters and gauges that fit a regular expression.
func (a *machine) stats(filter string) (map[string]int, error) {
	text, err := a.admin("/stats?filter=" + filter)
	if err != nil {
		return nil, err
	}
	all := map[string]int{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if n, err := strconv.Atoi(value); err == nil {
			all[name] = n
		}
	}
	return all, nil
}

// quiet is nil when nothing warms or drains.
func (a *machine) quiet() error {
	stats, err := a.stats(`^(listener_manager\.total_(listeners|filter_chains)_(draining|warming)|cluster_manager\.warming_clusters)$`)
	if err != nil {
		return err
	}
	for name, n := range stats {
		if n > 0 {
			return fmt.Errorf("%s is %d", name, n)
		}
	}
	return nil
}
