package agent

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	agentcredentials "github.com/octavia-envoy/octavia-envoy/amphora-image/agent/credentials"
	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
	"github.com/octavia-envoy/octavia-envoy/driver/certs"
)

// renewTimeout bounds one attempt to renew.
const renewTimeout = 30 * time.Second

// renewer replaces the amphora's key and certificate when two thirds of its life are over.
type renewer struct {
	config *Config
	logger *slog.Logger
}

// run renews until ctx is done. It looks often rather than sleep until the day: a sleeping machine's timers stand still.
func (r *renewer) run(ctx context.Context) error {
	for {
		next := time.Minute
		pair, _, err := agentcredentials.Load(r.config.CredentialsDir)
		switch {
		case err != nil:
			r.logger.Error("cannot read the amphora's certificate", "error", err)
		case certs.Due(pair.Leaf, time.Now()):
			if err := r.renew(ctx); err != nil && ctx.Err() == nil {
				r.logger.Warn("cannot renew the certificate", "error", err, "expires", pair.Leaf.NotAfter)
			}
			fallthrough
		default:
			// A thirtieth of its life gives ten attempts in the last third.
			next = min(next, max(time.Until(pair.Leaf.NotAfter)/30, 50*time.Millisecond))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(next):
		}
	}
}

func (r *renewer) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	connection, err := r.config.dial()
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	key, request, err := certs.NewKey()
	if err != nil {
		return err
	}
	answer, err := agentapiv1.NewAmphoraAgentClient(connection).RenewCertificate(ctx,
		&agentapiv1.RenewCertificateRequest{SigningRequest: request})
	if err != nil {
		return err
	}
	if err := agentcredentials.Install(r.config.CredentialsDir, &certs.Credentials{
		Certificate: answer.GetChain(), Key: key, CA: answer.GetAuthorities(),
	}); err != nil {
		return fmt.Errorf("install the new certificate: %w", err)
	}
	r.logger.Info("renewed the amphora's certificate")
	return nil
}
