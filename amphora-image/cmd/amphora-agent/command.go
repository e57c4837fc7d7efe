package main

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent"
	"github.com/octavia-envoy/octavia-envoy/xds/bootstrap"
)

const long = `amphora-agent runs Envoy for one load balancer and keeps it running.

It starts Envoy from a bootstrap that it writes itself, starts it again when it ends (after 0.2 s, doubling to
10 s), connects to the controller over mutual TLS, reports how Envoy is, and renews the amphora's certificate
when two thirds of its life are over. It listens on no port: only Envoy can read its metrics, from a unix
socket. Envoy's listeners and clusters come from the controller, not from here.

Envoy outlives a killed agent and goes on serving; the next agent adopts it. SIGTERM and SIGINT stop Envoy and
the agent. SIGUSR1 is passed on to Envoy, which opens its access logs again.

The compute driver writes the configuration file. Look at one:

  {
    "amphora_id": "6f0c0ea5-…",                        the name in the certificate, the xDS node id
    "loadbalancer_id": "1b2c…",                        the xDS node's cluster
    "controller": "unix:/run/octavia-envoy/xds.sock",  or "tcp:192.0.2.1:18000"
    "credentials_dir": "/var/lib/…/tls",               tls.crt, tls.key, ca.crt
    "run_dir": "/run/…",                               sockets, pid files, bootstrap, Envoy's log
    "server_name": "controller.octavia-envoy",         what the controller's certificate has to prove
    "envoy_path": "envoy",                             any Envoy 1.40
    "concurrency": 2,                                  Envoy's worker threads, default one a core
    "drain_seconds": 600,                              how long connections of a changed listener may go on
    "heartbeat_ms": 3000,
    "log_level": "info",                               the agent's: debug, info, warn, error
    "envoy_log_level": "info",                         Envoy's
    "access_log": {                                    of load balancers whose flavor wants one
      "dir": "/var/log/…",                             access.log, access.log.000001, …; default is run_dir
      "max_file_bytes": 67108864, "files": 4,          a full file is put aside, the oldest of more than 4 is deleted
      "targets": ["tls:logs.example:6514"],            syslog receivers: tcp:, tls:, udp:host:port, unix:/path;
                                                       each but the first stands in for those before it
      "facility": 0,                                   LOCAL0 to LOCAL7
      "ca_file": "", "cert_file": "", "key_file": ""   PEM, for receivers over TLS
    }
  }

To look at its Envoy:   curl --unix-socket <run_dir>/admin.sock http://envoy/help`

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "amphora-agent",
		Short:         "Runs Envoy on an amphora and keeps it in touch with the controller",
		Long:          long,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(runCommand(), bootstrapCommand(), versionCommand())
	return root
}

func runCommand() *cobra.Command {
	var path string
	var check bool
	run := &cobra.Command{
		Use:     "run --config FILE",
		Short:   "Run the agent and its Envoy until SIGTERM",
		Example: "  amphora-agent run --config /etc/octavia-envoy/agent.json\n  amphora-agent run --config agent.json --check",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := agent.LoadConfig(path)
			if err != nil {
				return err
			}
			if check {
				_, err := fmt.Fprintln(command.OutOrStdout(), "the configuration is good")
				return err
			}
			handler := slog.NewJSONHandler(command.ErrOrStderr(), &slog.HandlerOptions{Level: config.Level()})
			logger := slog.New(handler).With("amphora", config.AmphoraID, "lb", config.LoadBalancerID)
			return agent.Run(command.Context(), agent.Options{Config: config, Logger: logger, Version: version})
		},
	}
	run.Flags().StringVar(&path, "config", "/etc/octavia-envoy/agent.json", "configuration file (JSON)")
	run.Flags().BoolVar(&check, "check", false, "only check the configuration")
	return run
}

func bootstrapCommand() *cobra.Command {
	var path string
	show := &cobra.Command{
		Use:   "bootstrap --config FILE",
		Short: "Print the bootstrap that Envoy would be started with",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := agent.LoadConfig(path)
			if err != nil {
				return err
			}
			content, err := bootstrap.Envoy(config.BootstrapOptions())
			if err != nil {
				return err
			}
			_, err = command.OutOrStdout().Write(content)
			return err
		},
	}
	show.Flags().StringVar(&path, "config", "/etc/octavia-envoy/agent.json", "configuration file (JSON)")
	return show
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the agent's version",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(command.OutOrStdout(), "amphora-agent", version)
			return err
		},
	}
}
