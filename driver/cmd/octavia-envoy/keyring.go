package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/octavia-envoy/octavia-envoy/driver/config"
	"github.com/octavia-envoy/octavia-envoy/driver/openstack"
	"github.com/octavia-envoy/octavia-envoy/driver/secrets"
	"github.com/octavia-envoy/octavia-envoy/store/seal"
)

// keyPatience is how long a controller that starts waits for Barbican.
const keyPatience = 2 * time.Minute

// newOpenStack makes a client of OpenStack's APIs, which logs in when it is used.
func newOpenStack(options config.OpenStack) *openstack.Client {
	return openstack.New(openstack.Credentials{
		AuthURL: options.AuthURL, Username: options.Username, PasswordFile: options.PasswordFile,
		ProjectName: options.ProjectName, UserDomainName: options.UserDomainName,
		ProjectDomainName: options.ProjectDomainName, Region: options.RegionName, Interface: options.Interface,
		CAFile: options.CAFile,
	})
}

// keyReader reads and stores keys in Barbican.
func keyReader(configuration *config.Config) *secrets.Reader {
	return secrets.NewReader(newOpenStack(configuration.OpenStack).KeyManager)
}

// startKeys returns the keys that seal the store, for a controller. A key file that is not there is made; a Barbican that is
// down is waited for, and an error in the end: without its keys the controller would take certificates from amphorae.
func startKeys(ctx context.Context, configuration *config.Config, logger *slog.Logger) (*seal.Keyring, error) {
	if configuration.Store.KeyRef == "" {
		ring, err := seal.LoadOrCreate(configuration.Store.KeyFile, time.Now())
		if err != nil {
			return nil, fmt.Errorf("store.key_file: %w", err)
		}
		return ring, nil
	}
	return awaitKeys(ctx, keyReader(configuration), configuration.Store.KeyRef, keyPatience, logger)
}

func awaitKeys(ctx context.Context, reader *secrets.Reader, ref string, patience time.Duration, logger *slog.Logger) (*seal.Keyring, error) {
	read := func() (*seal.Keyring, error) {
		ring, _, err := reader.Keys(ctx, ref)
		if err != nil && !errors.Is(err, secrets.ErrUnavailable) {
			err = backoff.Permanent(err)
		}
		return ring, err
	}
	notify := func(err error, pause time.Duration) {
		logger.WarnContext(ctx, "the keys of the database cannot be read: the controller waits for them", "error", err, "pause", pause.String(),
			"patience", patience.String())
	}
	ring, err := backoff.Retry(ctx, read, backoff.WithMaxElapsedTime(patience), backoff.WithNotify(notify))
	if errors.Is(err, secrets.ErrUnavailable) {
		err = fmt.Errorf("the controller does not start without the keys of its database, and has waited %s for them: %w", patience, err)
	}
	if err != nil {
		return nil, fmt.Errorf("store.key_ref: %w", err)
	}
	return ring, nil
}

// readKeys returns the keys that seal the store and their text, for a command: what is not there is an error at once.
func readKeys(ctx context.Context, configuration *config.Config) (*seal.Keyring, []byte, error) {
	if ref := configuration.Store.KeyRef; ref != "" {
		if err := configuration.OpenStack.Validate(); err != nil {
			return nil, nil, err
		}
		ring, file, err := keyReader(configuration).Keys(ctx, ref)
		if err != nil {
			return nil, nil, fmt.Errorf("store.key_ref: %w", err)
		}
		return ring, file, nil
	}
	ring, err := seal.Load(configuration.Store.KeyFile)
	if err != nil {
		return nil, nil, fmt.Errorf("store.key_file: %w", err)
	}
	file, err := os.ReadFile(configuration.Store.KeyFile)
	if err != nil {
		return nil, nil, fmt.Errorf("store.key_file: %w", err)
	}
	return ring, file, nil
}
