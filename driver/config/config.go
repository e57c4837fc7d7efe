package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Config is everything that a controller can be told.
type Config struct {
	Store     Store     `json:"store"`
	API       API       `json:"api"`
	XDS       XDS       `json:"xds"`
	Octavia   Octavia   `json:"octavia"`
	OpenStack OpenStack `json:"openstack"`
	CA        CA        `json:"ca"`
	Secrets   Secrets   `json:"secrets"`
	OCSP      OCSP      `json:"ocsp"`
	Amphora   Amphora   `json:"amphora"`
	Reconcile Reconcile `json:"reconcile"`
	Log       Log       `json:"log"`
	Fault     Fault     `json:"fault"`
}

// Store says where the controller keeps its state.
type Store struct {
	DSN string `json:"dsn" help:"database: sqlite:/path, mysql://user:password@host/db, postgres://user:password@host/db"`
	// KeyFile is in the format of store/seal.
	KeyFile string `json:"key_file" help:"file with the keys that seal private keys in the database (mode 0600), the same for all controllers; made on the first start"`
	// KeyRef takes the place of KeyFile; its payload is in the same format.
	KeyRef string `json:"key_ref" help:"reference of a secret in Barbican with those keys, in place of a file; see octavia-envoy db new-key --help"`
}

// API says where the provider and operator API listens.
type API struct {
	UnixSocket string `json:"unix_socket" help:"path of the API's unix socket; only its owner and group may connect"`
	UnixGroup  string `json:"unix_group" help:"group that may connect to the unix socket, for instance octavia; empty keeps the process's own"`
	TCP        string `json:"tcp" help:"host:port of the API over TLS with client certificates; empty does not listen"`
}

// XDS says where amphorae connect.
type XDS struct {
	Listen []string `json:"listen" help:"where amphorae and operators connect, TLS with client certificates on each: unix:/path or tcp:host:port"`
	// ServerNames are further names in the controller's certificate, for instance its address on the management network.
	ServerNames []string `json:"server_names" help:"further DNS names or addresses in the controller's certificate"`
}

// Octavia says where the driver-agent beside this controller has its sockets.
type Octavia struct {
	StatusSocket string `json:"status_socket" help:"the driver-agent's status_socket_path"`
	StatsSocket  string `json:"stats_socket" help:"the driver-agent's stats_socket_path"`
	GetSocket    string `json:"get_socket" help:"the driver-agent's get_socket_path"`
	// ProviderName is the name that octavia.conf enables this driver under.
	ProviderName string `json:"provider_name" help:"the name that enabled_provider_drivers gives this driver"`
}

// OpenStack says who the controller is to Keystone.
type OpenStack struct {
	AuthURL           string `json:"auth_url" help:"Keystone, for instance https://keystone.example/v3"`
	Username          string `json:"username" help:"service user with the admin and service roles"`
	PasswordFile      string `json:"password_file" help:"file with that user's password"`
	ProjectName       string `json:"project_name" help:"that user's project"`
	UserDomainName    string `json:"user_domain_name" help:"that user's domain"`
	ProjectDomainName string `json:"project_domain_name" help:"the domain of that user's project"`
	RegionName        string `json:"region_name" help:"region to look up endpoints in; empty takes the first"`
	Interface         string `json:"interface" help:"endpoint interface: public, internal or admin"`
	CAFile            string `json:"ca_file" help:"CA bundle for https endpoints; empty takes the system's"`
}

// CA says where the amphora CA lives.
type CA struct {
	Directory string `json:"directory" help:"folder of the amphora CA's certificate and key (mode 0700); made on the first start"`
}

// Secrets says how the certificates of load balancers are looked after.
type Secrets struct {
	RefreshInterval Duration `json:"refresh_interval" help:"how often certificates are read again, for what changes behind a reference"`
	WarnBefore      Duration `json:"warn_before" help:"how long before its end a certificate is warned of, in the log and the metrics"`
}

// OCSP says where the responses that are stapled to certificates come from.
type OCSP struct {
	Enabled bool `json:"enabled" help:"fetch OCSP responses from the responders that certificates name, and staple them"`
	// AllowedNetworks are networks that are not public. A responder's address is in a tenant's certificate.
	AllowedNetworks []string `json:"allowed_networks" help:"networks that are not public and may have responders, for instance 10.1.0.0/16"`
	Proxy           string   `json:"proxy" help:"HTTP proxy for all requests to responders, http://host:port; it must not reach what tenants may not"`
}

// Amphora says how amphorae come to be.
type Amphora struct {
	Compute        string `json:"compute" help:"compute driver: local runs each amphora in a network namespace of this machine"`
	AgentBinary    string `json:"agent_binary" help:"path of amphora-agent (local compute)"`
	EnvoyBinary    string `json:"envoy_binary" help:"path of Envoy 1.40 or later (local compute)"`
	StateDirectory string `json:"state_directory" help:"folder for the amphorae's logs and certificates (local compute)"`
	RunDirectory   string `json:"run_directory" help:"folder for the amphorae's sockets and pid files (local compute)"`
	Concurrency    int    `json:"concurrency" help:"Envoy worker threads of an amphora; 0 takes one a core"`
	// DrainTime is how long Envoy lets the connections of a removed listener finish.
	DrainTime Duration `json:"drain_time" help:"how long connections of a changed or removed listener may finish"`
	// AccessLog is for load balancers whose flavor wants an access log.
	AccessLog AccessLog `json:"access_log"`
}

