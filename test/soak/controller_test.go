package soak

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/octavia-envoy/octavia-envoy/api"
	"github.com/octavia-envoy/octavia-envoy/driver/amphora"
	localcompute "github.com/octavia-envoy/octavia-envoy/driver/amphora/local"
	"github.com/octavia-envoy/octavia-envoy/driver/certs"
	"github.com/octavia-envoy/octavia-envoy/driver/health"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/reconcile"
	"github.com/octavia-envoy/octavia-envoy/driver/resync"
	"github.com/octavia-envoy/octavia-envoy/driver/statistics"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/seal"
	"github.com/octavia-envoy/octavia-envoy/xds/publish"
	"github.com/octavia-envoy/octavia-envoy/xds/server"
)

// The sockets in settings.Dir. Amphorae come by way of xdsSocket, which the test relays to controllerSocket.
const (
	apiSocket, statusSocket, statsSocket, getSocket = "api.sock", "status.sock", "stats.sock", "get.sock"
	xdsSocket, controllerSocket, debugSocket        = "xds.sock", "ctl.sock", "debug.sock"
)

// drainTime is how long connections of a replaced listener may go on.
const drainTime = 3 * time.Second

func (s settings) path(name string) string { return filepath.Join(s.Dir, name) }

// runController is driver/cmd/octavia-envoy's serve, but for three parts: amphorae are in this machine's network namespace
// and have their VIPs already (loopback), nobody makes ports in Neutron or reads Barbican, and a debug socket has the
// profiles of net/http/pprof.
func runController(s settings) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	registry := prometheus.NewRegistry()
	keys, err := seal.LoadOrCreate(s.path("keys"), time.Now())
	if err != nil {
		return err
	}
	st, err := store.Open(ctx, store.Options{DSN: "sqlite:" + s.path("db"), Logger: logger, Keys: keys})
	if err != nil {
		return err
	}
	defer st.Close()
	if err := st.Migrate(ctx); err != nil {
		return err
	}
	authority, err := certs.LoadOrCreate(s.path("ca"), time.Now)
	if err != nil {
		return err
	}
	agent := &status.Agent{StatusSocket: s.path(statusSocket), StatsSocket: s.path(statsSocket), GetSocket: s.path(getSocket)}
	var (
		sender     *status.Sender
		reconciler *reconcile.Reconciler
	)
	statistic := statistics.New(statistics.Options{Store: st, Octavia: agent, Logger: logger, Registry: registry})
	keeper := health.New(health.Options{Store: st, Report: func() { sender.Wake() }, Logger: logger, Registry: registry})
	fleet := amphora.NewFleet(amphora.FleetOptions{
		Store: st, Signer: authority, Logger: logger, Health: keeper.Hear, Statistics: statistic.Report, Registry: registry,
	})
	xds, err := server.New(server.Options{
		Logger: logger, TLS: authority.ServerTLS(nil, nil), Registry: registry, Register: []func(*grpc.Server){fleet.Register},
		Identify: func(certificate *x509.Certificate) (string, string, error) {
			identity, name, err := certs.Identity(certificate)
			return string(identity), name, err
		},
		Arrives: func(ctx context.Context, node string) error { return reconciler.Arrives(ctx, node) },
	})
	if err != nil {
		return err
	}
	compute, err := localcompute.New(localcompute.Options{
		StateDir: s.path("s"), RunDir: s.path("r"), AgentPath: s.AgentPath, EnvoyPath: s.EnvoyBin,
		Controller: "unix:" + s.path(xdsSocket), Issuer: authority, Concurrency: 2, DrainSeconds: int(drainTime.Seconds()), Logger: logger,
		Namespace: func(string) string { return "" }, Enter: func(_ string, do func() error) error { return do() },
	})
	if err != nil {
		return err
	}
	manager := amphora.NewManager(amphora.ManagerOptions{Store: st, Fleet: fleet, Compute: compute, Network: plugged{}, Logger: logger})
	sender = status.NewSender(status.SenderOptions{Outbox: st, Agent: agent, Sent: keeper.Wake, Logger: logger, Registry: registry})
	rest := resync.NewAPI(func(context.Context) (*gophercloud.ServiceClient, error) {
		return &gophercloud.ServiceClient{
			ProviderClient: &gophercloud.ProviderClient{TokenID: "token"}, Endpoint: s.Octavia + "/", ResourceBase: s.Octavia + "/v2.0/",
		}, nil
	}, "envoy")
	publisher := publish.New(xds, fleet, logger)
	publisher.Metrics = publish.NewMetrics(registry)
	reconciler = reconcile.New(reconcile.Options{
		Store: st, Octavia: agent, Amphorae: manager, Publisher: publisher, Gone: statistic.Forget, Elsewhere: fleet.Elsewhere,
		Report: sender.Wake, Owner: "soak", Deadline: time.Minute, RetryInterval: 5 * time.Second, Parallel: 8,
		Registry: registry, Logger: logger, Statuses: rest, Trees: rest,
	})
	again := resync.New(resync.Options{
		Store: st, Agent: agent, Logger: logger, Registry: registry, Octavia: rest,
		Interval: 10 * time.Second, PendingAge: 5 * time.Second, Wake: reconciler.Wake,
	})
	calls := api.New(api.Options{Store: st, Octavia: resolver{agent}, Registry: registry, Logger: logger, Wake: reconciler.Wake})
	return serve(ctx, s, logger, calls, reconciler.Restore, map[string]func(context.Context) error{
		"amphorae": manager.Watch, "reconcile": reconciler.Run, "status": sender.Run, "health": keeper.Run,
		"statistics": statistic.Run, "resync": again.Run,
	}, xds)
}

// serve starts everything in the order of `octavia-envoy serve`.
func serve(
	ctx context.Context, s settings, logger *slog.Logger, calls http.Handler, restore func(context.Context) error,
	parts map[string]func(context.Context) error, xds *server.Server,
) error {
	if err := restore(ctx); err != nil {
		return err
	}
	sockets := map[string][]net.Listener{}
	for _, name := range []string{controllerSocket, debugSocket, apiSocket} {
		opened, err := api.Listen(ctx, api.ListenOptions{UnixSocket: s.path(name)})
		if err != nil {
			return err
		}
		sockets[name] = opened
	}
	group, ctx := errgroup.WithContext(ctx)
	parts["xDS"] = func(ctx context.Context) error { return xds.Serve(ctx, sockets[controllerSocket]) }
	parts["API"] = func(ctx context.Context) error { return api.Serve(ctx, calls, logger, sockets[apiSocket]...) }
	parts["debug"] = func(ctx context.Context) error { return api.Serve(ctx, profiles(), logger, sockets[debugSocket]...) }
	for name, part := range parts {
		group.Go(func() error {
			if err := part(ctx); err != nil && !errors.Is(err, context.Canceled) {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	return mux
}

// plugged is a network whose VIPs are everywhere already.
type plugged struct{}

func (plugged) Plug(context.Context, model.Amphora, *model.LoadBalancer) error { return nil }
func (plugged) Replug(context.Context, model.Amphora) error                    { return nil }
func (plugged) Unplug(context.Context, model.Amphora) error                    { return nil }

// resolver is driver/cmd/octavia-envoy's.
type resolver struct{ agent *status.Agent }

func (r resolver) LoadBalancerOf(ctx context.Context, ref model.Ref, parentID string) (string, error) {
	id, err := r.agent.LoadBalancerOf(ctx, ref, parentID)
	if errors.Is(err, status.ErrGone) {
		return "", fmt.Errorf("%w: %w", store.ErrNotFound, err)
	}
	return id, err
}
