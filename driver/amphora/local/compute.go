package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/accesslog"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/credentials"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/process"
	"github.com/octavia-envoy/octavia-envoy/driver/amphora"
	"github.com/octavia-envoy/octavia-envoy/driver/certs"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// Name is what the rows of this driver's amphorae say.
const Name = "local"

const (
	// stopAgentWithin is how long the agent has for a clean stop; it gives Envoy 5 s of that.
	stopAgentWithin = 10 * time.Second
	stopEnvoyWithin = 2 * time.Second
	// maxLogFile is when agent.log is put aside, at the start of an agent, in bytes.
	maxLogFile = 16 << 20
)

// Issuer makes the first credentials of an amphora; *certs.Authority implements it.
type Issuer interface {
	AmphoraCredentials(amphoraID string, life time.Duration) (*certs.Credentials, error)
}

// Options are the parts and bounds of a Compute. All but Logger, Now and the numbers are needed.
type Options struct {
	// StateDir survives a reboot; RunDir need not. The path of RunDir has to be short: sockets below it have 107 bytes.
	StateDir, RunDir string
	// AgentPath and EnvoyPath are the binaries.
	AgentPath, EnvoyPath string
	// Controller is where agents and Envoys connect, "unix:/path" as a rule: it reaches into every namespace.
	Controller string
	// Namespace returns the path of an amphora's network namespace, which exists when Build is called.
	Namespace func(amphoraID string) string
	// Enter runs do in the network namespace at path; see driver/network/local.InNamespace.
	Enter  func(path string, do func() error) error
	Issuer Issuer
	// Concurrency, DrainSeconds, HeartbeatMS: 0 is the agent's default. CertificateLife: 0 is the issuer's.
	Concurrency, DrainSeconds, HeartbeatMS int
	CertificateLife                        time.Duration
	// EnvoyLogLevel and LogLevel: empty is the agent's default.
	EnvoyLogLevel, LogLevel string
	// AccessLog is what the agents do with access logs; its Dir is not heeded.
	AccessLog accesslog.Config
	// AccessLogDir is where they are, each in a folder of the amphora's id; empty is log in the amphora's folder of StateDir.
	// AccessLogGroup is the name of a group that may read them; empty is none.
	AccessLogDir, AccessLogGroup string
	Logger                       *slog.Logger
	Now                          func() time.Time
}

// Compute implements amphora.Compute. The Manager calls it once at a time per amphora.
type Compute struct {
	options Options
}

