package network

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/octavia-envoy/octavia-envoy/store"
)

// strayFor is how long a port may wait for the load balancer that it was made for. octavia-api asks for both in one request
// and gives each call 10 s: what has not come in two minutes never will.
const strayFor = 2 * time.Minute

// DeallocateVIP deletes the port that was made for a load balancer, if there is one, and forgets it. A port that the user
// brought is never found here. It may be repeated.
func (n *Neutron) DeallocateVIP(ctx context.Context, loadBalancerID string) error {
	_, err := n.store.VIPPort(ctx, loadBalancerID)
	if errors.Is(err, store.ErrNotFound) {
		return nil // not ours: the user's, or Octavia's own
	}
	if err != nil {
		return fmt.Errorf("free the VIP of load balancer %s: %w", loadBalancerID, err)
	}
	for { // there should be one; two calls at once may have made more
		port, err := n.findPort(ctx, loadBalancerID)
		if err != nil {
			return fmt.Errorf("free the VIP of load balancer %s: %w", loadBalancerID, err)
		}
		if port == nil {
			break
		}
		if err := n.deletePort(ctx, port.ID); err != nil {
			return fmt.Errorf("free the VIP of load balancer %s: %w", loadBalancerID, err)
		}
		n.logger.Info("VIP port deleted", "lb", loadBalancerID, "port", port.ID)
	}
	if err := n.store.DeleteVIPPort(ctx, loadBalancerID); err != nil {
		return fmt.Errorf("free the VIP of load balancer %s: %w", loadBalancerID, err)
	}
	return nil
}

// GC deletes the ports that no load balancer came for within two minutes: octavia-api refused the request after the port
// was made, or its transaction failed, or the controller died after it had claimed the port and before it had committed the
// load balancer. exists tells whether Octavia has the load balancer after all; then the port is claimed.
func (n *Neutron) GC(ctx context.Context, exists func(ctx context.Context, loadBalancerID string) (bool, error)) error {
	stray, err := n.store.VIPPorts(ctx, n.now().Add(-strayFor), true)
	if err != nil {
		return fmt.Errorf("look for stray VIP ports: %w", err)
	}
	var errs []error
	for _, port := range stray {
		known, err := exists(ctx, port.LoadBalancerID)
		switch {
		case err != nil: // when in doubt, keep it
			err = fmt.Errorf("ask for load balancer %s: %w", port.LoadBalancerID, err)
		case known:
			if err = n.store.ClaimVIPPort(ctx, port.LoadBalancerID); errors.Is(err, store.ErrNotFound) {
				err = nil
			}
		default:
			n.logger.Info("deleting a VIP port that no load balancer came for",
				"lb", port.LoadBalancerID, "port", port.PortID, "claimed", port.Claimed)
			err = n.DeallocateVIP(ctx, port.LoadBalancerID)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
