package accesslog

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/syslog"
)

// Defaults of a configuration.
const (
	DefaultMaxFileBytes = 64 << 20
	DefaultFiles        = 4
)

// Config is the part of an agent's configuration that is about the access log. Whether there is one, the load balancer's flavor says.
type Config struct {
	// Dir is where the files are, made if missing; Envoy's working directory. Default is the agent's run directory.
	Dir string `json:"dir,omitempty"`
	// MaxFileBytes is the size at which a file is put aside; 0 is DefaultMaxFileBytes.
	MaxFileBytes int64 `json:"max_file_bytes,omitempty"`
	// Files is how many there are at most, with the one that is written to; 0 is DefaultFiles, and 2 the least.
	Files int `json:"files,omitempty"`
	// Targets are syslog receivers, see syslog.ParseTarget. The first gets the lines; the others stand in for it, in this
	// order. Without any, the log stays where it is.
	Targets []string `json:"targets,omitempty"`
	// Facility is the n of syslog's LOCALn, 0 to 7.
	Facility int `json:"facility,omitempty"`
	// CAFile holds the authorities, PEM, that receivers over TLS prove themselves by; default are the system's.
	CAFile string `json:"ca_file,omitempty"`
	// CertFile and KeyFile are shown to receivers that ask who sends, PEM.
	CertFile string `json:"cert_file,omitempty"`
	KeyFile  string `json:"key_file,omitempty"`
}

// SetDefaults fills in what is missing.
func (c *Config) SetDefaults(dir string) {
	if c.Dir == "" {
		c.Dir = dir
	}
	if c.MaxFileBytes == 0 {
		c.MaxFileBytes = DefaultMaxFileBytes
	}
	if c.Files == 0 {
		c.Files = DefaultFiles
	}
}

// Check returns everything that is wrong, after SetDefaults.
func (c *Config) Check() error {
	var problems []error
	bad := func(key, format string, args ...any) {
		problems = append(problems, fmt.Errorf("access_log.%s: %s", key, fmt.Sprintf(format, args...)))
	}
	if !filepath.IsAbs(c.Dir) {
		bad("dir", "want an absolute path, not %q", c.Dir)
	}
	if c.MaxFileBytes < 0 {
		bad("max_file_bytes", "%d is negative", c.MaxFileBytes)
	}
	if c.Files < 2 {
		bad("files", "%d is fewer than the two that putting one aside needs", c.Files)
	}
	for _, text := range c.Targets {
		if _, err := syslog.ParseTarget(text); err != nil {
			bad("targets", "%v", err)
		}
	}
	if c.Facility < 0 || c.Facility > 7 {
		bad("facility", "%d is none of LOCAL0 to LOCAL7", c.Facility)
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		bad("cert_file", "certificate and key belong together")
	}
	return errors.Join(problems...)
}

// tls reads the files of the configuration, which may have changed since the last time.
func (c *Config) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", c.CAFile)
		}
	}
	if c.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("certificate for syslog receivers: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