// Reconcile bounds the loop.
type Reconcile struct {
	Deadline       Duration `json:"deadline" help:"how long a change may take until it is reported as ERROR"`
	RetryInterval  Duration `json:"retry_interval" help:"how often a load balancer in ERROR is tried again"`
	ResyncInterval Duration `json:"resync_interval" help:"how often Octavia is searched for objects that nobody works on"`
	PendingAge     Duration `json:"pending_age" help:"how long an object must have been PENDING before the resync takes it up"`
	Parallel       int      `json:"parallel" help:"load balancers worked on at once; those of one project are at most half"`
}

// Log says what is logged, always to standard error.
type Log struct {
	Level  string `json:"level" help:"debug, info, warn or error"`
	Format string `json:"format" help:"json or text"`
}

// Fault provokes failures and exists for this project's own tests: never set it in a cloud.
type Fault struct {
	NACKListener string `json:"nack_listener" help:"tests only: send listeners of this name in a form that Envoy refuses"`
}

// Duration is a time.Duration that reads as "90s" or "5m" in files, variables and flags.
type Duration struct{ time.Duration }

// UnmarshalText decodes Go's notation: 500ms, 90s, 5m.
func (d *Duration) UnmarshalText(text []byte) error {
	value, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is no duration: write for instance 500ms, 90s or 5m", text)
	}
	d.Duration = value
	return nil
}

// MarshalText encodes Go's notation.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Default is the configuration of a controller beside a driver-agent with Octavia's default paths.
func Default() Config {
	return Config{
		Store: Store{DSN: "sqlite:/var/lib/octavia-envoy/octavia-envoy.db", KeyFile: "/var/lib/octavia-envoy/secrets.key"},
		API:   API{UnixSocket: "/run/octavia-envoy/api.sock"},
		XDS:   XDS{Listen: []string{"unix:/run/octavia-envoy/xds.sock"}},
		Octavia: Octavia{
			StatusSocket: "/var/run/octavia/status.sock",
			StatsSocket:  "/var/run/octavia/stats.sock",
			GetSocket:    "/var/run/octavia/get.sock",
			ProviderName: "envoy",
		},
		OpenStack: OpenStack{
			Username: "octavia", ProjectName: "service", UserDomainName: "Default", ProjectDomainName: "Default",
			Interface: "public",
		},
		CA:      CA{Directory: "/var/lib/octavia-envoy/ca"},
		Secrets: Secrets{RefreshInterval: Duration{time.Hour}, WarnBefore: Duration{30 * 24 * time.Hour}},
		OCSP:    OCSP{Enabled: true},
		Amphora: Amphora{
			Compute: "local", AgentBinary: "/usr/local/bin/amphora-agent", EnvoyBinary: "/usr/local/bin/envoy",
			StateDirectory: "/var/lib/octavia-envoy/amphorae", RunDirectory: "/run/octavia-envoy/amphorae",
			DrainTime: Duration{10 * time.Minute}, AccessLog: AccessLog{MaxFileMiB: 64, Files: 4},
		},
		Reconcile: Reconcile{
			Deadline: Duration{90 * time.Second}, RetryInterval: Duration{15 * time.Second},
			ResyncInterval: Duration{60 * time.Second}, PendingAge: Duration{20 * time.Second}, Parallel: 32,
		},
		Log: Log{Level: "info", Format: "json"},
	}
}

