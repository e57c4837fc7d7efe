package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/accesslog"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/envoyadmin"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/process"
	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
)

// RestartPolicy says when an Envoy that ended is started again.
type RestartPolicy struct {
	// First and Longest bound the wait before a start; it doubles with each end.
	First, Longest time.Duration
	// ResetAfter is how long an Envoy has to have run for the next wait to be First again.
	ResetAfter time.Duration
	// AdoptWithin is how long a running Envoy has to answer when a new agent finds it.
	AdoptWithin time.Duration
	// StopWithin is how long Envoy has to end on SIGTERM before it is killed.
	StopWithin time.Duration
}

// DefaultRestartPolicy is for amphorae.
func DefaultRestartPolicy() RestartPolicy {
	return RestartPolicy{
		First: 200 * time.Millisecond, Longest: 10 * time.Second, ResetAfter: 30 * time.Second,
		AdoptWithin: 10 * time.Second, StopWithin: 5 * time.Second,
	}
}

// supervisor keeps one Envoy running.
type supervisor struct {
	config *Config
	policy RestartPolicy
	admin  *admin
	log    *envoyLog
	logger *slog.Logger
	// inherit are files for Envoy to hold.
	inherit func() []*os.File
	// starting is called before an Envoy is started, stopping before one that still runs is stopped for good.
	starting func()
	stopping func(ctx context.Context)

	mu        sync.Mutex
	current   process.ID
	phase     agentapiv1.EnvoyStatus_State
	starts    uint32
	lastError string
}

// run starts or adopts Envoy and starts it again whenever it ends, until ctx is done; then it stops Envoy.
func (s *supervisor) run(ctx context.Context) error {
	defer s.forget()
	wait := s.policy.First
	running, ended := s.adopt(ctx)
	for ctx.Err() == nil {
		if running == (process.ID{}) {
			var err error
			if running, ended, err = s.start(); err != nil {
				s.logger.Error("cannot start Envoy", "error", err, "retry_in", wait.String())
				s.setPhase(agentapiv1.EnvoyStatus_FAILED, err.Error())
				wait = s.pause(ctx, wait)
				continue
			}
		}
		select {
		case <-ctx.Done():
			s.stopping(ctx)
			return s.stop(ctx, running)
		case reason := <-ended:
			age := running.Age()
			if said := s.log.lastComplaint(ctx); said != "" {
				reason += ": " + said
			}
			if age >= s.policy.ResetAfter {
				wait = s.policy.First
			}
			s.logger.Error("Envoy ended", "reason", reason, "pid", running.PID, "age", age.String(), "retry_in", wait.String())
			s.setPhase(agentapiv1.EnvoyStatus_BACKOFF, reason)
			running = process.ID{}
			wait = s.pause(ctx, wait)
		}
	}
	return s.stop(ctx, running)
}

// pause waits and returns the next wait.
func (s *supervisor) pause(ctx context.Context, wait time.Duration) time.Duration {
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	}
	return min(2*wait, s.policy.Longest)
}

// flushMS is how long a line of the access log, and of the log of health checks, may wait in Envoy before it is written; Envoy's
// default is 10 s. It is a part of the time until Octavia hears that a member is down.
const flushMS = "200"

// arguments are Envoy's. Hot restart is off: its shared memory would outlive a killed Envoy, and its base id would have
// to be unique among all the Envoys of the machine.
func (s *supervisor) arguments() []string {
	return []string{
		"--config-path", BootstrapPath(s.config.RunDir),
		"--disable-hot-restart",
		"--concurrency", strconv.Itoa(s.config.Concurrency),
		"--drain-time-s", strconv.Itoa(s.config.DrainSeconds),
		"--drain-strategy", "immediate",
		"--log-level", s.config.EnvoyLogLevel,
		"--log-format", envoyLogFormat,
		"--file-flush-interval-msec", flushMS,
	}
}

// start runs a new Envoy. The channel gets the reason when it ends.
func (s *supervisor) start() (process.ID, <-chan string, error) {
	// Envoy writes to a file, not to a pipe: a pipe would break when the agent dies, and fill up when it hangs.
	output, err := s.log.open()
	if err != nil {
		return process.ID{}, nil, err
	}
	defer func() { _ = output.Close() }()
	_ = os.Remove(AdminSocket(s.config.RunDir)) // of an Envoy that was killed
	if err := accesslog.Mend(s.config.AccessLog.Dir); err != nil {
		s.logger.Warn("cannot look at the end of the access log", "error", err)
	}
	s.starting()
	command := exec.Command(s.config.EnvoyPath, s.arguments()...)
	command.Stdout, command.Stderr = output, output
	command.ExtraFiles = s.inherit()
	// The access log has no path of its own: translate.AccessLogFile.
	command.Dir = s.config.AccessLog.Dir
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no signal for the agent's group is for Envoy
	if err := command.Start(); err != nil {
		return process.ID{}, nil, err
	}
	id, err := process.Of(command.Process.Pid)
	if err != nil { // it has ended already; the channel tells why
		id = process.ID{PID: command.Process.Pid}
	} else if err := id.Save(EnvoyPIDPath(s.config.RunDir)); err != nil {
		s.logger.Error("cannot record Envoy's pid", "error", err) // the next agent finds it by its command line
	}
	ended := make(chan string, 1)
	go func() {
		if err := command.Wait(); err != nil {
			ended <- err.Error()
			return
		}
		ended <- "exit status 0"
	}()
	s.mu.Lock()
	s.starts++
	s.current, s.phase = id, agentapiv1.EnvoyStatus_STARTING
	s.mu.Unlock()
	s.logger.Info("Envoy started", "pid", id.PID)
	return id, ended, nil
}

