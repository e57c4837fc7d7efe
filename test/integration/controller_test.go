package integration

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/publish"
	"github.com/octavia-envoy/octavia-envoy/xds/server"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// controller is the xDS server and publisher as a controller's process has them.
type controller struct {
	t         *testing.T
	server    *server.Server
	publisher *publish.Publisher
	registry  *prometheus.Registry
	address   string
	socket    string
	stop      func()
}

// startController starts one on address, "" for any, and on a unix socket of the same directory.
func startController(t *testing.T, ca *testkit.Authority, warming publish.Warming, address string, restore func(*publish.Publisher)) *controller {
	t.Helper()
	if address == "" {
		address = "127.0.0.1:0"
	}
	c := &controller{t: t, registry: prometheus.NewRegistry(), socket: filepath.Join(testkit.SocketDir(t), "xds.sock")}
	logger := slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelInfo}))
	var err error
	c.server, err = server.New(server.Options{Logger: logger, TLS: serverTLS(t, ca), Registry: c.registry})
	must(t, err)
	c.publisher = publish.New(c.server, warming, logger)
	if restore != nil {
		restore(c.publisher)
	}
	tcp, err := net.Listen("tcp", address)
	must(t, err)
	unix, err := net.Listen("unix", c.socket)
	must(t, err)
	c.address = tcp.Addr().String()

	c.stop = testkit.Run(t, func(ctx context.Context) error { return c.server.Serve(ctx, []net.Listener{tcp, unix}) })
	return c
}

// publish publishes and fails the test on an error.
func (c *controller) publish(node string, want *translate.Resources) publish.Result {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), testkit.Patience)
	defer cancel()
	result, err := c.publisher.Publish(ctx, node, want)
	must(c.t, err)
	return result
}

// accepted publishes and fails the test on an error or a rejection.
func (c *controller) accepted(node string, want *translate.Resources) publish.Result {
	c.t.Helper()
	result := c.publish(node, want)
	if len(result.Rejected) > 0 {
		c.t.Fatalf("Envoy refused %v", result.Rejected)
	}
	return result
}

// metric is the value of a counter of ours for a type; 0 when it was never counted.
func (c *controller) metric(name, kind string) float64 {
	c.t.Helper()
	families, err := c.registry.Gather()
	must(c.t, err)
	for _, family := range families {
		if family.GetName() != "octavia_envoy_xds_"+name {
			continue
		}
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				if label.GetValue() == kind {
					return m.GetCounter().GetValue()
				}
			}
		}
	}
	return 0
}

// sent are the counts of resources and removals sent so far, by type.
func (c *controller) sent() map[string]float64 {
	sent := map[string]float64{}
	for _, kind := range []string{"cluster", "endpoint", "listener", "route", "secret"} {
		if n := c.metric("resources_sent_total", kind); n > 0 {
			sent[kind] = n
		}
		if n := c.metric("removals_sent_total", kind); n > 0 {
			sent["removed "+kind] = n
		}
	}
	return sent
}

// since is what was sent after before.
func since(before, after map[string]float64) map[string]float64 {
	diff := map[string]float64{}
	for kind, n := range after {
		if n != before[kind] {
			diff[kind] = n - before[kind]
		}
	}
	return diff
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(line []byte) (int, error) {
	if w.t.Context().Err() == nil {
		w.t.Logf("controller: %s", line[:len(line)-1])
	}
	return len(line), nil
}
