package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/octavia-envoy/octavia-envoy/driver/config"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/seal"
)

func newKeyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "new-key [ID]",
		Short: "Print a new line for the key file",
		Long: `Prints a line with a new random key for store.key_file, which seals the private keys of load balancers in the
database. The first line of the file seals, all of them open. To replace a key:

  1. put a new line at the top of the file, on every controller, and restart them one by one;
  2. run octavia-envoy db rekey: it seals everything with the new key;
  3. take the old line out of the file, and restart the controllers when it suits.

Backups of the database need the keys of their time: keep old lines as long as old backups, but not in the same place.
The id, by default the time, is stored with what the key seals. It is not secret.`,
		Example: `  octavia-envoy db new-key | cat - /var/lib/octavia-envoy/secrets.key > new && chmod 600 new && mv new /var/lib/octavia-envoy/secrets.key`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			id := time.Now().UTC().Format("2006-01-02T15:04:05")
			if len(args) > 0 {
				id = args[0]
			}
			line := seal.NewLine(id)
			if _, err := seal.Parse(line); err != nil {
				return fmt.Errorf("the id %q cannot be one: use letters, digits and dashes", id)
			}
			_, err := command.OutOrStdout().Write(line)
			return err
		},
	}
}

func rekeyCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "rekey",
		Short: "Seal all private keys in the database with the first key of the key file",
		Long: `Seals anew what other keys of store.key_file sealed, one load balancer at a time, and prints how many there were.
Controllers may run meanwhile if their key file has both keys. It may be run again, and when it says 0 the other
keys are needed for backups alone. See octavia-envoy db new-key for the whole procedure.`,
		Example: `  octavia-envoy db rekey --config /etc/octavia-envoy.yaml`,
		Args:    cobra.NoArgs,
	}
	load := configFlags(command, config.Read)
	command.RunE = func(command *cobra.Command, _ []string) error {
		configuration, err := load()
		if err != nil {
			return err
		}
		if err := configuration.Store.Validate(); err != nil {
			return err
		}
		options := storeOptions(configuration)
		if options.Keys, err = seal.Load(configuration.Store.KeyFile); err != nil {
			return fmt.Errorf("store.key_file: %w", err)
		}
		database, err := store.Open(command.Context(), options)
		if err != nil {
			return err
		}
		defer database.Close()
		count, err := database.Rekey(command.Context())
		if err != nil {
			return fmt.Errorf("after %d load balancers: %w", count, err)
		}
		fmt.Fprintf(command.OutOrStdout(), "%d load balancers were sealed with another key than %q\n", count, options.Keys.Active())
		return nil
	}
	return command
}
