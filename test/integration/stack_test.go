package integration

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/octavia-envoy/octavia-envoy/driver/amphora"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/reconcile"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/publish"
	"github.com/octavia-envoy/octavia-envoy/xds/server"
)

// stack is controllers over one store, and an Octavia whose load balancers the test writes. Each has one amphora of its own id.
type stack struct {
	t        *testing.T
	ca       *testkit.Authority
	store    *store.Store
	replicas []*replica

	mu    sync.Mutex
	trees map[string]*model.LoadBalancer
}

// replica is a controller of a stack, from the intents in the store to the xDS server.
type replica struct {
	*controller
	loop *reconcile.Reconciler
	// fleet is nil unless agents connect.
	fleet *amphora.Fleet
}

func startStack(t *testing.T) *stack {
	t.Helper()
	s := &stack{t: t, ca: testkit.NewAuthority(t), trees: map[string]*model.LoadBalancer{}}
	s.store = storetest.OpenWith(t, store.Options{DSN: storetest.SQLite(t), Keys: storetest.Keys(t, "test"), Logger: slog.New(slog.DiscardHandler)})
	return s
}

// controller starts one more.
func (s *stack) controller(warming publish.Warming) *replica {
	s.t.Helper()
	r := &replica{controller: &controller{t: s.t, registry: prometheus.NewRegistry()}}
	options := reconcile.Options{
		Amphorae:  s,
		Elsewhere: func(amphora model.Amphora) bool { return !r.connected(amphora.ID) && s.connected(amphora.ID) },
	}
	return s.serve(r, warming, options)
}

// controllerOfAgents starts one more, to which agents connect, too.
func (s *stack) controllerOfAgents() *replica {
	s.t.Helper()
	r := &replica{controller: &controller{t: s.t, registry: prometheus.NewRegistry()}}
	r.fleet = amphora.NewFleet(amphora.FleetOptions{
		Store: s.store, Registry: r.registry, Logger: slog.New(slog.NewTextHandler(testWriter{s.t}, nil)),
		EnvoyHere: func(id string) bool { return r.server.Here(id) }, ApartAfter: apartAfter,
	})
	return s.serve(r, r.fleet, reconcile.Options{Amphorae: agents{s, r.fleet}, Elsewhere: r.fleet.Elsewhere})
}

// serve starts a replica; what the options do not say is said here.
func (s *stack) serve(r *replica, warming publish.Warming, options reconcile.Options) *replica {
	s.t.Helper()
	logger := slog.New(slog.NewTextHandler(testWriter{s.t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	name := fmt.Sprintf("controller %d", len(s.replicas))
	var register []func(*grpc.Server)
	if r.fleet != nil {
		register = append(register, r.fleet.Register)
	}
	var err error
	r.server, err = server.New(server.Options{
		Logger: logger, TLS: serverTLS(s.t, s.ca), Registry: r.registry, Register: register,
		Arrives: func(ctx context.Context, node string) error { return r.loop.Arrives(ctx, node) },
	})
	must(s.t, err)
	r.publisher = publish.New(r.server, warming, logger)
	options.Store, options.Octavia, options.Publisher, options.Report, options.Owner = s.store, s, r.publisher, func() {}, name
	options.Deadline, options.RetryInterval, options.Parallel = time.Minute, time.Second, 4
	options.Logger, options.Now, options.Registry = logger.With("owner", name), time.Now, r.registry
	r.loop = reconcile.New(options)
	must(s.t, r.loop.Restore(s.t.Context()))
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	must(s.t, err)
	r.address = socket.Addr().String()
	stop := testkit.Run(s.t, func(ctx context.Context) error { return r.server.Serve(ctx, []net.Listener{socket}) })
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = r.loop.Run(ctx) })
	r.stop = sync.OnceFunc(func() { cancel(); running.Wait(); stop() })
	s.t.Cleanup(r.stop)
	s.replicas = append(s.replicas, r)
	return r
}

func (r *replica) connected(node string) bool {
	state, _ := r.server.NodeState(node)
	return state.Connected
}

func (s *stack) connected(node string) bool {
	return slices.ContainsFunc(s.replicas, func(r *replica) bool { return r.connected(node) })
}

// Barrier is passed at once: the tree is written before the intent.
func (s *stack) Barrier(context.Context, string, model.OperatingStatus) error { return nil }

func (s *stack) LoadBalancer(_ context.Context, id string) (*model.LoadBalancer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trees[id] == nil {
		return nil, status.ErrGone
	}
	return copied(s.trees[id]), nil
}

func (s *stack) Ensure(ctx context.Context, tree *model.LoadBalancer) ([]model.Amphora, error) {
	amphora := model.Amphora{ID: tree.ID, LoadBalancerID: tree.ID, Status: model.AmphoraAllocated, Role: "STANDALONE", Compute: "test"}
	return []model.Amphora{amphora}, s.store.PutAmphora(ctx, amphora)
}

func (s *stack) Delete(ctx context.Context, id string) error { return s.store.DeleteAmphora(ctx, id) }

// copied is a tree of which lists can be changed without those of the other.
func copied(tree *model.LoadBalancer) *model.LoadBalancer {
	tree = new(*tree)
	tree.Listeners, tree.Pools = slices.Clone(tree.Listeners), slices.Clone(tree.Pools)
	for i := range tree.Listeners {
		tree.Listeners[i].L7Policies = slices.Clone(tree.Listeners[i].L7Policies)
	}
	for i := range tree.Pools {
		tree.Pools[i].Members = slices.Clone(tree.Pools[i].Members)
	}
	return tree
}

// change writes a load balancer as a provider call does: Octavia has it, and the intent is committed.
func (s *stack) change(tree *model.LoadBalancer) {
	s.t.Helper()
	s.mu.Lock()
	op := model.OpUpdate
	if s.trees[tree.ID] == nil {
		op = model.OpCreate
	}
	s.trees[tree.ID] = copied(tree)
	s.mu.Unlock()
	_, err := s.store.AddIntent(s.t.Context(), model.Intent{
		LoadBalancerID: tree.ID, Op: op, Object: model.Ref{Kind: model.KindLoadBalancer, ID: tree.ID},
	}, store.Audit{Action: "test", ProjectID: tree.ProjectID})
	must(s.t, err)
	for _, r := range s.replicas {
		r.loop.Wake()
	}
}

// active waits until all changes of a load balancer have come into effect.
func (s *stack) active(id string) {
	s.t.Helper()
	testkit.Eventually(s.t, func() error {
		intents, err := s.store.Intents(s.t.Context(), id)
		if err != nil {
			return err
		}
		known, err := s.store.LoadBalancer(s.t.Context(), id)
		if err != nil {
			return err
		}
		if len(intents) > 0 || known.ProvisioningStatus != model.ProvisioningActive || known.LastError != "" {
			return fmt.Errorf("%s with %d intents: %s", known.ProvisioningStatus, len(intents), known.LastError)
		}
		return nil
	})
}

// gauge is the value of a gauge without labels.
func (c *controller) gauge(name string) float64 {
	c.t.Helper()
	families, err := c.registry.Gather()
	must(c.t, err)
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	c.t.Fatalf("no metric %s", name)
	return 0
}
