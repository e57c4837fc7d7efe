package main

import (
	"github.com/spf13/cobra"

	"github.com/octavia-envoy/octavia-envoy/driver/certs"
	"github.com/octavia-envoy/octavia-envoy/xds/bootstrap"
)

func bootstrapCommand() *cobra.Command {
	options := bootstrap.Options{}
	command := &cobra.Command{
		Use:   "bootstrap --amphora ID --load-balancer ID --controller ADDRESS",
		Short: "Print the configuration that an amphora's Envoy starts with",
		Long: `Prints Envoy's bootstrap as JSON: who it is, where its controller is, and with which certificate it connects. The
agent of an amphora makes the same one; this is to look at it, or to run an Envoy by hand.

The bootstrap names two small files that point at the certificate, so that Envoy sees when it is renewed. --secret-dir
writes them. They hold paths and no key.`,
		Example: `  octavia-envoy bootstrap --amphora $ID --load-balancer $LB --controller tcp:192.0.2.1:9180
  octavia-envoy bootstrap --amphora $ID --load-balancer $LB --controller tcp:192.0.2.1:9180 \
      --cert $DIR/tls.crt --key $DIR/tls.key --ca $DIR/ca.crt --secret-dir $PWD > bootstrap.json
  envoy --mode validate --config-path bootstrap.json`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			document, err := bootstrap.Envoy(options)
			if err != nil {
				return err
			}
			if options.SecretDir != "" {
				if err := writeSecrets(options); err != nil {
					return err
				}
			}
			_, err = command.OutOrStdout().Write(append(document, '\n'))
			return err
		},
	}
	flags := command.Flags()
	flags.StringVar(&options.NodeID, "amphora", "", "the amphora's id, also the name in its certificate")
	flags.StringVar(&options.Cluster, "load-balancer", "", "the load balancer's id")
	flags.StringVar(&options.Controller, "controller", "", "where the controller listens: unix:/path or tcp:host:port")
	flags.StringVar(&options.ServerName, "server-name", certs.ServerName, "the DNS name in the controller's certificate")
	flags.StringVar(&options.CertFile, "cert", "/etc/octavia-envoy/amphora/client.crt", "the amphora's certificate")
	flags.StringVar(&options.KeyFile, "key", "/etc/octavia-envoy/amphora/client.key", "its key")
	flags.StringVar(&options.CAFile, "ca", "/etc/octavia-envoy/amphora/ca.crt", "the CA of the controller's certificate")
	flags.StringVar(&options.AdminSocket, "admin-socket", "/run/octavia-envoy/amphora/admin.sock", "where Envoy's admin interface listens")
	flags.StringVar(&options.MetricsSocket, "metrics-socket", "/run/octavia-envoy/amphora/metrics.sock", "where the agent serves the "+
		"load balancer's metrics")
	flags.StringVar(&options.SecretDir, "secret-dir", "", "write the files that point at the certificate to this folder; "+
		"empty writes none, and they are expected beside it")
	for _, name := range []string{"amphora", "load-balancer", "controller"} {
		_ = command.MarkFlagRequired(name)
	}
	return command
}

func writeSecrets(options bootstrap.Options) error {
	files, err := bootstrap.Secrets(options)
	if err != nil {
		return err
	}
	for path, content := range files {
		if err := certs.WriteFile(path, content, 0o600); err != nil {
			return err
		}
	}
	return nil
}