// New makes a Compute. The error names what is missing.
func New(options Options) (*Compute, error) {
	var problems []error
	for name, path := range map[string]*string{
		"state directory": &options.StateDir, "run directory": &options.RunDir,
		"agent": &options.AgentPath, "Envoy": &options.EnvoyPath,
	} {
		if *path == "" {
			problems = append(problems, fmt.Errorf("no path for the %s", name))
			continue
		}
		absolute, err := filepath.Abs(*path) // agents have another working directory
		problems = append(problems, err)
		*path = absolute
	}
	for _, binary := range []string{options.AgentPath, options.EnvoyPath} {
		if info, err := os.Stat(binary); err != nil {
			problems = append(problems, err)
		} else if info.IsDir() || info.Mode()&0o111 == 0 {
			problems = append(problems, fmt.Errorf("%s is not a program", binary))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("local compute: %w", err)
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Compute{options: options}, nil
}

// Name implements amphora.Compute.
func (*Compute) Name() string { return Name }

// Build implements amphora.Compute. The compute id is the amphora's id on this host.
func (c *Compute) Build(ctx context.Context, spec amphora.Spec) (string, error) {
	id := spec.Amphora.ID
	computeID, err := c.computeID(id)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(c.stateDir(id), 0o700); err != nil {
		return "", err
	}
	if err := c.ensureAccessLogDir(id); err != nil {
		return "", err
	}
	if err := c.ensureCredentials(id); err != nil {
		return "", err
	}
	if err := c.writeConfig(spec.Amphora); err != nil {
		return "", err
	}
	running, err := c.agents(id)
	if err != nil {
		return "", err
	}
	if len(running) > 0 {
		return computeID, nil
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	return computeID, c.start(id)
}

// Status implements amphora.Compute.
func (c *Compute) Status(_ context.Context, a model.Amphora) (amphora.State, error) {
	_, err := os.Stat(c.configPath(a.ID))
	if errors.Is(err, os.ErrNotExist) {
		return amphora.StateAbsent, nil
	}
	if err != nil {
		return "", err
	}
	recorded, err := process.Load(c.pidPath(a.ID))
	if err != nil {
		return "", err
	}
	if recorded.Alive() {
		return amphora.StateRunning, nil
	}
	running, err := c.agents(a.ID) // one whose pid was not recorded in time
	if err != nil {
		return "", err
	}
	if len(running) > 0 {
		return amphora.StateRunning, running[0].Save(c.pidPath(a.ID))
	}
	return amphora.StateDead, nil
}

// Delete implements amphora.Compute.
func (c *Compute) Delete(ctx context.Context, a model.Amphora) error {
	agents, err := c.agents(a.ID)
	if err != nil {
		return err
	}
	for _, running := range agents {
		if err := running.Stop(ctx, stopAgentWithin); err != nil {
			return fmt.Errorf("stop the agent: %w", err)
		}
	}
	envoys, err := process.Find("--config-path", agent.BootstrapPath(c.runDir(a.ID)))
	if err != nil {
		return err
	}
	for _, running := range envoys { // its agent was killed
		if err := running.Stop(ctx, stopEnvoyWithin); err != nil {
			return fmt.Errorf("stop Envoy: %w", err)
		}
	}
	return errors.Join(os.RemoveAll(c.runDir(a.ID)), os.RemoveAll(c.accessLogDir(a.ID)), os.RemoveAll(c.stateDir(a.ID)))
}

func (c *Compute) computeID(id string) (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", err
	}
	return host + "/" + id, nil
}

// agents returns the running agents of an amphora: one, or none.
func (c *Compute) agents(id string) ([]process.ID, error) {
	return process.Find("--config", c.configPath(id))
}

func (c *Compute) stateDir(id string) string   { return filepath.Join(c.options.StateDir, id) }
func (c *Compute) runDir(id string) string     { return filepath.Join(c.options.RunDir, id) }
func (c *Compute) configPath(id string) string { return filepath.Join(c.stateDir(id), "agent.json") }
func (c *Compute) pidPath(id string) string    { return filepath.Join(c.stateDir(id), "agent.pid") }
func (c *Compute) logPath(id string) string    { return filepath.Join(c.stateDir(id), "agent.log") }

// CredentialsDir is where an amphora's certificate and key are, see package credentials.
func (c *Compute) CredentialsDir(id string) string { return filepath.Join(c.stateDir(id), "tls") }

// AdminSocket is where an amphora's Envoy serves its admin interface.
func (c *Compute) AdminSocket(id string) string { return agent.AdminSocket(c.runDir(id)) }

// LogPath is where an amphora's agent logs, and Envoy through it.
func (c *Compute) LogPath(id string) string { return c.logPath(id) }

// ensureCredentials issues a certificate when there is none, or when the agent could not renew it in time: it was down, or
// the controller was, for most of a certificate's life.
func (c *Compute) ensureCredentials(id string) error {
	pair, _, err := credentials.Load(c.CredentialsDir(id))
	if err == nil && !certs.Due(pair.Leaf, c.options.Now()) {
		return nil
	}
	issued, err := c.options.Issuer.AmphoraCredentials(id, c.options.CertificateLife)
	if err != nil {
		return err
	}
	return credentials.Install(c.CredentialsDir(id), issued)
}
