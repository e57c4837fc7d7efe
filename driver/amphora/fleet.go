package amphora

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

const (
	// DefaultRecordEvery is how often a heartbeat reaches the store, per amphora.
	DefaultRecordEvery = 10 * time.Second
	// DefaultSilentAfter is when an agent that says nothing is taken for gone: five heartbeats.
	DefaultSilentAfter = 15 * time.Second
)

// FleetOptions are the parts and bounds of a Fleet.
type FleetOptions struct {
	Store  Store
	Signer Signer
	Logger *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// RecordEvery, SilentAfter: 0 is the default. CertificateLife: 0 is the signer's default.
	RecordEvery, SilentAfter, CertificateLife time.Duration
	// EnvoyHere says whether an amphora's Envoy has its xDS stream with this controller, or is about to. An agent whose Envoy
	// is connected to another one is sent away after ApartAfter, 0 is DefaultApartAfter, to come there, too. nil is not asked.
	EnvoyHere  func(amphoraID string) bool
	ApartAfter time.Duration
	// Registry takes the metrics; nil keeps them to ourselves.
	Registry prometheus.Registerer

	// Health and Statistics are called with what the agents report; nil ignores it. The calls for one amphora come one after
	// the other and in the agent's order, and none for an older stream after one for a newer; those for different amphorae come at
	// the same time. A heartbeat is acknowledged only after the calls for what came before it have returned: the agent then
	// takes it as taken, and until then says it again. So a hook should return soon, and keep what it was given: the stream
	// waits meanwhile. The context is not that of the stream: what has been heard is worth as much when the stream ends. The amphora is
	// as it was when its agent connected. The hook may keep the report.
	Health     func(ctx context.Context, amphora model.Amphora, report *agentapiv1.HealthReport)
	Statistics func(ctx context.Context, amphora model.Amphora, report *agentapiv1.StatisticsReport)
}

// Fleet is the controller's side of the agents' streams: who is connected, how their Envoys are.
type Fleet struct {
	agentapiv1.UnimplementedAmphoraAgentServer

	options FleetOptions

	mu      sync.Mutex
	agents  map[string]*agent
	changed chan struct{} // closed and replaced when an agent comes or goes

	sentAway prometheus.Counter
}

// ErrNotConnected says that an amphora's agent has no stream to this controller.
var ErrNotConnected = errors.New("the amphora's agent is not connected")

// AgentState is what the Fleet knows of an amphora.
type AgentState struct {
	AmphoraID      string
	LoadBalancerID string
	Connected      bool
	// Since is when the agent connected, or was lost.
	Since time.Time
	// LastReport is when it was last heard.
	LastReport   time.Time
	AgentVersion string
	EnvoyVersion string
	// Envoy is from the last report; nil before the first.
	Envoy *agentapiv1.EnvoyStatus
}

// NewFleet makes a Fleet without agents.
func NewFleet(options FleetOptions) *Fleet {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.RecordEvery == 0 {
		options.RecordEvery = DefaultRecordEvery
	}
	if options.SilentAfter == 0 {
		options.SilentAfter = DefaultSilentAfter
	}
	if options.ApartAfter == 0 {
		options.ApartAfter = DefaultApartAfter
	}
	return &Fleet{
		options: options, agents: map[string]*agent{}, changed: make(chan struct{}), sentAway: newApartCounter(options.Registry),
	}
}

// Register serves the agents on a gRPC server with mutual TLS; it fits server.Options.Register of xds/server.
func (f *Fleet) Register(server *grpc.Server) { agentapiv1.RegisterAmphoraAgentServer(server, f) }

// State returns what is known of an amphora; false if its agent has never connected to this controller.
func (f *Fleet) State(id string) (AgentState, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.agents[id]
	if a == nil {
		return AgentState{}, false
	}
	return a.snapshot(), true
}

// States returns what is known of all amphorae that have connected.
func (f *Fleet) States() []AgentState {
	f.mu.Lock()
	defer f.mu.Unlock()
	states := make([]AgentState, 0, len(f.agents))
	for _, a := range f.agents {
		states = append(states, a.snapshot())
	}
	return states
}

// Connected reports whether the amphora's agent has a stream now.
func (f *Fleet) Connected(id string) bool {
	state, _ := f.State(id)
	return state.Connected
}

// Forget drops what is known of a deleted amphora and ends its stream.
func (f *Fleet) Forget(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if a := f.agents[id]; a != nil {
		a.end()
		delete(f.agents, id)
	}
}

// WaitConnected returns nil when the amphora's agent is connected.
func (f *Fleet) WaitConnected(ctx context.Context, id string) error {
	for {
		f.mu.Lock()
		a, changed := f.agents[id], f.changed
		connected := a != nil && a.state.Connected
		f.mu.Unlock()
		if connected {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrNotConnected, ctx.Err())
		case <-changed:
		}
	}
}

// Shutdown tells the amphora's agent to stop Envoy and itself. It does not wait for that.
func (f *Fleet) Shutdown(ctx context.Context, id string, grace time.Duration) error {
	return f.instruct(ctx, id, &agentapiv1.Instruction{Content: &agentapiv1.Instruction_Shutdown{
		Shutdown: &agentapiv1.Shutdown{GraceMs: grace.Milliseconds()},
	}})
}

// Drain tells the amphora's Envoy to take nothing new.
func (f *Fleet) Drain(ctx context.Context, id string) error {
	return f.instruct(ctx, id, &agentapiv1.Instruction{Content: &agentapiv1.Instruction_Drain{Drain: &agentapiv1.Drain{}}})
}

func (f *Fleet) instruct(ctx context.Context, id string, instruction *agentapiv1.Instruction) error {
	a, err := f.connected(id)
	if err != nil {
		return err
	}
	return a.say(ctx, instruction)
}

func (f *Fleet) connected(id string) (*agent, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.agents[id]
	if a == nil || !a.state.Connected {
		return nil, fmt.Errorf("amphora %s: %w", id, ErrNotConnected)
	}
	return a, nil
}

// announce wakes those who wait for an agent; f.mu is held.
func (f *Fleet) announce() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// agent is one stream. A new one takes its place in the Fleet when the agent connects again.
type agent struct {
	// ended is closed when the stream ends or is to end.
	ended        chan struct{}
	endOnce      sync.Once
	instructions chan *agentapiv1.Instruction
	amphora      model.Amphora
	// hooks is held while a hook runs; the streams of one amphora share it.
	hooks *sync.Mutex

	// Under Fleet.mu.
	state     AgentState
	recorded  time.Time
	recording bool
	parting   parting
	// sentAway is whether the stream has ended to have the agent come to where its Envoy is.
	sentAway  bool
	lastProbe uint64
	probes    map[uint64]chan<- *agentapiv1.ProbeResult
}

func (a *agent) end() { a.endOnce.Do(func() { close(a.ended) }) }

func (a *agent) snapshot() AgentState {
	state := a.state
	if state.Envoy != nil {
		state.Envoy = proto.CloneOf(state.Envoy)
	}
	return state
}

func (a *agent) say(ctx context.Context, instruction *agentapiv1.Instruction) error {
	select {
	case a.instructions <- instruction:
		return nil
	case <-a.ended:
		return fmt.Errorf("amphora %s: %w", a.state.AmphoraID, ErrNotConnected)
	case <-ctx.Done():
		return ctx.Err()
	}
}
