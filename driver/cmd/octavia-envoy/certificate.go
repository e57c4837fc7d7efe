package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/octavia-envoy/octavia-envoy/driver/certs"
	"github.com/octavia-envoy/octavia-envoy/driver/config"
)

func certificateCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "certificate",
		Short: "Issue certificates to people and services that connect to the controller",
		Long: `Every connection to the controller is TLS with certificates on both sides, from the controller's own CA. Amphorae
get theirs by themselves; these commands make those of others. They read the CA's key and so run where the controller
runs, as its user.`,
	}
	command.AddCommand(
		issueCommand("operator", "for grpcurl and other xDS debugging tools", (*certs.Authority).IssueOperator,
			`  octavia-envoy certificate operator alice --out .
  grpcurl -cacert ca.crt -cert client.crt -key client.key -servername `+certs.ServerName+` HOST:PORT list`),
		issueCommand("client", "for an octavia-api that reaches the controller over https", (*certs.Authority).IssueClient,
			`  octavia-envoy certificate client octavia-api-1 --out /etc/octavia/envoy`),
	)
	return command
}

func issueCommand(
	role, purpose string, issue func(*certs.Authority, string, time.Duration) (*certs.Credentials, error), example string,
) *cobra.Command {
	command := &cobra.Command{
		Use:   role + " NAME",
		Short: "Issue a certificate " + purpose,
		Long: "Issues a certificate " + purpose + `, and writes it with its key (mode 0600) and the CA's certificate. NAME is
who the controller takes its holder for.`,
		Example: example,
		Args:    cobra.ExactArgs(1),
	}
	directory := command.Flags().String("ca-directory", config.Default().CA.Directory, "the controller's ca.directory")
	out := command.Flags().String("out", ".", "folder for client.crt, client.key (mode 0600) and ca.crt")
	days := command.Flags().Int("days", 365, "how many days it is valid")
	command.RunE = func(command *cobra.Command, args []string) error {
		// Only the controller makes a CA: a mistyped folder would otherwise get one that nobody trusts.
		if _, err := os.Stat(filepath.Join(*directory, certs.KeyFile)); err != nil {
			return fmt.Errorf("no CA in the folder %s (serve makes it; --ca-directory names another): %w", *directory, err)
		}
		authority, err := certs.LoadOrCreate(*directory, time.Now)
		if err != nil {
			return err
		}
		credentials, err := issue(authority, args[0], time.Duration(*days)*24*time.Hour)
		if err != nil {
			return err
		}
		for _, file := range []struct {
			name string
			data []byte
			mode fs.FileMode
		}{
			{"client.key", credentials.Key, 0o600}, {"client.crt", credentials.Certificate, 0o644}, {"ca.crt", credentials.CA, 0o644},
		} {
			if err := certs.WriteFile(filepath.Join(*out, file.name), file.data, file.mode); err != nil {
				return err
			}
		}
		fmt.Fprintf(command.OutOrStdout(), "wrote client.key, client.crt and ca.crt to %s\n", *out)
		return nil
	}
	return command
}
