package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
)

// find sets the load balancer of a call and returns its tree, nil if the store has none yet. The store's index is asked
// before Octavia, for Octavia is in the middle of the transaction that the call belongs to.
func (s *server) find(ctx context.Context, call *call) (*model.LoadBalancer, error) {
	if call.loadBalancerID == "" {
		id, err := s.owner(ctx, call)
		if err != nil {
			return nil, err
		}
		call.loadBalancerID = id
	}
	stored, err := s.Store.LoadBalancer(ctx, call.loadBalancerID)
	switch {
	case err == nil:
		return stored.Tree, nil
	case !errors.Is(err, store.ErrNotFound):
		return nil, storeFailed(err)
	case call.op == model.OpCreate && call.object.Kind == model.KindLoadBalancer:
		return nil, nil
	}
	// The store may be new, or restored from a backup: Octavia knows better.
	_, err = s.ask(ctx, model.Ref{Kind: model.KindLoadBalancer, ID: call.loadBalancerID}, "")
	return nil, err
}

// owner returns the load balancer that the object of a call is in.
func (s *server) owner(ctx context.Context, call *call) (string, error) {
	for _, ref := range []model.Ref{call.object, call.parent} {
		if ref.ID == "" {
			continue
		}
		id, err := s.Store.LoadBalancerOf(ctx, ref)
		switch {
		case err == nil:
			return id, nil
		case !errors.Is(err, store.ErrNotFound):
			return "", storeFailed(err)
		}
	}
	return s.ask(ctx, call.object, call.parent.ID)
}

func (s *server) ask(ctx context.Context, ref model.Ref, parentID string) (string, error) {
	if s.Octavia == nil {
		return "", notFound(ref)
	}
	id, err := s.Octavia.LoadBalancerOf(ctx, ref, parentID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", notFound(ref)
	case err != nil:
		return "", unavailable("The controller cannot read from Octavia", err)
	}
	return id, nil
}

func notFound(ref model.Ref) *Error {
	return &Error{
		Code:    CodeNotFound,
		Message: fmt.Sprintf("The %s %s is not known, neither to the controller nor to Octavia.", ref.Kind, ref.ID),
	}
}
