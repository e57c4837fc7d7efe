package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	agentcredentials "github.com/octavia-envoy/octavia-envoy/amphora-image/agent/credentials"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/health"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/statistics"
	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
)

const (
	// missedBeats is how many unanswered heartbeats make the agent dial again.
	missedBeats = 5
	// firstRedial and longestRedial bound the wait before the agent dials again.
	firstRedial, longestRedial = 100 * time.Millisecond, 3 * time.Second
	// gatherFor is how long changes of health wait for others: many members at once are one report.
	gatherFor = 150 * time.Millisecond
	// finishWithin bounds how long the controller may take to hear the last.
	finishWithin = 2 * time.Second
)

// session talks to the controller.
type session struct {
	config       *Config
	supervisor   *supervisor
	logger       *slog.Logger
	version      string
	envoyVersion string
	statistics   *statistics.Collector
	health       *health.Watcher
	// finish is closed when Envoy has been stopped for good: the last of it is said, and that is all.
	finish chan struct{}
	// shutdown ends the agent for good; the controller said so.
	shutdown func(grace time.Duration)
}

// dial opens a connection with the credentials of this moment.
func (c *Config) dial() (*grpc.ClientConn, error) {
	pair, authorities, err := agentcredentials.Load(c.CredentialsDir)
	if err != nil {
		return nil, err
	}
	target := c.Controller
	if address, ok := strings.CutPrefix(target, "tcp:"); ok {
		target = "dns:///" + address
	}
	return grpc.NewClient(target, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		MinVersion:   tls.VersionTLS13,
		ServerName:   c.ServerName,
		RootCAs:      authorities,
		Certificates: []tls.Certificate{*pair},
	})))
}

// errFinished says that everything has been said.
var errFinished = errors.New("the agent ends")

// run keeps a session open until it has said the last, or cannot.
func (s *session) run(ctx context.Context) error {
	s.envoyVersion = envoyVersion(ctx, s.config.EnvoyPath) // here, since Envoy can start meanwhile
	wait := firstRedial
	for !s.finished() {
		opened, err := s.converse(ctx)
		if s.finished() {
			break
		}
		if opened {
			wait = firstRedial
		}
		s.logger.Warn("no connection with the controller", "error", err, "retry_in", wait.String())
		select {
		case <-s.finish:
		case <-time.After(wait):
		}
		wait = min(2*wait, longestRedial)
	}
	return nil
}

func (s *session) finished() bool {
	select {
	case <-s.finish:
		return true
	default:
		return false
	}
}

// converse holds one stream. It reports whether the controller answered at all.
func (s *session) converse(ctx context.Context) (opened bool, err error) {
	connection, err := s.config.dial()
	if err != nil {
		return false, err
	}
	defer func() { _ = connection.Close() }()
	ctx, cancel := context.WithCancelCause(ctx)
	var wait sync.WaitGroup
	defer wait.Wait()
	defer cancel(nil)
	wait.Go(func() { // a controller that does not listen
		select {
		case <-ctx.Done():
		case <-s.finish:
			select {
			case <-ctx.Done():
			case <-time.After(finishWithin):
				cancel(errFinished)
			}
		}
	})

	stream, err := agentapiv1.NewAmphoraAgentClient(connection).Connect(ctx)
	if err != nil {
		return false, err
	}
	reports := make(chan *agentapiv1.Report, 16)
	heard := make(chan struct{}, 1)
	wait.Go(func() {
		err := s.send(ctx, stream, reports, heard)
		if !errors.Is(err, errFinished) { // then the controller hears it all before it ends the stream
			cancel(err)
		}
	})
	for {
		instruction, err := stream.Recv()
		if errors.Is(err, io.EOF) && s.finished() {
			s.statistics.Acknowledged(math.MaxUint64)
			return opened, errFinished
		}
		if err != nil {
			if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
				err = cause
			}
			return opened, err
		}
		if !opened {
			opened = true
			s.logger.Info("connected to the controller", "controller", s.config.Controller)
		}
		select {
		case heard <- struct{}{}:
		default:
		}
		if acknowledge := instruction.GetAcknowledge(); acknowledge.GetSequence() > 0 {
			s.statistics.Acknowledged(acknowledge.GetSequence())
		}
		s.obey(ctx, &wait, instruction, reports)
	}
}

