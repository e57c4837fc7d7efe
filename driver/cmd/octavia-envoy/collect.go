package main

import (
	"context"
	"errors"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/status"
)

// collectEvery is how often ports are looked for that no load balancer came to.
const collectEvery = time.Minute

// collectPorts deletes the VIP ports of load balancers that Octavia refused after it had asked for the port.
func (c *controller) collectPorts(ctx context.Context) error {
	ticker := time.NewTicker(collectEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		err := c.neutron.GC(ctx, func(ctx context.Context, id string) (bool, error) {
			_, err := c.agent.LoadBalancer(ctx, id)
			if errors.Is(err, status.ErrGone) {
				return false, nil
			}
			return err == nil, err
		})
		if err != nil && ctx.Err() == nil {
			c.logger.Warn("look for VIP ports that nobody needs", "error", err)
		}
	}
}
