// Package credentials keeps an amphora's certificate, key and trusted authorities as files that change together.
//
//	<dir>/tls.crt, tls.key, ca.crt ──► <dir>/current ──► <dir>/<version>/tls.crt, tls.key, ca.crt
//
// A new version is written beside the old one; then the link `current` is renamed over, in one step. Envoy watches <dir>
// for that rename (watched_directory, see xds/bootstrap), and neither a reader nor a crash ever meets a certificate with
// the key of another.
package credentials

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/octavia-envoy/octavia-envoy/driver/certs"
)

const (
	link            = "current"
	certificateFile = "tls.crt"
	keyFile         = "tls.key"
	authoritiesFile = "ca.crt"
	versionPattern  = "version-*"
)

// CertificatePath is where the current certificate of dir is found.
func CertificatePath(dir string) string { return filepath.Join(dir, certificateFile) }

// KeyPath is where the current private key of dir is found.
func KeyPath(dir string) string { return filepath.Join(dir, keyFile) }

// AuthoritiesPath is where the authorities that sign the controller's certificate are found.
func AuthoritiesPath(dir string) string { return filepath.Join(dir, authoritiesFile) }

// Install makes credentials the current ones of dir (mode 0700, made if missing) and removes older ones.
func Install(dir string, credentials *certs.Credentials) error {
	if _, err := tls.X509KeyPair(credentials.Certificate, []byte(credentials.Key)); err != nil {
		return fmt.Errorf("certificate and key do not belong together: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	version, err := os.MkdirTemp(dir, versionPattern) // mode 0700
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		certificateFile: credentials.Certificate, keyFile: credentials.Key, authoritiesFile: credentials.CA,
	} {
		if err := certs.WriteFile(filepath.Join(version, name), data, 0o600); err != nil {
			return errors.Join(err, os.RemoveAll(version))
		}
	}
	for _, name := range []string{certificateFile, keyFile, authoritiesFile} {
		if err := os.Symlink(filepath.Join(link, name), filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return errors.Join(err, os.RemoveAll(version))
		}
	}
	fresh := filepath.Join(dir, "."+filepath.Base(version))
	if err := os.Symlink(filepath.Base(version), fresh); err != nil {
		return errors.Join(err, os.RemoveAll(version))
	}
	if err := os.Rename(fresh, filepath.Join(dir, link)); err != nil {
		return errors.Join(err, os.Remove(fresh), os.RemoveAll(version))
	}
	return prune(dir, filepath.Base(version))
}

// prune removes all versions but keep, and what a crash left.
func prune(dir, keep string) error {
	var errs []error
	for _, pattern := range []string{versionPattern, "." + versionPattern} {
		old, err := filepath.Glob(filepath.Join(dir, pattern))
		errs = append(errs, err)
		for _, path := range old {
			if filepath.Base(path) != keep {
				errs = append(errs, os.RemoveAll(path))
			}
		}
	}
	return errors.Join(errs...)
}

// Load reads the current certificate with its key, and the authorities to trust.
func Load(dir string) (*tls.Certificate, *x509.CertPool, error) {
	// A rotation in between removes the version that is being read; the next try finds the new one.
	for attempt := 0; ; attempt++ {
		pair, pool, err := load(dir)
		if err == nil || !errors.Is(err, fs.ErrNotExist) || attempt == 3 {
			return pair, pool, err
		}
	}
}

func load(dir string) (*tls.Certificate, *x509.CertPool, error) {
	version, err := os.Readlink(filepath.Join(dir, link)) // once, so that all files are of one version
	if err != nil {
		return nil, nil, fmt.Errorf("load credentials: %w", err)
	}
	version = filepath.Join(dir, filepath.Base(version))
	pair, err := tls.LoadX509KeyPair(filepath.Join(version, certificateFile), filepath.Join(version, keyFile))
	if err != nil {
		return nil, nil, fmt.Errorf("load credentials: %w", err)
	}
	authorities, err := os.ReadFile(filepath.Join(version, authoritiesFile))
	if err != nil {
		return nil, nil, fmt.Errorf("load credentials: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authorities) {
		return nil, nil, fmt.Errorf("load credentials: %s holds no certificate", AuthoritiesPath(dir))
	}
	return &pair, pool, nil
}
