package bench

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/envoyadmin"
	"github.com/octavia-envoy/octavia-envoy/api"
	"github.com/octavia-envoy/octavia-envoy/driver/certs"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/reconcile"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/seal"
	"github.com/octavia-envoy/octavia-envoy/test/warming"
	"github.com/octavia-envoy/octavia-envoy/xds/publish"
	"github.com/octavia-envoy/octavia-envoy/xds/server"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// serverName is what Envoys call the programs.
const serverName = "controller.test"

// The sockets and the CA in settings.Dir.
const (
	apiSocket, statusSocket, statsSocket, getSocket = "api.sock", "status.sock", "stats.sock", "get.sock"
	authorityDir                                    = "ca"
)

// controller is the program that is measured. It is wired as driver/cmd/octavia-envoy does it, but that the machines of
// amphorae are somebody else's, and that nobody reports health and statistics.
type controller struct {
	settings   settings
	store      *store.Store
	xds        *server.Server
	reconciler *reconcile.Reconciler
	sender     *status.Sender
	api        http.Handler
	registry   *prometheus.Registry

	// unsynced are the amphorae that have not told that they hold all.
	unsynced []string
}

func startController(ctx context.Context, s settings) (handler, error) {
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: logLevel()}))
	c := &controller{settings: s, registry: prometheus.NewRegistry()}
	path := func(name string) string { return filepath.Join(s.Dir, name) }
	keys, err := seal.LoadOrCreate(path("keys"), time.Now())
	if err != nil {
		return nil, err
	}
	if c.store, err = store.Open(ctx, store.Options{DSN: s.DSN, Logger: logger, Keys: keys}); err != nil {
		return nil, err
	}
	if err := c.store.Migrate(ctx); err != nil {
		return nil, err
	}
	authority, err := certs.LoadOrCreate(path(authorityDir), time.Now)
	if err != nil {
		return nil, err
	}
	c.xds, err = server.New(server.Options{
		Logger: logger, TLS: authority.ServerTLS([]string{serverName}, nil), Registry: c.registry,
		Identify: func(certificate *x509.Certificate) (string, string, error) {
			identity, name, err := certs.Identity(certificate)
			return string(identity), name, err
		},
	})
	if err != nil {
		return nil, err
	}
	agent := &status.Agent{
		StatusSocket: path(statusSocket), StatsSocket: path(statsSocket), GetSocket: path(getSocket),
		Metrics: status.NewAgentMetrics(c.registry),
	}
	c.sender = status.NewSender(status.SenderOptions{Outbox: c.store, Agent: agent, Sent: func() {}, Logger: logger, Registry: c.registry})
	var gate publish.Warming
	if s.Admin != "" {
		gate = warming.Envoy{Admin: envoyadmin.New(s.Admin)}
	}
	c.reconciler = reconcile.New(reconcile.Options{
		Store: c.store, Octavia: agent, Amphorae: ready{c.store}, Publisher: publish.New(c.xds, gate, logger),
		Report: c.sender.Wake, Owner: "bench", Deadline: time.Minute, RetryInterval: time.Minute, Parallel: 32,
		Registry: c.registry, Logger: logger,
	})
	c.api = api.New(api.Options{Store: c.store, Registry: c.registry, Logger: logger, Wake: c.reconciler.Wake}) //nolint:contextcheck // its handlers have the contexts of their requests
	return func(o order) (answer, error) { return c.obey(ctx, o) }, nil
}

func logLevel() slog.Level {
	var level slog.Level
	if level.UnmarshalText([]byte(os.Getenv("BENCH_LOG"))) != nil {
		return slog.LevelError
	}
	return level
}

func (c *controller) obey(ctx context.Context, o order) (answer, error) {
	switch o.Do {
	case "populate":
		return answer{}, c.populate(ctx, o)
	case "serve":
		return c.serve(ctx)
	case "synced":
		return c.synced(), nil
	case "sent":
		return c.sent()
	}
	return answer{}, fmt.Errorf("no order %q", o.Do)
}

