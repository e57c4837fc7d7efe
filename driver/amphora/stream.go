package amphora

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	grpcstatus "google.golang.org/grpc/status"

	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
	"github.com/octavia-envoy/octavia-envoy/driver/certs"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
)

// recordTimeout bounds the writing of a heartbeat; a locked database must not pile them up.
const recordTimeout = 30 * time.Second

type agentStream = grpc.BidiStreamingServer[agentapiv1.Report, agentapiv1.Instruction]

// Connect implements agentapiv1.AmphoraAgentServer.
func (f *Fleet) Connect(stream agentStream) error {
	ctx := stream.Context()
	amphora, err := f.caller(ctx)
	if err != nil {
		return err
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	hello := first.GetHello()
	if hello == nil || hello.GetAmphoraId() != amphora.ID || hello.GetLoadbalancerId() != amphora.LoadBalancerID {
		return grpcstatus.Errorf(codes.InvalidArgument,
			"the first report has to be the Hello of amphora %s of load balancer %s", amphora.ID, amphora.LoadBalancerID)
	}
	a := f.welcome(amphora, hello)
	defer f.leave(a)
	logger := f.options.Logger.With("amphora", amphora.ID, "lb", amphora.LoadBalancerID)
	logger.Info("agent connected", "agent_version", hello.GetAgentVersion(), "envoy_version", hello.GetEnvoyVersion())
	f.record(ctx, a)

	sent := make(chan error, 1)
	go func() { sent <- a.send(stream) }()
	reports, lost := make(chan *agentapiv1.Report), make(chan error, 1)
	go func() { lost <- receive(stream, reports, a.ended) }()
	silence := time.NewTimer(f.options.SilentAfter)
	defer silence.Stop()
	for {
		select {
		case report := <-reports:
			silence.Reset(f.options.SilentAfter)
			f.hear(ctx, a, report)
			if f.apart(a, report) {
				f.sentAway.Inc()
				logger.Warn("agent has to dial again: its Envoy is connected to another controller")
				return errApart
			}
		case err := <-lost:
			logger.Info("agent disconnected", "error", err)
			return nil
		case err := <-sent:
			logger.Info("agent disconnected", "error", err)
			return err
		case <-silence.C:
			logger.Warn("agent is silent", "after", f.options.SilentAfter.String())
			return grpcstatus.Error(codes.DeadlineExceeded, "no report came for too long")
		case <-a.ended:
			return grpcstatus.Error(codes.Aborted, "another stream has taken this one's place, or the amphora is gone")
		}
	}
}

// send writes the instructions; only it does.
func (a *agent) send(stream agentStream) error {
	for {
		select {
		case <-a.ended:
			return nil
		case instruction := <-a.instructions:
			if err := stream.Send(instruction); err != nil {
				return err
			}
		}
	}
}

func receive(stream agentStream, reports chan<- *agentapiv1.Report, ended <-chan struct{}) error {
	for {
		report, err := stream.Recv()
		if err != nil {
			return err
		}
		select {
		case reports <- report:
		case <-ended:
			return nil
		}
	}
}

// caller returns the amphora that the client certificate names. One that the store does not know is refused: it has been
// deleted, or belongs to somebody else.
func (f *Fleet) caller(ctx context.Context) (*model.Amphora, error) {
	from, ok := peer.FromContext(ctx)
	if !ok {
		return nil, grpcstatus.Error(codes.Unauthenticated, "no peer")
	}
	info, ok := from.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return nil, grpcstatus.Error(codes.Unauthenticated, "no verified client certificate")
	}
	role, name, err := certs.Identity(info.State.VerifiedChains[0][0])
	if err != nil {
		return nil, grpcstatus.Error(codes.Unauthenticated, err.Error())
	}
	if role != certs.RoleAmphora {
		return nil, grpcstatus.Errorf(codes.PermissionDenied, "%s %s is no amphora", role, name)
	}
	amphora, err := f.options.Store.Amphora(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		f.options.Logger.Warn("refused an unknown amphora", "amphora", name)
		return nil, grpcstatus.Errorf(codes.NotFound, "amphora %s is not known here", name)
	}
	if err != nil {
		f.options.Logger.Error("cannot look up an amphora", "amphora", name, "error", err)
		return nil, grpcstatus.Error(codes.Unavailable, "the store does not answer")
	}
	return amphora, nil
}

func (f *Fleet) welcome(amphora *model.Amphora, hello *agentapiv1.Hello) *agent {
	now := f.options.Now()
	a := &agent{
		ended: make(chan struct{}), instructions: make(chan *agentapiv1.Instruction, 16),
		probes: map[uint64]chan<- *agentapiv1.ProbeResult{}, amphora: *amphora, hooks: &sync.Mutex{},
		state: AgentState{
			AmphoraID: amphora.ID, LoadBalancerID: amphora.LoadBalancerID, Connected: true, Since: now, LastReport: now,
			AgentVersion: hello.GetAgentVersion(), EnvoyVersion: hello.GetEnvoyVersion(),
		},
	}
	a.instructions <- acknowledge(0)
	f.mu.Lock()
	defer f.mu.Unlock()
	if old := f.agents[amphora.ID]; old != nil {
		old.end()
		a.recorded, a.hooks, a.parting.patience = old.recorded, old.hooks, old.parting.patience
	}
	f.agents[amphora.ID] = a
	f.announce()
	return a
}

