package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
	"github.com/octavia-envoy/octavia-envoy/store"
)

// resolver lets the API ask Octavia for the load balancer of an object that the store does not know.
type resolver struct{ agent *status.Agent }

// LoadBalancerOf implements api.Resolver.
func (r resolver) LoadBalancerOf(ctx context.Context, ref model.Ref, parentID string) (string, error) {
	id, err := r.agent.LoadBalancerOf(ctx, ref, parentID)
	if errors.Is(err, status.ErrGone) {
		return "", fmt.Errorf("%w: %w", store.ErrNotFound, err)
	}
	return id, err
}
