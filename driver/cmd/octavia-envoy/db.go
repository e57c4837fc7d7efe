package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/octavia-envoy/octavia-envoy/driver/config"
	"github.com/octavia-envoy/octavia-envoy/store"
)

func dbCommand() *cobra.Command {
	command := &cobra.Command{Use: "db", Short: "Look after the controller's database"}
	command.AddCommand(migrateCommand(), newKeyCommand(), rekeyCommand())
	return command
}

func migrateCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database to this version's schema",
		Long: `Applies the migrations that the database lacks, each in a transaction where the database can, and prints the
versions before and after. It may run while controllers run, and more than once. serve does the same when it starts.`,
		Example: `  octavia-envoy db migrate --config /etc/octavia-envoy.yaml --check
  octavia-envoy db migrate --store.dsn sqlite:/var/lib/octavia-envoy/octavia-envoy.db`,
		Args: cobra.NoArgs,
	}
	load := configFlags(command, config.Read)
	check := command.Flags().Bool("check", false, "only say whether a migration is due; exit status 1 if so")
	command.RunE = func(command *cobra.Command, _ []string) error {
		configuration, err := load()
		if err != nil {
			return err
		}
		if err := configuration.Store.Validate(); err != nil {
			return err
		}
		database, err := store.Open(command.Context(), storeOptions(configuration))
		if err != nil {
			return err
		}
		defer database.Close()
		have, want, err := database.MigrationVersion(command.Context())
		if err != nil {
			return err
		}
		if *check {
			if have != want {
				return fmt.Errorf("the database is at version %d, this binary wants %d: run octavia-envoy db migrate", have, want)
			}
			fmt.Fprintf(command.OutOrStdout(), "the database is at version %d: nothing to do\n", have)
			return nil
		}
		if err := database.Migrate(command.Context()); err != nil {
			return err
		}
		fmt.Fprintf(command.OutOrStdout(), "the database went from version %d to %d\n", have, want)
		return nil
	}
	return command
}

func storeOptions(configuration *config.Config) store.Options {
	return store.Options{DSN: configuration.Store.DSN, Logger: logger(configuration.Log), Now: time.Now}
}
