package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/accesslog"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/health"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/metrics"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/probe"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/process"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/statistics"
	"github.com/octavia-envoy/octavia-envoy/driver/certs"
	"github.com/octavia-envoy/octavia-envoy/xds/bootstrap"
)

// Options of Run. Only Config is needed.
type Options struct {
	Config *Config
	Logger *slog.Logger
	// Version is the agent's.
	Version string
	// Restart is DefaultRestartPolicy if it is zero.
	Restart RestartPolicy
}

// lastReadWithin bounds the last reading of Envoy's counters before it is stopped.
const lastReadWithin = time.Second

// ErrRunning says that another agent of the same amphora runs.
var ErrRunning = errors.New("another agent runs for this amphora")

// Run is the agent. It returns when ctx is done or the controller says Shutdown, after it has stopped Envoy; or with an
// error when it could not begin, see ErrRunning. Envoy's troubles do not end it.
func Run(ctx context.Context, options Options) error {
	config, logger := options.Config, options.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	if options.Restart == (RestartPolicy{}) {
		options.Restart = DefaultRestartPolicy()
	}
	unlock, err := claim(config)
	if err != nil {
		return err
	}
	defer unlock()
	if err := writeBootstrap(config, logger); err != nil {
		return err
	}
	if err := os.MkdirAll(config.AccessLog.Dir, 0o750); err != nil { // Envoy starts there
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	bridge := probe.New(probe.Options{
		Socket: ProbeSocket(config.AccessLog.Dir), Logger: logger,
		Holders: func() ([]process.ID, error) { return process.Find("--config-path", BootstrapPath(config.RunDir)) },
	})
	if err := bridge.Listen(); err != nil { // Run tries again
		logger.Error("cannot answer health checks", "error", err)
	}
	log := newEnvoyLog(envoyLogPath(config.RunDir), logger)
	log.skip()
	super := &supervisor{
		config: config, policy: options.Restart, admin: newAdmin(AdminSocket(config.RunDir)), log: log, logger: logger,
		inherit: bridge.Files,
	}
	counted, watched := reporters(config, super, logger)
	talk := &session{
		config: config, supervisor: super, logger: logger, version: options.Version,
		statistics: counted, health: watched, finish: make(chan struct{}),
		shutdown: func(grace time.Duration) {
			if grace > 0 {
				if err := super.admin.drain(ctx); err != nil {
					logger.Error("cannot drain Envoy", "error", err)
				}
			}
			time.AfterFunc(grace, cancel)
		},
	}
	group, ctx := errgroup.WithContext(ctx)
	logs, stopLogs := context.WithCancel(context.WithoutCancel(ctx)) // Envoy's last words come while it stops
	group.Go(func() error { return log.run(logs) })
	group.Go(func() error { return bridge.Run(logs) }) // as long as Envoy has members to check
	group.Go(func() error {
		accesslog.Run(logs, accesslog.Options{
			Config: config.AccessLog, Host: config.AmphoraID, Admin: super.admin, Logger: logger,
		})
		return nil
	})
	group.Go(func() error {
		defer stopLogs()
		err := super.run(ctx)
		counted.Read(logs) // there is no Envoy any more: that makes its last word
		close(talk.finish)
		return err
	})
	group.Go(func() error { return talk.run(context.WithoutCancel(ctx)) })
	group.Go(func() error { return counted.Run(ctx) })
	group.Go(func() error { return watched.Run(ctx) })
	group.Go(func() error { return (&renewer{config: config, logger: logger}).run(ctx) })
	group.Go(func() error { return forward(ctx, super, logger) })
	group.Go(func() error {
		return metrics.Run(ctx, metrics.Options{
			Socket: MetricsSocket(config.RunDir), Envoy: super.admin.Client, Process: super.process, Logger: logger,
		})
	})
	return group.Wait()
}

// reporters are what follows Envoy's counters and health checks.
func reporters(config *Config, super *supervisor, logger *slog.Logger) (*statistics.Collector, *health.Watcher) {
	watched := health.New(health.Options{
		Dir: config.AccessLog.Dir, Envoy: super.admin.Client, Process: super.process, Logger: logger,
		WholeEvery: time.Duration(config.HealthMS) * time.Millisecond,
	})
	counted := statistics.New(statistics.Options{
		Envoy: super.admin.Client, Process: super.process, Logger: logger, File: countedPath(config.RunDir),
		ReportEvery: time.Duration(config.StatisticsMS) * time.Millisecond,
		Full:        watched.Listeners, Configured: watched.Configured,
	})
	super.starting = func() {
		if err := watched.Starting(); err != nil {
			logger.Error("cannot empty Envoy's log of health checks", "error", err)
		}
	}
	super.stopping = func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastReadWithin)
		defer cancel()
		counted.Read(ctx)
	}
	return counted, watched
}

// claim makes sure that this is the amphora's only agent and records it.
func claim(config *Config) (func(), error) {
	if err := os.MkdirAll(config.RunDir, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(lockPath(config.RunDir), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	// Go opens files close-on-exec: Envoy does not inherit the lock and keep it.
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = lock.Close()
		other, _ := process.Load(PIDPath(config.RunDir))
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: pid %d, lock %s", ErrRunning, other.PID, lockPath(config.RunDir))
		}
		return nil, fmt.Errorf("lock %s: %w", lockPath(config.RunDir), err)
	}
	self, err := process.Of(os.Getpid())
	if err == nil {
		err = self.Save(PIDPath(config.RunDir))
	}
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	return func() {
		_ = os.Remove(PIDPath(config.RunDir))
		_ = lock.Close()
	}, nil
}

// writeBootstrap writes what Envoy starts with. A running Envoy keeps what it started with.
func writeBootstrap(config *Config, logger *slog.Logger) error {
	content, err := bootstrap.Envoy(config.BootstrapOptions())
	if err != nil {
		return err
	}
	files, err := bootstrap.Secrets(config.BootstrapOptions())
	if err != nil {
		return err
	}
	files[BootstrapPath(config.RunDir)] = content
	for path, data := range files {
		old, err := os.ReadFile(path)
		if err == nil && string(old) == string(data) {
			continue
		}
		if err == nil {
			logger.Warn("Envoy's bootstrap has changed; a running Envoy takes it up when it is started again", "file", path)
		}
		if err := certs.WriteFile(path, data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// forward passes on the signals that Envoy knows: SIGUSR1 opens its access logs again, SIGHUP is for hot restarters.
func forward(ctx context.Context, super *supervisor, logger *slog.Logger) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, unix.SIGUSR1, unix.SIGHUP)
	defer signal.Stop(signals)
	for {
		select {
		case <-ctx.Done():
			return nil
		case received := <-signals:
			number, ok := received.(unix.Signal)
			if !ok {
				continue
			}
			if err := super.signal(number); err != nil {
				logger.Warn("cannot pass on a signal", "signal", received.String(), "error", err)
			}
		}
	}
}

// envoyVersion is what the binary says; empty when it cannot be run, which the supervisor will report.
func envoyVersion(ctx context.Context, path string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	output, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return ""
	}
	_, version, _ := strings.Cut(strings.TrimSpace(string(output)), "version: ")
	return version
}
