package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"google.golang.org/grpc"

	"github.com/octavia-envoy/octavia-envoy/api"
	"github.com/octavia-envoy/octavia-envoy/driver/amphora"
	localcompute "github.com/octavia-envoy/octavia-envoy/driver/amphora/local"
	"github.com/octavia-envoy/octavia-envoy/driver/certs"
	"github.com/octavia-envoy/octavia-envoy/driver/config"
	"github.com/octavia-envoy/octavia-envoy/driver/health"
	"github.com/octavia-envoy/octavia-envoy/driver/metrics"
	"github.com/octavia-envoy/octavia-envoy/driver/network"
	localnetwork "github.com/octavia-envoy/octavia-envoy/driver/network/local"
	"github.com/octavia-envoy/octavia-envoy/driver/ocsp"
	"github.com/octavia-envoy/octavia-envoy/driver/reconcile"
	"github.com/octavia-envoy/octavia-envoy/driver/resync"
	"github.com/octavia-envoy/octavia-envoy/driver/secrets"
	"github.com/octavia-envoy/octavia-envoy/driver/statistics"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/xds/fault"
	"github.com/octavia-envoy/octavia-envoy/xds/publish"
	"github.com/octavia-envoy/octavia-envoy/xds/server"
)

// controller is the parts of a controller, wired; nothing runs yet.
type controller struct {
	configuration *config.Config
	logger        *slog.Logger
	owner         string
	tls           *tls.Config
	store         *store.Store
	xds           *server.Server
	amphorae      *amphora.Manager
	reconciler    *reconcile.Reconciler
	sender        *status.Sender
	statistics    *statistics.Collector
	health        *health.Keeper
	agent         *status.Agent
	// rest is Octavia's own API.
	rest     *resync.API
	resync   *resync.Resync
	neutron  *network.Neutron
	barbican *secrets.Reader
	// stapler is nil when ocsp.enabled is false.
	stapler      *ocsp.Stapler
	certificates *secrets.Watch
	api          http.Handler
}

func newController(ctx context.Context, configuration *config.Config) (_ *controller, err error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	c := &controller{configuration: configuration, logger: logger(configuration.Log), owner: owner(configuration.API)}
	if c.store, err = openStore(ctx, configuration, registry); err != nil {
		return nil, err
	}
	authority, err := certs.LoadOrCreate(configuration.CA.Directory, time.Now)
	if err != nil {
		return nil, err
	}
	names, addresses := serverNames(configuration.XDS)
	c.tls = authority.ServerTLS(names, addresses)
	c.agent = &status.Agent{
		StatusSocket: configuration.Octavia.StatusSocket, StatsSocket: configuration.Octavia.StatsSocket,
		GetSocket: configuration.Octavia.GetSocket, Metrics: status.NewAgentMetrics(registry),
	}
	c.statistics = statistics.New(statistics.Options{Store: c.store, Octavia: c.agent, Logger: c.logger, Registry: registry})
	c.health = health.New(health.Options{
		Store: c.store, Report: func() { c.sender.Wake() }, Logger: c.logger, Registry: registry,
	})
	fleet := amphora.NewFleet(amphora.FleetOptions{
		Store: c.store, Signer: authority, Logger: c.logger, Health: c.health.Hear, Statistics: c.statistics.Report, Registry: registry,
		EnvoyHere: func(amphoraID string) bool { return c.xds.Here(amphoraID) },
	})
	c.xds, err = server.New(server.Options{
		Logger: c.logger, TLS: c.tls, Registry: registry, Identify: identify,
		Register: []func(*grpc.Server){fleet.Register},
		Arrives:  func(ctx context.Context, node string) error { return c.reconciler.Arrives(ctx, node) },
	})
	if err != nil {
		return nil, err
	}
	c.connect(registry)
	if err := c.newAmphorae(authority, fleet); err != nil {
		return nil, err
	}
	c.sender = status.NewSender(status.SenderOptions{
		Outbox: c.store, Agent: c.agent, Owner: c.owner, Sent: c.health.Wake, Logger: c.logger, Registry: registry,
	})
	if err := c.newCertificates(registry); err != nil {
		return nil, err
	}
	c.showLoadBalancers(fleet, registry)
	c.newReconciler(fleet, registry)
	c.newAPI(registry) //nolint:contextcheck // its handlers have the contexts of their requests
	return c, nil
}