// populate puts load balancers into the store as if all had been published.
func (c *controller) populate(ctx context.Context, o order) error {
	numbers, failed := make(chan int), make(chan error, 1)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for number := range numbers {
				tree := o.Shape.tree(number)
				tree.Flavor = o.Flavor
				if err := c.put(ctx, tree); err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			}
		})
	}
	for i := range o.Count {
		numbers <- o.First + i
	}
	close(numbers)
	group.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func (c *controller) put(ctx context.Context, tree *model.LoadBalancer) error {
	_, err := c.store.SaveTree(ctx, tree)
	return errors.Join(err,
		c.store.PutAmphora(ctx, model.Amphora{
			ID: amphoraOf(tree.ID), LoadBalancerID: tree.ID, Status: model.AmphoraAllocated, Compute: "bench", CreatedAt: time.Now(),
		}),
		c.store.Finish(ctx, store.Finish{LoadBalancerID: tree.ID, ProvisioningStatus: model.ProvisioningActive, Published: true}))
}

// serve starts the controller in the order of `octavia-envoy serve`, and tells how long what precedes the first answer took.
func (c *controller) serve(ctx context.Context) (answer, error) {
	begin := time.Now()
	if err := c.reconciler.Restore(ctx); err != nil {
		return answer{}, err
	}
	restored := time.Since(begin)
	c.unsynced = c.xds.Nodes()
	address := c.settings.Address
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return answer{}, err
	}
	calls, err := api.Listen(ctx, api.ListenOptions{UnixSocket: filepath.Join(c.settings.Dir, apiSocket)})
	if err != nil {
		return answer{}, err
	}
	for _, run := range []func(context.Context) error{
		func(ctx context.Context) error { return c.xds.Serve(ctx, []net.Listener{listener}) },
		c.reconciler.Run, c.sender.Run,
		func(ctx context.Context) error { return api.Serve(ctx, c.api, slog.New(slog.DiscardHandler), calls...) },
	} {
		go func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, "controller:", err)
				os.Exit(1)
			}
		}()
	}
	return answer{Address: listener.Addr().String(), Values: map[string]float64{"restored": restored.Seconds()}}, nil
}

// synced counts the amphorae that were known at the start and do not hold all that they shall, or have not said so.
func (c *controller) synced() answer {
	c.unsynced = slices.DeleteFunc(c.unsynced, func(node string) bool {
		for _, typeURL := range translate.TypeURLs() {
			want := c.xds.Versions(node, typeURL)
			if len(want) > 0 && !maps.Equal(want, c.xds.Held(node, typeURL)) {
				return false
			}
		}
		return true
	})
	return answer{Count: len(c.unsynced)}
}

// sent counts the resources that were sent, the messages in which they were, and the refusals.
func (c *controller) sent() (answer, error) {
	families, err := c.registry.Gather()
	if err != nil {
		return answer{}, err
	}
	a := answer{Values: map[string]float64{}}
	for _, family := range families {
		name, ours := strings.CutPrefix(family.GetName(), "octavia_envoy_xds_")
		if !ours {
			continue
		}
		for _, metric := range family.GetMetric() {
			a.Values[name] += metric.GetCounter().GetValue()
		}
	}
	return a, nil
}

// ready are amphorae that somebody has built.
type ready struct{ store *store.Store }

// Ensure implements reconcile.Amphorae.
func (r ready) Ensure(ctx context.Context, tree *model.LoadBalancer) ([]model.Amphora, error) {
	return r.store.Amphorae(ctx, tree.ID)
}

// Delete implements reconcile.Amphorae.
func (r ready) Delete(ctx context.Context, loadBalancerID string) error {
	return r.store.DeleteAmphora(ctx, amphoraOf(loadBalancerID))
}
