package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/accesslog"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/credentials"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/health"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/statistics"
	"github.com/octavia-envoy/octavia-envoy/driver/certs"
	"github.com/octavia-envoy/octavia-envoy/xds/bootstrap"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// Defaults of a configuration.
const (
	DefaultHeartbeat = 3 * time.Second
	// DefaultDrainSeconds is Envoy's own default, too: long TCP sessions survive a change of their listener that long.
	DefaultDrainSeconds = 600
	DefaultLogLevel     = "info"
)

// Config is an agent's configuration file, JSON, written by the compute driver. Unknown keys are refused.
type Config struct {
	// AmphoraID is the name in the certificate and the xDS node id.
	AmphoraID string `json:"amphora_id"`
	// LoadBalancerID is the xDS node's cluster.
	LoadBalancerID string `json:"loadbalancer_id"`
	// Controller is where the controller serves gRPC: "unix:/path" or "tcp:host:port".
	Controller string `json:"controller"`
	// ServerName is the DNS name that the controller proves to have; default certs.ServerName.
	ServerName string `json:"server_name,omitempty"`
	// CredentialsDir holds the amphora's certificate, key and authorities, see package credentials. The agent renews them.
	CredentialsDir string `json:"credentials_dir"`
	// RunDir is the agent's own directory, made if missing: lock, pid files, sockets, bootstrap, Envoy's log.
	RunDir string `json:"run_dir"`
	// EnvoyPath is the Envoy binary; default is `envoy` on PATH.
	EnvoyPath string `json:"envoy_path,omitempty"`
	// Concurrency is the number of Envoy's worker threads; 0 is one a core.
	Concurrency int `json:"concurrency,omitempty"`
	// DrainSeconds is how long connections of a changed or removed listener may go on; 0 is DefaultDrainSeconds.
	DrainSeconds int `json:"drain_seconds,omitempty"`
	// EnvoyLogLevel is trace, debug, info, warning, error, critical or off; default info.
	EnvoyLogLevel string `json:"envoy_log_level,omitempty"`
	// LogLevel is the agent's own: debug, info, warn or error; default info.
	LogLevel string `json:"log_level,omitempty"`
	// HeartbeatMS is the time between two heartbeats in milliseconds; 0 is DefaultHeartbeat.
	HeartbeatMS int `json:"heartbeat_ms,omitempty"`
	// StatisticsMS and HealthMS are the times between two reports of statistics, and between two whole reports of health, in
	// milliseconds; 0 is statistics.DefaultReportEvery and health.DefaultWholeEvery.
	StatisticsMS int `json:"statistics_ms,omitempty"`
	HealthMS     int `json:"health_ms,omitempty"`
	// AccessLog says where the access log is, how large it may become, and where it is sent.
	AccessLog accesslog.Config `json:"access_log,omitzero"`
}

// LoadConfig reads and checks a configuration file; the error names everything that is wrong with it.
func LoadConfig(path string) (*Config, error) {
	data, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var config Config
	if err := decoder.Decode(&config); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: more than one JSON document", path)
	}
	config.setDefaults()
	if err := config.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &config, nil
}

func (c *Config) setDefaults() {
	setDefault(&c.ServerName, certs.ServerName)
	setDefault(&c.EnvoyPath, "envoy")
	setDefault(&c.EnvoyLogLevel, DefaultLogLevel)
	setDefault(&c.LogLevel, DefaultLogLevel)
	setDefault(&c.Concurrency, runtime.NumCPU())
	setDefault(&c.DrainSeconds, DefaultDrainSeconds)
	setDefault(&c.HeartbeatMS, int(DefaultHeartbeat.Milliseconds()))
	setDefault(&c.StatisticsMS, int(statistics.DefaultReportEvery.Milliseconds()))
	setDefault(&c.HealthMS, int(health.DefaultWholeEvery.Milliseconds()))
	c.AccessLog.SetDefaults(c.RunDir)
}

