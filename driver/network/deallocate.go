package network

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/octavia-envoy/octavia-envoy/store"
)

// unclaimedFor is how long a port may wait for the loadbalancer_create that it was made for. octavia-api calls both in one
// request.
const unclaimedFor = 10 * time.Minute

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

// GC deletes the ports that no load balancer claimed within ten minutes: octavia-api refused the request after the port was
// made, or its transaction failed. exists tells whether Octavia has the load balancer after all; then the port is claimed.
func (n *Neutron) GC(ctx context.Context, exists func(ctx context.Context, loadBalancerID string) (bool, error)) error {
	unclaimed, err := n.store.VIPPorts(ctx, n.now().Add(-unclaimedFor), true)
	if err != nil {
		return fmt.Errorf("look for unclaimed VIP ports: %w", err)
	}
	var errs []error
	for _, port := range unclaimed {
		known, err := exists(ctx, port.LoadBalancerID)
		switch {
		case err != nil: // when in doubt, keep it
			err = fmt.Errorf("ask for load balancer %s: %w", port.LoadBalancerID, err)
		case known:
			if err = n.store.ClaimVIPPort(ctx, port.LoadBalancerID); errors.Is(err, store.ErrNotFound) {
				err = nil
			}
		default:
			n.logger.Info("deleting an unclaimed VIP port", "lb", port.LoadBalancerID, "port", port.PortID)
			err = n.DeallocateVIP(ctx, port.LoadBalancerID)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
