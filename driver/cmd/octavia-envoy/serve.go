package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/octavia-envoy/octavia-envoy/api"
	"github.com/octavia-envoy/octavia-envoy/driver/config"
)

func serveCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "serve",
		Short: "Run the controller",
		Long: `Runs the controller until it is told to stop (SIGINT, SIGTERM). It has to run beside an octavia-driver-agent, any
number of them on one database. The database's schema is brought up to date first, and the ports open only after
everything that the amphorae should have is loaded: a restart changes nothing for them.

Each key of the configuration can be given in a file, in the environment or as a flag; the later wins.`,
		Example: `  octavia-envoy serve --config /etc/octavia-envoy.yaml
  octavia-envoy serve --config /etc/octavia-envoy.yaml --check
  OCTAVIA_ENVOY_LOG_LEVEL=debug octavia-envoy serve --store.dsn sqlite:/tmp/oe.db`,
		Args: cobra.NoArgs,
	}
	load := configFlags(command, config.Load)
	check := command.Flags().Bool("check", false, "check the configuration, print every problem, and exit")
	command.RunE = func(command *cobra.Command, _ []string) error {
		configuration, err := load()
		if err != nil {
			return err
		}
		if *check {
			fmt.Fprintln(command.OutOrStdout(), "the configuration is valid")
			return nil
		}
		return serve(command.Context(), configuration)
	}
	return command
}

// serve is the controller on one page: what each part reads and writes is said where it starts.
func serve(ctx context.Context, configuration *config.Config) error {
	c, err := newController(ctx, configuration)
	if err != nil {
		return err
	}
	defer c.store.Close()
	// The xDS caches get what the amphorae were last sent before any of them can ask.
	if err := c.reconciler.Restore(ctx); err != nil {
		return err
	}
	amphoraListeners, err := listen(ctx, configuration.XDS.Listen)
	if err != nil {
		return err
	}
	apiListeners, err := c.listenAPI(ctx)
	if err != nil {
		return err
	}
	c.logger.Info("octavia-envoy starts", "version", version(), "owner", c.owner)
	group, ctx := errgroup.WithContext(ctx)
	run := func(what string, part func(context.Context) error) {
		group.Go(func() error {
			if err := part(ctx); err != nil && !errors.Is(err, context.Canceled) {
				return fmt.Errorf("%s: %w", what, err)
			}
			return nil
		})
	}
	// Amphorae: Envoys get resources from the xDS caches, agents report to the fleet.
	run("xDS", func(ctx context.Context) error { return c.xds.Serve(ctx, amphoraListeners) })
	// Keeps the agents of built amphorae running.
	run("amphorae", c.amphorae.Watch)
	// Intents from the store, trees from Octavia, resources to the publisher, statuses to the outbox.
	run("reconcile", c.reconciler.Run)
	// Statuses from the outbox to the driver-agent.
	run("status", c.sender.Run)
	// What amphorae see, from the fleet into the store, and what of it is news to Octavia into the outbox.
	run("health", c.health.Run)
	// What the agents have counted into the store, and totals of it to the driver-agent.
	run("statistics", c.statistics.Run)
	// Octavia's lists into intents, for what nobody works on.
	run("resync", c.resync.Run)
	// Ends of certificates into the log, and refreshes for what changes behind a reference.
	run("certificates", c.certificates.Run)
	if c.stapler != nil {
		// Responses of OCSP responders into the store, and refreshes for those that have a new one.
		run("OCSP", c.stapler.Run)
	}
	// Ports of load balancers that never came to be.
	run("VIP ports", c.collectPorts)
	// Provider calls into intents. Last, so that what they ask for can be worked on.
	run("api", func(ctx context.Context) error {
		return api.Serve(ctx, c.api, c.logger, apiListeners...)
	})
	err = group.Wait()
	c.logger.Info("octavia-envoy stops", "error", err)
	return err
}

func (c *controller) listenAPI(ctx context.Context) ([]net.Listener, error) {
	return api.Listen(ctx, api.ListenOptions{
		UnixSocket: c.configuration.API.UnixSocket, Group: c.configuration.API.UnixGroup,
		TCP: c.configuration.API.TCP, TLS: c.tls,
	})
}

// listen opens the sockets for amphorae. A unix socket that a controller left when it was killed is replaced; TLS decides
// who may talk on either.
func listen(ctx context.Context, addresses []string) ([]net.Listener, error) {
	var listeners []net.Listener
	for _, address := range addresses {
		network, rest, err := config.SplitAddress(address)
		if err != nil {
			return nil, err
		}
		if network == "unix" {
			opened, err := api.Listen(ctx, api.ListenOptions{UnixSocket: rest, Mode: os.ModePerm & 0o660})
			if err != nil {
				return nil, err
			}
			listeners = append(listeners, opened...)
			continue
		}
		listener, err := (&net.ListenConfig{}).Listen(ctx, network, rest)
		if err != nil {
			return nil, fmt.Errorf("listen for amphorae: %w", err)
		}
		listeners = append(listeners, listener)
	}
	return listeners, nil
}
