// Command octavia-envoy is the controller of the Envoy provider for Octavia, and its operators' tool.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := rootCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "octavia-envoy:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has run
	}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "octavia-envoy",
		Short: "Octavia load balancers on Envoy",
		Long: `octavia-envoy is the controller behind Octavia's provider "envoy": it takes the provider calls of octavia-api,
turns load balancers into Envoy's xDS resources, streams them to the amphorae, and tells Octavia ACTIVE when every
amphora has acknowledged.

  octavia-envoy serve --config /etc/octavia-envoy.yaml           run the controller
  octavia-envoy serve --config /etc/octavia-envoy.yaml --check   only check its configuration
  octavia-envoy status                                           what runs, what was sent, what Envoy said
  octavia-envoy translate -f lb.yaml                             what Envoy would get, without a cloud
  octavia-envoy flavor check -f web.yaml                         whether flavor data is right`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(
		serveCommand(), statusCommand(), translateCommand(), flavorCommand(), bootstrapCommand(), certificateCommand(), dbCommand(),
		versionCommand(),
	)
	return root
}
