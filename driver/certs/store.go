package certs

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Names of the authority's files.
const (
	CertificateFile = "ca.crt"
	KeyFile         = "ca.key"
)

// LoadOrCreate opens the authority in dir (mode 0700), or makes one: an ECDSA P-256 key in ca.key (PKCS#8, mode 0600) and
// its certificate in ca.crt. Controllers that start at the same time agree on one authority: the directory is locked
// meanwhile. now gives the time for every certificate; nil is time.Now.
func LoadOrCreate(dir string, now func() time.Time) (*Authority, error) {
	if now == nil {
		now = time.Now
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a folder needs x
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	lock, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	defer lock.Close() // releases the lock
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return nil, fmt.Errorf("certificate authority: lock %s: %w", dir, err)
	}
	authority, err := load(dir, now)
	if err != nil {
		return nil, fmt.Errorf("certificate authority in %s: %w", dir, err)
	}
	return authority, nil
}

func load(dir string, now func() time.Time) (*Authority, error) {
	keyData, keyErr := os.ReadFile(filepath.Join(dir, KeyFile))
	certificateData, certificateErr := os.ReadFile(filepath.Join(dir, CertificateFile))
	switch {
	case errors.Is(keyErr, fs.ErrNotExist) && errors.Is(certificateErr, fs.ErrNotExist):
		key, err := newKey()
		if err != nil {
			return nil, err
		}
		encoded, err := encodeKey(key)
		if err != nil {
			return nil, err
		}
		if err := WriteFile(filepath.Join(dir, KeyFile), encoded, 0o600); err != nil {
			return nil, err
		}
		return certify(dir, key, now)
	case keyErr != nil:
		return nil, keyErr // a certificate without its key cannot be mended here: say so
	}
	key, err := decodeKey(keyData)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", KeyFile, err)
	}
	if errors.Is(certificateErr, fs.ErrNotExist) {
		return certify(dir, key, now) // a crash between the two files: nothing was issued yet
	}
	if certificateErr != nil {
		return nil, certificateErr
	}
	certificate, err := decodeCertificate(certificateData)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", CertificateFile, err)
	}
	if !key.PublicKey.Equal(certificate.PublicKey) {
		return nil, fmt.Errorf("%s does not belong to %s", KeyFile, CertificateFile)
	}
	if !certificate.IsCA {
		return nil, fmt.Errorf("%s is not a CA certificate", CertificateFile)
	}
	return newAuthority(key, certificate, now), nil
}

func certify(dir string, key *ecdsa.PrivateKey, now func() time.Time) (*Authority, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "octavia-envoy amphora CA"},
		NotBefore:             now().Add(-clockSkew),
		NotAfter:              now().Add(authorityLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign the authority's certificate: %w", err)
	}
	if err := WriteFile(filepath.Join(dir, CertificateFile), encodeCertificate(der), 0o644); err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse the authority's certificate: %w", err)
	}
	return newAuthority(key, certificate, now), nil
}

// WriteFile replaces a file in one step: a reader sees the old bytes or the new ones, also after a power cut.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // 0600 from the start
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // gone already when all went well
	_, err = file.Write(data)
	err = errors.Join(err, file.Chmod(mode), file.Sync(), file.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(file.Name(), path)
}