func openStore(ctx context.Context, configuration *config.Config, registry prometheus.Registerer) (*store.Store, error) {
	options := storeOptions(configuration)
	options.Registry = registry
	var err error
	if options.Keys, err = startKeys(ctx, configuration, options.Logger); err != nil {
		return nil, err
	}
	opened, err := store.Open(ctx, options)
	if err != nil {
		return nil, err
	}
	have, want, err := opened.MigrationVersion(ctx)
	if err == nil && have > want {
		err = fmt.Errorf("the database is at version %d and this binary knows %d: it is older than what wrote the database", have, want)
	}
	if err == nil && have < want {
		err = opened.Migrate(ctx)
	}
	if err == nil {
		err = opened.CheckKeys(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return opened, nil
}

// connect makes the clients of OpenStack's APIs. They log in when they are used: a Keystone that is down keeps no amphora
// from serving.
func (c *controller) connect(registry prometheus.Registerer) {
	client := newOpenStack(c.configuration.OpenStack)
	c.neutron = network.New(network.Options{Client: client.Network, Store: c.store, Logger: c.logger})
	c.barbican = secrets.NewReader(client.KeyManager)
	c.rest = resync.NewAPI(client.LoadBalancer, c.configuration.Octavia.ProviderName)
	c.resync = resync.New(resync.Options{
		Store: c.store, Agent: c.agent, Logger: c.logger, Registry: registry, Octavia: c.rest,
		Interval: c.configuration.Reconcile.ResyncInterval.Duration, PendingAge: c.configuration.Reconcile.PendingAge.Duration,
		Wake: func() { c.reconciler.Wake() },
	})
}

func (c *controller) newAmphorae(authority *certs.Authority, fleet *amphora.Fleet) error {
	options := c.configuration.Amphora
	compute, err := localcompute.New(localcompute.Options{
		StateDir: options.StateDirectory, RunDir: options.RunDirectory,
		AgentPath: options.AgentBinary, EnvoyPath: options.EnvoyBinary,
		Controller: c.configuration.XDS.Listen[0], Namespace: localnetwork.NamespacePath, Enter: localnetwork.InNamespace,
		Issuer: authority, Concurrency: options.Concurrency, DrainSeconds: int(options.DrainTime.Seconds()), Logger: c.logger,
		AccessLog: accessLog(options.AccessLog), AccessLogDir: options.AccessLog.Directory, AccessLogGroup: options.AccessLog.Group,
	})
	if err != nil {
		return err
	}
	plumber := localnetwork.New(localnetwork.Options{Info: c.neutron, StateDir: options.StateDirectory, Logger: c.logger})
	c.amphorae = amphora.NewManager(amphora.ManagerOptions{
		Store: c.store, Fleet: fleet, Compute: compute, Network: plumber, Logger: c.logger,
	})
	return nil
}

// newCertificates makes what looks after the certificates of load balancers.
func (c *controller) newCertificates(registry prometheus.Registerer) error {
	refresh := func(ctx context.Context, id string) {
		if err := c.store.Refresh(ctx, id); err != nil {
			c.logger.ErrorContext(ctx, "refresh a load balancer", "lb", id, "error", err)
		}
		c.reconciler.Wake()
	}
	options := c.configuration.Secrets
	c.certificates = &secrets.Watch{
		Store: c.store, Interval: options.RefreshInterval.Duration, WarnBefore: options.WarnBefore.Duration,
		Wake: func() { c.reconciler.Wake() }, Logger: c.logger,
	}
	if err := registry.Register(c.certificates); err != nil {
		return err
	}
	if !c.configuration.OCSP.Enabled {
		return nil
	}
	networks, err := c.configuration.OCSP.Networks()
	if err != nil {
		return err
	}
	proxy, err := c.configuration.OCSP.ProxyURL()
	if err != nil {
		return err
	}
	c.stapler = ocsp.New(ocsp.Options{
		Store: c.store, Guard: ocsp.Guard{Allowed: networks, Proxy: proxy}, Changed: refresh, Registry: registry, Logger: c.logger,
	})
	return nil
}

func (c *controller) newReconciler(fleet *amphora.Fleet, registry prometheus.Registerer) {
	publisher := publish.New(c.xds, fleet, c.logger)
	publisher.Metrics, publisher.Checks = publish.NewMetrics(registry), fleet
	options := reconcile.Options{
		Store: c.store, Octavia: c.agent, Amphorae: c.amphorae, Publisher: publisher, Gone: c.statistics.Forget,
		Elsewhere: fleet.Elsewhere,
		Report:    c.sender.Wake, Owner: c.owner, Deadline: c.configuration.Reconcile.Deadline.Duration,
		RetryInterval: c.configuration.Reconcile.RetryInterval.Duration, Parallel: c.configuration.Reconcile.Parallel,
		Registry: registry, Logger: c.logger, VIPs: c.neutron, Statuses: c.rest, Trees: c.rest,
		Secrets: &secrets.Resolver{Reader: c.barbican, Logger: c.logger},
	}
	if c.stapler != nil {
		options.Staples = c.stapler
	}
	if name := c.configuration.Fault.NACKListener; name != "" {
		c.logger.Warn("fault.nack_listener is set: listeners of that name will be refused", "name", name)
		options.Mutate = fault.NACKListener(name)
	}
	c.reconciler = reconcile.New(options)
}

// showLoadBalancers adds to the metrics how load balancers and amphorae fare.
func (c *controller) showLoadBalancers(fleet *amphora.Fleet, registry prometheus.Registerer) {
	members := &metrics.Members{Store: c.store, Logger: c.logger}
	registry.MustRegister(
		&metrics.Amphorae{Fleet: fleet.States},
		&metrics.LoadBalancers{Fleet: fleet.States, Statistics: c.statistics.Snapshot, Members: members.Counts},
	)
}

func (c *controller) newAPI(registry *prometheus.Registry) {
	c.api = api.New(api.Options{
		Store: c.store, Octavia: resolver{c.agent}, Operator: operator{c.store, c.xds, c.certificates, c.stapler}, VIPs: c.neutron,
		Registry: registry, Logger: c.logger, Wake: c.reconciler.Wake, Ready: c.ready, Limits: api.Limits{Time: callTimeout},
	})
}

// callTimeout is shorter than the shim's patience (request_timeout, 10 s): a call that octavia-api has given up, and rolled
// back, should not be accepted afterwards.
const callTimeout = 8 * time.Second

// readyTimeout bounds a question to the database.
const readyTimeout = 5 * time.Second

// ready says why calls cannot be served.
func (c *controller) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	return c.store.Ping(ctx)
}

// owner names this replica in leases. A controller that was killed and started again is the same replica, and takes its
// leases up at once; that no two run at a time is seen to by the socket that both would listen on.
func owner(configuration config.API) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + ":" + configuration.UnixSocket + configuration.TCP
}

// serverNames splits the configured names of the controller into DNS names and addresses.
func serverNames(xds config.XDS) (names []string, addresses []net.IP) {
	for _, name := range xds.ServerNames {
		if address := net.ParseIP(name); address != nil {
			addresses = append(addresses, address)
			continue
		}
		names = append(names, name)
	}
	return names, addresses
}

// identify tells the xDS server whose a verified certificate is.
func identify(certificate *x509.Certificate) (role, name string, err error) {
	identity, name, err := certs.Identity(certificate)
	return string(identity), name, err
}
