package bootstrap

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// files is a directory with an authority and an amphora's certificate, and the options that name them.
type files struct {
	options Options
	dir     string
	ca      *x509.Certificate
	key     *ecdsa.PrivateKey
}

func newFiles(t *testing.T) *files {
	t.Helper()
	// The names of unix sockets are short.
	dir, err := os.MkdirTemp("", "oe")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	f := &files{dir: dir}
	f.options = Options{
		NodeID: "n", Cluster: "lb", Controller: "unix:" + f.path("xds.sock"), ServerName: "controller.test",
		CertFile: f.path("client.pem"), KeyFile: f.path("client.key"), CAFile: f.path("ca.pem"),
		AdminSocket: f.path("admin.sock"),
	}
	if f.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	f.ca = f.certificate(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, f.key)
	f.rename(t, f.options.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.ca.Raw}))
	f.rotate(t, 2)
	return f
}

func (f *files) path(name string) string { return filepath.Join(f.dir, name) }

// certificate signs a template with the authority's key; the authority itself when there is none yet.
func (f *files) certificate(t *testing.T, template *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent := f.ca
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), f.key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// rotate puts a new client certificate in place as an agent does: by renames, key and certificate one after the other.
func (f *files) rotate(t *testing.T, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificate := f.certificate(t, &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "n"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	f.rename(t, f.options.KeyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	f.rename(t, f.options.CertFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}))
}

func (f *files) rename(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// write puts bootstrap and secrets in place and returns the bootstrap's path.
func (f *files) write(t *testing.T) string {
	t.Helper()
	document, err := Envoy(f.options)
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := Secrets(f.options)
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range secrets {
		f.rename(t, path, content)
	}
	config := f.path("envoy.json")
	f.rename(t, config, document)
	return config
}

// serverTLS is what a controller of that name shows, and asks for.
func (f *files) serverTLS(t *testing.T, name string) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificate := f.certificate(t, &x509.Certificate{
		SerialNumber: big.NewInt(1000), DNSNames: []string{name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, key)
	pool := x509.NewCertPool()
	pool.AddCert(f.ca)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: pool, NextProtos: []string{"h2"},
		MinVersion: tls.VersionTLS13,
	}
}