func (f *Fleet) leave(a *agent) {
	a.end()
	f.mu.Lock()
	defer f.mu.Unlock()
	a.state.Connected, a.state.Since = false, f.options.Now()
	f.announce()
}

func acknowledge(sequence uint64) *agentapiv1.Instruction {
	return &agentapiv1.Instruction{Content: &agentapiv1.Instruction_Acknowledge{
		Acknowledge: &agentapiv1.Acknowledge{Sequence: sequence},
	}}
}

// hear takes up one report.
func (f *Fleet) hear(ctx context.Context, a *agent, report *agentapiv1.Report) {
	var envoy *agentapiv1.EnvoyStatus
	var probe chan<- *agentapiv1.ProbeResult
	heartbeat := report.GetHeartbeat()
	f.mu.Lock()
	switch {
	case heartbeat != nil:
		envoy = heartbeat.GetEnvoy()
	case report.GetProbeResult() != nil:
		result := report.GetProbeResult()
		envoy = result.GetEnvoy()
		probe = a.probes[result.GetProbeId()]
		delete(a.probes, result.GetProbeId())
	}
	before := a.state.Envoy.GetState()
	a.state.LastReport = f.options.Now()
	if envoy != nil {
		a.state.Envoy = envoy
	}
	f.mu.Unlock()

	if envoy != nil && envoy.GetState() != before {
		f.options.Logger.Info("Envoy's state changed", "amphora", a.state.AmphoraID, "lb", a.state.LoadBalancerID,
			"from", before.String(), "to", envoy.GetState().String(), "restarts", envoy.GetRestarts(),
			"last_error", envoy.GetLastError())
	}
	if probe != nil {
		probe <- report.GetProbeResult() // has room for one
	}
	f.pass(ctx, a, report)
	if heartbeat != nil {
		select {
		case a.instructions <- acknowledge(heartbeat.GetSequence()):
		default: // the stream is stuck: the agent will find out
		}
		f.record(ctx, a)
	}
}

// pass hands health and statistics to the hooks.
func (f *Fleet) pass(ctx context.Context, a *agent, report *agentapiv1.Report) {
	health, statistics := report.GetHealth(), report.GetStatistics()
	if health == nil && statistics == nil {
		return
	}
	a.hooks.Lock()
	defer a.hooks.Unlock()
	select {
	case <-a.ended: // a newer stream may have said more
		return
	default:
	}
	ctx = context.WithoutCancel(ctx)
	if health != nil && f.options.Health != nil {
		f.options.Health(ctx, a.amphora, health)
	}
	if statistics != nil && f.options.Statistics != nil {
		f.options.Statistics(ctx, a.amphora, statistics)
	}
}

// record notes in the store that the agent was heard, now and then, without holding up the stream.
func (f *Fleet) record(ctx context.Context, a *agent) {
	f.mu.Lock()
	at := a.state.LastReport
	due := !a.recording && at.Sub(a.recorded) >= f.options.RecordEvery
	if due {
		a.recording = true
	}
	f.mu.Unlock()
	if !due {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
		defer cancel()
		err := f.options.Store.Heartbeat(ctx, a.state.AmphoraID, at)
		if err != nil && !errors.Is(err, store.ErrNotFound) { // deleted meanwhile
			f.options.Logger.Warn("cannot record a heartbeat", "amphora", a.state.AmphoraID, "error", err)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		a.recording = false
		if err == nil {
			a.recorded = at
		}
	}()
}

// RenewCertificate implements agentapiv1.AmphoraAgentServer.
func (f *Fleet) RenewCertificate(
	ctx context.Context, request *agentapiv1.RenewCertificateRequest,
) (*agentapiv1.RenewCertificateResponse, error) {
	amphora, err := f.caller(ctx)
	if err != nil {
		return nil, err
	}
	if amphora.Status == model.AmphoraPendingDelete {
		return nil, grpcstatus.Errorf(codes.FailedPrecondition, "amphora %s is being deleted", amphora.ID)
	}
	chain, err := f.options.Signer.IssueAmphora(amphora.ID, request.GetSigningRequest(), f.options.CertificateLife)
	if err != nil {
		f.options.Logger.Warn("refused a signing request", "amphora", amphora.ID, "error", err)
		return nil, grpcstatus.Error(codes.InvalidArgument, err.Error())
	}
	f.options.Logger.Info("renewed a certificate", "amphora", amphora.ID, "lb", amphora.LoadBalancerID)
	return &agentapiv1.RenewCertificateResponse{Chain: chain, Authorities: f.options.Signer.CA()}, nil
}
