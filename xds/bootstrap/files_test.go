package bootstrap

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// files is a directory with an authority and an amphora's certificate, and the options that name them.
type files struct {
	options Options
	dir     string
	ca      *testkit.Authority
}

func newFiles(t *testing.T) *files {
	t.Helper()
	f := &files{dir: testkit.SocketDir(t), ca: testkit.NewAuthority(t)}
	f.options = Options{
		NodeID: "n", Cluster: "lb", Controller: "unix:" + f.path("xds.sock"), ServerName: "controller.test",
		CertFile: f.path("client.pem"), KeyFile: f.path("client.key"), CAFile: f.path("ca.pem"),
		AdminSocket: f.path("admin.sock"),
	}
	f.rename(t, f.options.CAFile, f.ca.PEM())
	f.rotate(t, 2)
	return f
}

func (f *files) path(name string) string { return filepath.Join(f.dir, name) }

// rotate puts a new client certificate in place as an agent does: by renames, key and certificate one after the other.
func (f *files) rotate(t *testing.T, serial int64) {
	t.Helper()
	cert, key := testkit.PEM(t, f.ca.Issue(t, &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "n"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}))
	f.rename(t, f.options.KeyFile, key)
	f.rename(t, f.options.CertFile, cert)
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
	return &tls.Config{
		Certificates: []tls.Certificate{f.ca.Issue(t, testkit.Named(t, name))},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: f.ca.Pool(), NextProtos: []string{"h2"},
		MinVersion: tls.VersionTLS13,
	}
}