// send writes Hello, a heartbeat each period, and the reports of the channel; only it writes to the stream.
func (s *session) send(
	ctx context.Context, stream grpc.BidiStreamingClient[agentapiv1.Report, agentapiv1.Instruction],
	reports <-chan *agentapiv1.Report, heard <-chan struct{},
) error {
	hello := &agentapiv1.Hello{
		AmphoraId: s.config.AmphoraID, LoadbalancerId: s.config.LoadBalancerID,
		AgentVersion: s.version, EnvoyVersion: s.envoyVersion,
	}
	if err := stream.Send(&agentapiv1.Report{Content: &agentapiv1.Report_Hello{Hello: hello}}); err != nil {
		return err
	}
	ticker := time.NewTicker(s.config.heartbeat())
	defer ticker.Stop()
	silent := 0
	s.health.Greet()
	s.statistics.Greet()
	var gathered <-chan time.Time
	for sequence := uint64(1); ; {
		var report *agentapiv1.Report
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.finish:
			if err := sendAll(stream, s.statisticsNow(sequence)); err != nil {
				return err
			}
			return errors.Join(stream.CloseSend(), errFinished)
		case <-s.health.Wake():
			if gathered == nil {
				gathered = time.After(gatherFor)
			}
			continue
		case <-gathered:
			gathered = nil
			report = s.healthNow()
		case <-s.statistics.Wake():
			report = s.statisticsNow(sequence)
		case <-heard:
			silent = 0
			continue
		case report = <-reports:
		case <-ticker.C:
			if silent++; silent > missedBeats {
				return fmt.Errorf("the controller has left %d heartbeats unanswered", missedBeats)
			}
			report = &agentapiv1.Report{Content: &agentapiv1.Report_Heartbeat{
				Heartbeat: &agentapiv1.Heartbeat{Sequence: sequence, Envoy: s.supervisor.status(ctx)},
			}}
			sequence++
			if err := sendAll(stream, report, s.healthNow()); err != nil { // the whole may be due
				return err
			}
			continue
		}
		if err := sendAll(stream, report); err != nil {
			return err
		}
	}
}

// sendAll sends what there is of the reports.
func sendAll(stream grpc.BidiStreamingClient[agentapiv1.Report, agentapiv1.Instruction], reports ...*agentapiv1.Report) error {
	for _, report := range reports {
		if report == nil {
			continue
		}
		if err := stream.Send(report); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) healthNow() *agentapiv1.Report {
	report := s.health.Next()
	if report == nil {
		return nil
	}
	return &agentapiv1.Report{Content: &agentapiv1.Report_Health{Health: report}}
}

// statisticsNow is what the acknowledgement of the next heartbeat confirms.
func (s *session) statisticsNow(next uint64) *agentapiv1.Report {
	report := s.statistics.Next(next)
	if report == nil {
		return nil
	}
	return &agentapiv1.Report{Content: &agentapiv1.Report_Statistics{Statistics: report}}
}

// obey does what the controller says, without holding up what it says next.
func (s *session) obey(
	ctx context.Context, wait *sync.WaitGroup, instruction *agentapiv1.Instruction, reports chan<- *agentapiv1.Report,
) {
	switch content := instruction.GetContent().(type) {
	case *agentapiv1.Instruction_Probe:
		wait.Go(func() {
			result := &agentapiv1.ProbeResult{ProbeId: content.Probe.GetProbeId()}
			if content.Probe.GetChecks() {
				result.Checks = s.checks(ctx)
			} else {
				result.Envoy = s.supervisor.status(ctx)
			}
			report := &agentapiv1.Report{Content: &agentapiv1.Report_ProbeResult{ProbeResult: result}}
			select {
			case reports <- report:
			case <-ctx.Done():
			}
		})
	case *agentapiv1.Instruction_Drain:
		wait.Go(func() {
			s.logger.Info("draining Envoy, as the controller says")
			if err := s.supervisor.admin.drain(ctx); err != nil {
				s.logger.Error("cannot drain Envoy", "error", err)
			}
			s.statistics.Hurry(ctx)
		})
	case *agentapiv1.Instruction_Shutdown:
		s.logger.Info("shutting down, as the controller says", "grace_ms", content.Shutdown.GetGraceMs())
		wait.Go(func() { s.statistics.Hurry(ctx) })
		s.shutdown(time.Duration(content.Shutdown.GetGraceMs()) * time.Millisecond)
	}
}

// checks says how Envoy's health checks stand; nothing while Envoy does not answer, which is to be asked again.
func (s *session) checks(ctx context.Context) []*agentapiv1.ClusterChecks {
	clusters, err := s.supervisor.admin.Checks(ctx)
	if err != nil {
		s.logger.Debug("cannot tell how the health checks stand", "error", err)
	}
	checks := make([]*agentapiv1.ClusterChecks, 0, len(clusters))
	for name, is := range clusters {
		checks = append(checks, &agentapiv1.ClusterChecks{Cluster: name, Healthy: is.Healthy, Unchecked: is.Unchecked})
	}
	return checks
}
