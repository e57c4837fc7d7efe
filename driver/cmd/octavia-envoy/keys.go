package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/octavia-envoy/octavia-envoy/driver/config"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/seal"
)

func newKeyCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "new-key [ID]",
		Short: "Make a new key for the database",
		Long: `Makes a random key that seals the private keys of load balancers in the database. The first key of store.key_file, or of
the secret of store.key_ref, seals; all of them open. The id, by default the time, is stored with what the key seals. It is
not secret.

Without --barbican a line for the key file is printed. To replace a key:

  1. put a new line at the top of the file, on every controller, and restart them one by one;
  2. run octavia-envoy db rekey: it seals everything with the new key;
  3. take the old line out of the file, and restart the controllers when it suits.

With --barbican the new key and all that are configured, in a file or in Barbican, become a new secret in Barbican, because
what a secret holds cannot be changed. Its reference is printed; no key is. To replace a key, or to move from the file:

  1. run octavia-envoy db new-key --barbican;
  2. set store.key_ref to what it prints, and leave out store.key_file, on every controller, and restart them one by one;
  3. run octavia-envoy db rekey: it seals everything with the new key;
  4. delete the old secret, or file. --without leaves an old key out of the next secret, once rekey has said 0.

A controller then needs Keystone and Barbican to start, and waits two minutes for them, but not while it runs. openstack.username
has to be able to read the secret: it owns what this command makes, which only it and administrators of its project may read.
To move to a file: openstack secret get --payload has the content of one.

Backups of the database need the keys of their time: keep old lines, or secrets, as long as old backups, but not in the same
place.`,
		Example: `  octavia-envoy db new-key | cat - /var/lib/octavia-envoy/secrets.key > new && chmod 600 new && mv new /var/lib/octavia-envoy/secrets.key
  octavia-envoy db new-key --barbican --config /etc/octavia-envoy.yaml`,
		Args: cobra.MaximumNArgs(1),
	}
	load := configFlags(command, config.Read)
	barbican := command.Flags().Bool("barbican", false, "store the new key and the present ones in Barbican, and print the reference")
	without := command.Flags().StringSlice("without", nil, "ids of keys to leave out of the secret (with --barbican)")
	command.RunE = func(command *cobra.Command, args []string) error {
		id := time.Now().UTC().Format("2006-01-02T15:04:05")
		if len(args) > 0 {
			id = args[0]
		}
		line := seal.NewLine(id)
		if _, err := seal.Parse(line); err != nil {
			return fmt.Errorf("the id %q cannot be one: use letters, digits and dashes", id)
		}
		if *barbican {
			ref, err := storeKeys(command.Context(), load, line, *without)
			if err != nil {
				return err
			}
			fmt.Fprintln(command.OutOrStdout(), ref)
			return nil
		}
		if len(*without) > 0 {
			return errors.New("--without is for --barbican: take the line out of the key file")
		}
		_, err := command.OutOrStdout().Write(line)
		return err
	}
	return command
}

// storeKeys makes a secret of a new key and those that are configured, but for some, and returns its reference.
func storeKeys(ctx context.Context, load func() (*config.Config, error), line []byte, without []string) (string, error) {
	configuration, err := load()
	if err != nil {
		return "", err
	}
	if err := errors.Join(configuration.Store.Validate(), configuration.OpenStack.Validate()); err != nil {
		return "", err
	}
	ring, present, err := readKeys(ctx, configuration)
	if err != nil {
		return "", err
	}
	for _, id := range without {
		if id == ring.Active() {
			return "", fmt.Errorf("--without %s: it is the key that seals at present; run octavia-envoy db rekey with the next one first", id)
		}
		if !ring.Has(id) {
			return "", fmt.Errorf("--without %s: there is no such key; there are %s", id, ring)
		}
	}
	file := line
	for old := range strings.Lines(string(present)) {
		if fields := strings.Fields(old); len(fields) == 2 && ring.Has(fields[0]) && !slices.Contains(without, fields[0]) {
			file = fmt.Appendf(file, "%s %s\n", fields[0], fields[1])
		}
	}
	return keyReader(configuration).StoreKeys(ctx, "octavia-envoy store keys", file)
}

func rekeyCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "rekey",
		Short: "Seal all private keys in the database with the first key",
		Long: `Seals anew what other keys than the first of store.key_file, or of the secret of store.key_ref, sealed, one load balancer
at a time, and prints how many there were. Controllers may run meanwhile if they have both keys. It may be run again, and when
it says 0 the other keys are needed for backups alone. See octavia-envoy db new-key for the whole procedure.`,
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
		if options.Keys, _, err = readKeys(command.Context(), configuration); err != nil {
			return err
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