// Validate returns every problem, each naming its key.
func (c *Config) Validate() error {
	var problems []error
	bad := func(key, format string, args ...any) {
		problems = append(problems, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	if err := c.Store.Validate(); err != nil {
		problems = append(problems, err)
	}
	if c.API.UnixSocket == "" && c.API.TCP == "" {
		bad("api.unix_socket", "the API listens nowhere: set it or api.tcp")
	}
	if c.API.TCP != "" {
		if _, _, err := net.SplitHostPort(c.API.TCP); err != nil {
			bad("api.tcp", "%q is no host:port", c.API.TCP)
		}
	}
	if len(c.XDS.Listen) == 0 {
		bad("xds.listen", "is empty: amphorae could not connect")
	}
	for _, address := range c.XDS.Listen {
		if _, _, err := SplitAddress(address); err != nil {
			bad("xds.listen", "%v", err)
		}
	}
	for key, path := range map[string]string{
		"octavia.status_socket": c.Octavia.StatusSocket, "octavia.get_socket": c.Octavia.GetSocket,
		"ca.directory": c.CA.Directory,
	} {
		if !filepath.IsAbs(path) {
			bad(key, "%q is no absolute path", path)
		}
	}
	if err := c.OpenStack.Validate(); err != nil {
		problems = append(problems, err)
	}
	if c.Amphora.Compute != "local" {
		bad("amphora.compute", "%q is unknown: this version has local", c.Amphora.Compute)
	}
	c.Amphora.AccessLog.validate(bad)
	for key, value := range map[string]Duration{
		"amphora.drain_time": c.Amphora.DrainTime, "reconcile.deadline": c.Reconcile.Deadline,
		"reconcile.retry_interval": c.Reconcile.RetryInterval, "reconcile.resync_interval": c.Reconcile.ResyncInterval,
		"reconcile.pending_age": c.Reconcile.PendingAge, "secrets.refresh_interval": c.Secrets.RefreshInterval,
		"secrets.warn_before": c.Secrets.WarnBefore,
	} {
		if value.Duration <= 0 {
			bad(key, "must be longer than 0")
		}
	}
	if _, err := c.OCSP.Networks(); err != nil {
		bad("ocsp.allowed_networks", "%v", err)
	}
	if _, err := c.OCSP.ProxyURL(); err != nil {
		bad("ocsp.proxy", "%v", err)
	}
	if c.Reconcile.Parallel < 1 {
		bad("reconcile.parallel", "must be at least 1")
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level) {
		bad("log.level", "%q is unknown: use debug, info, warn or error", c.Log.Level)
	}
	if !slices.Contains([]string{"json", "text"}, c.Log.Format) {
		bad("log.format", "%q is unknown: use json or text", c.Log.Format)
	}
	return errors.Join(problems...)
}

// Validate returns what is wrong with the DSN and with where the keys are. It never shows more of a DSN than its scheme, which
// may hold a password, and nothing of where a reference should be, which may be the key itself.
func (s Store) Validate() error {
	var problems []error
	switch scheme, rest, ok := strings.Cut(s.DSN, ":"); {
	case !ok || rest == "":
		problems = append(problems, errors.New("store.dsn: is empty or has no scheme: write sqlite:/path, mysql://… or postgres://…"))
	case !slices.Contains([]string{"sqlite", "mysql", "postgres", "postgresql"}, scheme):
		problems = append(problems, fmt.Errorf("store.dsn: scheme %q is unknown: use sqlite, mysql or postgres", scheme))
	}
	switch {
	case s.KeyRef == "" && !filepath.IsAbs(s.KeyFile):
		problems = append(problems, fmt.Errorf("store.key_file: %q is no absolute path", s.KeyFile))
	case s.KeyRef != "" && s.KeyFile != "":
		problems = append(problems, errors.New("store.key_ref: is set beside store.key_file: the keys are in one of the two, leave the other out"))
	case s.KeyRef != "" && !isSecretRef(s.KeyRef):
		problems = append(problems, errors.New("store.key_ref: is no reference to a secret: write for instance https://barbican.example/v1/secrets/UUID"))
	}
	return errors.Join(problems...)
}

func isSecretRef(ref string) bool {
	parsed, err := url.Parse(ref)
	if err != nil || parsed.Host == "" {
		return false
	}
	folder, id := path.Split(strings.TrimSuffix(parsed.Path, "/"))
	return path.Base(folder) == "secrets" && uuid.Validate(id) == nil
}

// Validate returns what is missing to use OpenStack's APIs.
func (o OpenStack) Validate() error {
	var problems []error
	if parsed, err := url.Parse(o.AuthURL); err != nil || parsed.Host == "" {
		problems = append(problems, fmt.Errorf(
			"openstack.auth_url: %q is no URL: Keystone is needed to make VIP ports and to find what Octavia waits for", o.AuthURL))
	}
	if o.PasswordFile == "" {
		problems = append(problems, errors.New("openstack.password_file: is empty: write the service user's password to a file and name it here"))
	}
	return errors.Join(problems...)
}

// Networks returns the allowed networks.
func (o OCSP) Networks() ([]netip.Prefix, error) {
	networks := make([]netip.Prefix, len(o.AllowedNetworks))
	for i, text := range o.AllowedNetworks {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q is no network: write for instance 10.1.0.0/16", text)
		}
		networks[i] = network.Masked()
	}
	return networks, nil
}

// ProxyURL returns the proxy; nil without one. No error holds its password.
func (o OCSP) ProxyURL() (*url.URL, error) {
	if o.Proxy == "" {
		return nil, nil
	}
	parsed, err := url.Parse(o.Proxy)
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return nil, errors.New("it is no URL: write http://host:port")
	}
	return parsed, nil
}

// SplitAddress splits unix:/path and tcp:host:port into network and address.
func SplitAddress(address string) (network, rest string, err error) {
	network, rest, _ = strings.Cut(address, ":")
	switch {
	case network == "unix" && filepath.IsAbs(rest):
		return network, rest, nil
	case network == "tcp":
		if _, _, err := net.SplitHostPort(rest); err == nil {
			return network, rest, nil
		}
	}
	return "", "", fmt.Errorf("%q is no address: write unix:/path or tcp:host:port", address)
}
