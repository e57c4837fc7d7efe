package network

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/octavia-envoy/octavia-envoy/store"
)

// Store keeps which ports were made; *store.Store implements it.
type Store interface {
	PutVIPPort(ctx context.Context, port store.VIPPort) error
	// VIPPort returns that of a load balancer; the error wraps store.ErrNotFound when there is none.
	VIPPort(ctx context.Context, loadBalancerID string) (*store.VIPPort, error)
	// VIPPorts returns all of them, or those that are unclaimed or have no load balancer.
	VIPPorts(ctx context.Context, olderThan time.Time, strayOnly bool) ([]store.VIPPort, error)
	ClaimVIPPort(ctx context.Context, loadBalancerID string) error
	DeleteVIPPort(ctx context.Context, loadBalancerID string) error
}

// Options are the parts of a Neutron. Client and Store are needed.
type Options struct {
	// Client returns the network service's, for each use: openstack.Client.Network. Its user needs the admin or service
	// role: it makes ports for tenants.
	Client func(ctx context.Context) (*gophercloud.ServiceClient, error)
	Store  Store
	Logger *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Neutron makes and describes ports. Its methods are safe for concurrent use.
type Neutron struct {
	connect func(ctx context.Context) (*gophercloud.ServiceClient, error)
	store   Store
	logger  *slog.Logger
	now     func() time.Time

	mu      sync.Mutex
	ports   map[string]cached[PortInfo]
	subnets map[string]cached[SubnetInfo]
}

// New makes a Neutron.
func New(options Options) *Neutron {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Neutron{
		connect: options.Client, store: options.Store, logger: options.Logger, now: options.Now,
		ports: map[string]cached[PortInfo]{}, subnets: map[string]cached[SubnetInfo]{},
	}
}

// client returns Neutron's, or an *Error.
func (n *Neutron) client(ctx context.Context) (*gophercloud.ServiceClient, error) {
	client, err := n.connect(ctx)
	if err != nil {
		return nil, unavailable("reach Neutron", err)
	}
	return client, nil
}
