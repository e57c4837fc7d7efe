package api

import (
	"context"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
)

// Store is what the API needs of package store.
type Store interface {
	// AddIntent commits an accepted call and its line of the audit trail.
	AddIntent(ctx context.Context, intent model.Intent, audit store.Audit) (int64, error)
	// AddAudit records a call that was refused.
	AddAudit(ctx context.Context, audit store.Audit) error
	// LoadBalancer returns a load balancer, its tree nil before it was first read; store.ErrNotFound.
	LoadBalancer(ctx context.Context, id string) (*store.LoadBalancer, error)
	// LoadBalancerOf returns the id of the load balancer that an object is in; store.ErrNotFound.
	LoadBalancerOf(ctx context.Context, ref model.Ref) (string, error)
	// PutVIPPort records a port that the controller made, or is about to make, for a VIP.
	PutVIPPort(ctx context.Context, port store.VIPPort) error
	// VIPPort returns the port of a load balancer's VIP; store.ErrNotFound.
	VIPPort(ctx context.Context, loadBalancerID string) (*store.VIPPort, error)
	// ClaimVIPPort marks the port as belonging to a load balancer that was accepted; store.ErrNotFound.
	ClaimVIPPort(ctx context.Context, loadBalancerID string) error
	// DeleteVIPPort forgets the port.
	DeleteVIPPort(ctx context.Context, loadBalancerID string) error
}

// Resolver asks Octavia itself (get.sock) which load balancer an object is in.
type Resolver interface {
	// LoadBalancerOf returns the load balancer's id. parentID is the pool of a member or health monitor, the listener of a
	// policy, the policy of a rule, or "": an object that is just being created is not visible yet, its parent is.
	// An error that is store.ErrNotFound says that Octavia does not have the object.
	LoadBalancerOf(ctx context.Context, ref model.Ref, parentID string) (string, error)
}

// VIPAllocator makes and frees the ports of VIPs.
//
// An error of AllocateVIP may have the method Conflict() bool, true when the address is taken, Invalid() bool with
// UserField() string, true when what was asked for does not fit, and there, and UserMessage() string, a sentence that the
// user may read; without it the user reads only that it failed.
type VIPAllocator interface {
	// AllocateVIP returns the VIPs with their addresses and port. It is safe to repeat: one port a load balancer, with all
	// its addresses.
	AllocateVIP(ctx context.Context, request model.VIPRequest) (model.VIPResult, error)
	// DeallocateVIP frees what AllocateVIP made for that load balancer; nothing to free is no error.
	DeallocateVIP(ctx context.Context, loadBalancerID string) error
}

// Operator knows how load balancers and amphorae are doing.
type Operator interface {
	// Status reports on one load balancer, or on all for ""; store.ErrNotFound when there is none with that id.
	Status(ctx context.Context, loadBalancerID string) (StatusReport, error)
}
