package tlscost

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/envoyadmin"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/envoybin"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/test/warming"
	"github.com/octavia-envoy/octavia-envoy/xds/bootstrap"
	"github.com/octavia-envoy/octavia-envoy/xds/publish"
	"github.com/octavia-envoy/octavia-envoy/xds/server"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

const (
	controllerName = "controller.test"
	amphora        = "amphora"
)

// controlled is an Envoy as an amphora runs it, and the xDS server and the publisher of a controller.
type controlled struct {
	publisher *publish.Publisher
	admin     *envoyadmin.Client
	pid       int
}

func startControlled(tb testing.TB) *controlled {
	tb.Helper()
	ca, dir := testkit.NewAuthority(tb), testkit.SocketDir(tb)
	path := func(name string) string { return filepath.Join(dir, name) }
	logger := slog.New(slog.DiscardHandler)
	xds, err := server.New(server.Options{Logger: logger, TLS: &tls.Config{
		Certificates: []tls.Certificate{ca.Issue(tb, testkit.Named(tb, controllerName))}, ClientCAs: ca.Pool(),
	}})
	require.NoError(tb, err)
	socket, err := net.Listen("unix", path("xds.sock"))
	require.NoError(tb, err)
	testkit.Run(tb, func(ctx context.Context) error { return xds.Serve(ctx, []net.Listener{socket}) })

	options := bootstrap.Options{
		NodeID: amphora, Cluster: "lb", Controller: "unix:" + path("xds.sock"), ServerName: controllerName,
		CertFile: path("cert.pem"), KeyFile: path("key.pem"), CAFile: path("ca.pem"), AdminSocket: path("admin.sock"),
	}
	files, err := bootstrap.Secrets(options)
	require.NoError(tb, err)
	files[options.CertFile], files[options.KeyFile] = testkit.PEM(tb, ca.Issue(tb, testkit.Named(tb, "octavia-envoy://amphora/"+amphora)))
	files[options.CAFile] = ca.PEM()
	files[path("envoy.json")], err = bootstrap.Envoy(options)
	require.NoError(tb, err)
	for file, content := range files {
		require.NoError(tb, os.WriteFile(file, content, 0o600))
	}
	command := envoybin.Command(tb, path("envoy.json"), "--concurrency", "2", "--log-level", "error")
	testkit.Start(tb, command)
	c := &controlled{pid: command.Process.Pid, admin: envoyadmin.New(options.AdminSocket)}
	c.publisher = publish.New(xds, warming.Envoy{Admin: c.admin}, logger)
	return c
}

func (c *controlled) stats(tb testing.TB, filter string) map[string]uint64 {
	tb.Helper()
	stats, err := c.admin.Stats(tb.Context(), filter)
	require.NoError(tb, err)
	return stats
}

// serve publishes a load balancer and fails unless all of it is in effect.
func (c *controlled) serve(tb testing.TB, lb *model.LoadBalancer) {
	tb.Helper()
	resources, err := translate.LoadBalancer(lb)
	require.NoError(tb, err)
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	result, err := c.publisher.Publish(ctx, amphora, resources)
	require.NoError(tb, err)
	require.Empty(tb, result.Rejected)
}

// allocated is what Envoy has in use of its memory, in KiB, whatever its allocator holds beside it.
func (c *controlled) allocated(tb testing.TB) float64 {
	tb.Helper()
	text, err := c.admin.Do(tb.Context(), http.MethodGet, "/memory")
	require.NoError(tb, err)
	var memory struct {
		Allocated float64 `json:"allocated,string"`
	}
	require.NoError(tb, json.Unmarshal(text, &memory), string(text))
	require.Positive(tb, memory.Allocated)
	return memory.Allocated / 1024
}