// adopt takes over the Envoy that an earlier agent left running. It returns the zero ID when there is none; one that does
// not answer is stopped.
func (s *supervisor) adopt(ctx context.Context) (process.ID, <-chan string) {
	recorded, err := process.Load(EnvoyPIDPath(s.config.RunDir))
	if err != nil {
		s.logger.Warn("cannot read Envoy's pid", "error", err)
	}
	found, err := process.Find(s.arguments()[:2]...)
	if err != nil {
		s.logger.Warn("cannot look for a running Envoy", "error", err)
	}
	var adopted process.ID
	for _, candidate := range found {
		// Of several, and there should never be, the recorded one is it.
		if adopted == (process.ID{}) && (len(found) == 1 || candidate == recorded) && s.answers(ctx) {
			adopted = candidate
			continue
		}
		// Also when the agent ends meanwhile: no Envoy is left without one.
		s.logger.Warn("stopping an Envoy that does not answer", "pid", candidate.PID)
		if err := s.stop(ctx, candidate); err != nil {
			s.logger.Error("cannot stop Envoy", "pid", candidate.PID, "error", err)
		}
	}
	if adopted == (process.ID{}) {
		return adopted, nil
	}
	if err := adopted.Save(EnvoyPIDPath(s.config.RunDir)); err != nil {
		s.logger.Error("cannot record Envoy's pid", "error", err)
	}
	ended := make(chan string, 1)
	go func() {
		if adopted.Wait(ctx) == nil {
			ended <- "ended; its exit status is unknown since another agent started it"
		}
	}()
	s.mu.Lock()
	s.starts++
	s.current, s.phase = adopted, agentapiv1.EnvoyStatus_STARTING
	s.mu.Unlock()
	s.logger.Info("adopted a running Envoy", "pid", adopted.PID, "age", adopted.Age().String())
	return adopted, ended
}

// answers waits until the admin interface does.
func (s *supervisor) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, s.policy.AdoptWithin)
	defer cancel()
	for {
		if _, err := s.admin.State(ctx); err == nil {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop ends Envoy, also when ctx is done: that is what it ends for.
func (s *supervisor) stop(ctx context.Context, running process.ID) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*s.policy.StopWithin)
	defer cancel()
	if err := running.Stop(ctx, s.policy.StopWithin); err != nil {
		return fmt.Errorf("stop Envoy: %w", err)
	}
	var errs []error
	for _, path := range []string{EnvoyPIDPath(s.config.RunDir), AdminSocket(s.config.RunDir)} {
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			errs = append(errs, err)
		}
	}
	s.logger.Info("Envoy stopped")
	return errors.Join(errs...)
}

// signal passes a signal on, SIGUSR1 to open log files again for example.
func (s *supervisor) signal(signal unix.Signal) error {
	return s.process().Signal(signal)
}

// process is the Envoy that runs now; the zero ID when none does.
func (s *supervisor) process() process.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// forget notes that no Envoy runs any more.
func (s *supervisor) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = process.ID{}
}

func (s *supervisor) setPhase(phase agentapiv1.EnvoyStatus_State, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase, s.lastError, s.current = phase, reason, process.ID{}
}

// status asks Envoy how it is, now.
func (s *supervisor) status(ctx context.Context) *agentapiv1.EnvoyStatus {
	s.mu.Lock()
	current := s.current
	status := &agentapiv1.EnvoyStatus{State: s.phase, LastError: s.lastError}
	if s.starts > 0 {
		status.Restarts = s.starts - 1
	}
	s.mu.Unlock()
	if !current.Alive() {
		return status
	}
	status.Pid = int32(current.PID) //nolint:gosec // Linux counts to 2^22
	status.UptimeMs = current.Age().Milliseconds()
	status.MemoryBytes = current.Memory()
	state, err := s.admin.State(ctx)
	if err != nil {
		status.LastError = err.Error()
		return status
	}
	gauges, err := s.admin.gauges(ctx)
	if err != nil {
		status.LastError = err.Error()
		return status
	}
	switch state {
	case envoyadmin.StateLive:
		status.State = agentapiv1.EnvoyStatus_RUNNING
	case envoyadmin.StateDraining:
		status.State = agentapiv1.EnvoyStatus_DRAINING
	case envoyadmin.StateInitializing:
		status.AwaitingListeners = gauges[statListenersHeard] == 0
	}
	status.WarmingClusters = gauges[statWarmingClusters]
	status.WarmingListeners = gauges[statWarmingListeners]
	status.ActiveListeners = gauges[statActiveListeners]
	status.XdsConnected = gauges[statConnected] > 0
	return status
}
