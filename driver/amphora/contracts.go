package amphora

import (
	"context"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// Store keeps amphorae; *store.Store implements it.
type Store interface {
	PutAmphora(ctx context.Context, amphora model.Amphora) error
	// Amphora returns one; the error wraps store.ErrNotFound when there is none.
	Amphora(ctx context.Context, id string) (*model.Amphora, error)
	// Amphorae returns those of a load balancer, all for "".
	Amphorae(ctx context.Context, loadBalancerID string) ([]model.Amphora, error)
	DeleteAmphora(ctx context.Context, id string) error
	Heartbeat(ctx context.Context, id string, at time.Time) error
}

// Spec says which amphora to build.
type Spec struct {
	Amphora model.Amphora
	// LoadBalancer is nil when an amphora that was complete is started again.
	LoadBalancer *model.LoadBalancer
}

// State is how an amphora's machine is.
type State string

// States of an amphora's machine.
const (
	StateRunning State = "running"
	// StateDead is built, but its agent does not run.
	StateDead State = "dead"
	// StateAbsent is not built, or not by the compute driver of this controller.
	StateAbsent State = "absent"
)

// Compute makes machines for amphorae, or what serves as such. The methods are named after Octavia's ComputeBase
// (octavia/compute/compute_base.py), may be repeated, and take up what an earlier try left.
type Compute interface {
	// Name is what the rows of its amphorae say: local, nova.
	Name() string
	// Build starts the amphora's agent, unless it runs, and returns what the machine is known by. It does not wait until
	// the agent has connected.
	Build(ctx context.Context, spec Spec) (computeID string, err error)
	// Delete stops agent and Envoy and leaves nothing of them.
	Delete(ctx context.Context, amphora model.Amphora) error
	Status(ctx context.Context, amphora model.Amphora) (State, error)
}

// Network connects amphorae to the networks of their VIPs. Its methods may be repeated.
type Network interface {
	// Plug brings the load balancer's VIP to the amphora.
	Plug(ctx context.Context, amphora model.Amphora, loadBalancer *model.LoadBalancer) error
	// Replug does what Plug did, from what it remembers: a reboot takes network devices away.
	Replug(ctx context.Context, amphora model.Amphora) error
	// Unplug leaves nothing of what Plug made.
	Unplug(ctx context.Context, amphora model.Amphora) error
}

// Signer issues certificates; *certs.Authority implements it.
type Signer interface {
	IssueAmphora(amphoraID string, csrPEM []byte, life time.Duration) ([]byte, error)
	CA() []byte
}
