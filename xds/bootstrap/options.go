package bootstrap

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// Options says which amphora an Envoy is and where its controller is. All are needed but SecretDir and
// MetricsSocket.
type Options struct {
	// NodeID is the amphora's id; the controller compares it with the name in the client certificate.
	NodeID string
	// Cluster is the load balancer's id.
	Cluster string
	// Controller is where the controller listens: "unix:/path" or "tcp:host:port" ("tcp:[address]:port" for IPv6).
	Controller string
	// ServerName is the DNS name in the controller's certificate, whatever its address is.
	ServerName string
	// CertFile and KeyFile are the amphora's client certificate and its key, PEM, in one directory.
	CertFile, KeyFile string
	// CAFile is the authority that signed the controller's certificate, PEM, in the same directory.
	CAFile string
	// AdminSocket is where Envoy's admin interface listens: a unix socket for its own user alone.
	AdminSocket string
	// MetricsSocket is where the agent serves the load balancer's metrics, which PROMETHEUS listeners pass on. With none they
	// answer 503.
	MetricsSocket string
	// SecretDir is where the files of Secrets will be; by default the directory of CertFile.
	SecretDir string
}

// maxSocketPath is the kernel's limit for the path of a unix socket, in bytes (sun_path, less its end).
const maxSocketPath = 107

// check returns everything that is wrong with the options.
func (o *Options) check() error {
	var problems []error
	for _, needed := range []struct{ name, value string }{
		{"node id", o.NodeID},
		{"cluster", o.Cluster},
		{"server name", o.ServerName},
	} {
		if needed.value == "" {
			problems = append(problems, fmt.Errorf("the %s is needed", needed.name))
		}
	}
	for _, file := range []struct{ name, path string }{
		{"certificate file", o.CertFile},
		{"key file", o.KeyFile},
		{"CA file", o.CAFile},
		{"admin socket", o.AdminSocket},
		{"directory for secrets", o.secretDir()},
	} {
		if !filepath.IsAbs(file.path) {
			problems = append(problems, fmt.Errorf("the %s needs an absolute path, not %q", file.name, file.path))
		}
	}
	dir := filepath.Dir(o.CertFile)
	if filepath.Dir(o.KeyFile) != dir || filepath.Dir(o.CAFile) != dir {
		problems = append(problems, errors.New("certificate, key and CA have to be in one directory, which Envoy watches"))
	}
	for _, socket := range []struct{ name, path string }{{"admin", o.AdminSocket}, {"metrics", o.MetricsSocket}} {
		if len(socket.path) > maxSocketPath {
			problems = append(problems, fmt.Errorf("the path of the %s socket is longer than %d bytes", socket.name, maxSocketPath))
		}
	}
	if o.MetricsSocket != "" && !filepath.IsAbs(o.MetricsSocket) {
		problems = append(problems, fmt.Errorf("the metrics socket needs an absolute path, not %q", o.MetricsSocket))
	}
	if _, err := parseController(o.Controller); err != nil {
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

func (o *Options) secretDir() string {
	if o.SecretDir != "" {
		return o.SecretDir
	}
	return filepath.Dir(o.CertFile)
}

func (o *Options) clientSecretFile() string {
	return filepath.Join(o.secretDir(), "envoy-client.sds.json")
}

func (o *Options) caSecretFile() string { return filepath.Join(o.secretDir(), "envoy-ca.sds.json") }

// controller is an address of the controller: a path, or a host and a port.
type controller struct {
	path string
	host string
	port uint32
}

// literal says that the host is an IP address and needs no resolver.
func (c controller) literal() bool {
	_, err := netip.ParseAddr(c.host)
	return err == nil
}

func parseController(text string) (controller, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if !filepath.IsAbs(path) || len(path) > maxSocketPath {
			return controller{}, fmt.Errorf("the controller's socket needs an absolute path of at most %d bytes, not %q",
				maxSocketPath, path)
		}
		return controller{path: path}, nil
	}
	address, ok := strings.CutPrefix(text, "tcp:")
	if !ok {
		return controller{}, fmt.Errorf("the controller is unix:/path or tcp:host:port, not %q", text)
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return controller{}, fmt.Errorf("the controller is unix:/path or tcp:host:port: %w", err)
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil || port == 0 || host == "" {
		return controller{}, fmt.Errorf("the controller is unix:/path or tcp:host:port, not %q", text)
	}
	return controller{host: host, port: uint32(port)}, nil
}