func setDefault[T comparable](value *T, otherwise T) {
	var zero T
	if *value == zero {
		*value = otherwise
	}
}

func (c *Config) check() error {
	var problems []error
	for _, dir := range []struct{ key, path string }{{"credentials_dir", c.CredentialsDir}, {"run_dir", c.RunDir}} {
		if !filepath.IsAbs(dir.path) {
			problems = append(problems, fmt.Errorf("%s: want an absolute path, not %q", dir.key, dir.path))
		}
	}
	for _, number := range []struct {
		key   string
		value int
	}{
		{"concurrency", c.Concurrency},
		{"drain_seconds", c.DrainSeconds},
		{"heartbeat_ms", c.HeartbeatMS},
		{"statistics_ms", c.StatisticsMS},
		{"health_ms", c.HealthMS},
	} {
		if number.value < 0 {
			problems = append(problems, fmt.Errorf("%s: %d is negative", number.key, number.value))
		}
	}
	if _, err := c.slogLevel(); err != nil {
		problems = append(problems, err)
	}
	if err := c.AccessLog.Check(); err != nil {
		problems = append(problems, err)
	}
	if len(problems) == 0 { // the bootstrap's own checks need the paths
		if _, err := bootstrap.Envoy(c.BootstrapOptions()); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

func (c *Config) slogLevel() (slog.Level, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return 0, fmt.Errorf("log_level: want debug, info, warn or error, not %q", c.LogLevel)
	}
	return level, nil
}

// Level is the agent's log level.
func (c *Config) Level() slog.Level {
	level, _ := c.slogLevel() // checked on load
	return level
}

func (c *Config) heartbeat() time.Duration { return time.Duration(c.HeartbeatMS) * time.Millisecond }

// BootstrapOptions are what Envoy's bootstrap is made of.
func (c *Config) BootstrapOptions() bootstrap.Options {
	return bootstrap.Options{
		NodeID:        c.AmphoraID,
		Cluster:       c.LoadBalancerID,
		Controller:    c.Controller,
		ServerName:    c.ServerName,
		CertFile:      credentials.CertificatePath(c.CredentialsDir),
		KeyFile:       credentials.KeyPath(c.CredentialsDir),
		CAFile:        credentials.AuthoritiesPath(c.CredentialsDir),
		AdminSocket:   AdminSocket(c.RunDir),
		MetricsSocket: MetricsSocket(c.RunDir),
		SecretDir:     c.RunDir,
	}
}

// AdminSocket is where the Envoy of an agent with that run directory serves its admin interface.
func AdminSocket(runDir string) string { return filepath.Join(runDir, "admin.sock") }

// MetricsSocket is where an agent with that run directory serves its load balancer's metrics (package metrics), for its
// Envoy alone.
func MetricsSocket(runDir string) string { return filepath.Join(runDir, "metrics.sock") }

// ProbeSocket is where an agent whose Envoy works in dir makes the checks that Envoy cannot make itself (package probe).
func ProbeSocket(dir string) string { return filepath.Join(dir, translate.ProbeSocket) }

// BootstrapPath is the bootstrap of the Envoy of an agent with that run directory. It is on Envoy's command line, and on
// that of no other process.
func BootstrapPath(runDir string) string { return filepath.Join(runDir, "bootstrap.json") }

// EnvoyPIDPath is where the agent records its Envoy (a process.ID).
func EnvoyPIDPath(runDir string) string { return filepath.Join(runDir, "envoy.pid") }

// PIDPath is where the agent records itself (a process.ID).
func PIDPath(runDir string) string { return filepath.Join(runDir, "agent.pid") }

func envoyLogPath(runDir string) string { return filepath.Join(runDir, "envoy.log") }
func lockPath(runDir string) string     { return filepath.Join(runDir, "agent.lock") }

// countedPath is where the agent keeps what its Envoy has forgotten of its counters.
func countedPath(runDir string) string { return filepath.Join(runDir, "statistics.json") }
