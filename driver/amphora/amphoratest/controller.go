// Package amphoratest runs the controller's side of amphorae for tests: a real store, certificate authority, Fleet and xDS
// server on a unix socket. What tests run against it are real agents and Envoys.
package amphoratest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/octavia-envoy/octavia-envoy/driver/amphora"
	"github.com/octavia-envoy/octavia-envoy/driver/certs"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/server"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// Controller is what amphorae connect to.
type Controller struct {
	// Dir is a folder with a short path, for sockets; it goes with the test.
	Dir       string
	Authority *certs.Authority
	Store     *store.Store
	// Fleet and Server are new after each Start.
	Fleet  *amphora.Fleet
	Server *server.Server
	// FleetOptions may be changed before Start.
	FleetOptions amphora.FleetOptions

	tb   testing.TB
	stop func()
}

// New makes a Controller that is not started.
func New(tb testing.TB) *Controller {
	tb.Helper()
	dir := testkit.SocketDir(tb)
	authority, err := certs.LoadOrCreate(filepath.Join(dir, "ca"), nil)
	check(tb, err)
	db, err := store.Open(context.Background(), store.Options{DSN: "sqlite:" + filepath.Join(dir, "store.db")})
	check(tb, err)
	tb.Cleanup(func() { _ = db.Close() })
	check(tb, db.Migrate(context.Background()))
	return &Controller{
		Dir: dir, Authority: authority, Store: db, tb: tb,
		FleetOptions: amphora.FleetOptions{Store: db, Signer: authority},
	}
}

// Address is where agents and Envoys connect.
func (c *Controller) Address() string { return "unix:" + c.socket() }

func (c *Controller) socket() string { return filepath.Join(c.Dir, "xds.sock") }

// Start serves until Stop or the end of the test.
func (c *Controller) Start() {
	c.tb.Helper()
	c.Fleet = amphora.NewFleet(c.FleetOptions)
	xds, err := server.New(server.Options{
		TLS: c.Authority.ServerTLS(nil, nil), Register: []func(*grpc.Server){c.Fleet.Register},
	})
	check(c.tb, err)
	c.Server = xds
	_ = os.Remove(c.socket())
	listener, err := net.Listen("unix", c.socket())
	check(c.tb, err)
	c.stop = testkit.Run(c.tb, func(ctx context.Context) error { return xds.Serve(ctx, []net.Listener{listener}) })
}

// Stop ends serving, as a controller that dies does.
func (c *Controller) Stop() { c.stop() }

// ServeNothing gives the amphora's Envoy an empty configuration, with which it becomes live.
func (c *Controller) ServeNothing(amphoraID string) {
	for _, kind := range []string{"cluster", "listener"} {
		c.Server.Update(amphoraID, TypeURL(kind), nil, nil)
	}
}

// TypeURL returns that of the resources of a kind; server.Kind has the words.
func TypeURL(kind string) string {
	for _, typeURL := range translate.TypeURLs() {
		if server.Kind(typeURL) == kind {
			return typeURL
		}
	}
	panic("no resources are of the kind " + kind)
}

// BuildAgent builds amphora-agent into dir and returns its path. Call it from TestMain: linking takes seconds.
func BuildAgent(dir string) (string, error) {
	path := filepath.Join(dir, "amphora-agent")
	command := exec.Command("go", "build", "-o", path,
		"github.com/octavia-envoy/octavia-envoy/amphora-image/cmd/amphora-agent")
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build amphora-agent: %w\n%s", err, output)
	}
	return path, nil
}

// Main builds amphora-agent, hands its path to use, and runs the tests. It is for TestMain.
func Main(m *testing.M, use func(agentPath string)) {
	dir, err := os.MkdirTemp("", "oe-agent")
	code := 1
	if err == nil {
		var path string
		if path, err = BuildAgent(dir); err == nil {
			use(path)
			code = m.Run()
		}
		_ = os.RemoveAll(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// DumpOnFailure shows a log file when the test has failed.
func DumpOnFailure(tb testing.TB, path string) {
	tb.Cleanup(func() {
		if !tb.Failed() {
			return
		}
		data, err := os.ReadFile(path)
		if err != nil {
			tb.Logf("%s: %v", path, err)
			return
		}
		lines := strings.Split(string(data), "\n")
		tb.Logf("%s:\n%s", path, strings.Join(lines[max(0, len(lines)-60):], "\n"))
	})
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
