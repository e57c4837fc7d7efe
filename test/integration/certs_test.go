package integration

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

const serverName = "controller.test"

func serverTLS(t *testing.T, ca *testkit.Authority) *tls.Config {
	t.Helper()
	return &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, testkit.Named(t, serverName))}, ClientCAs: ca.Pool()}
}

// files are the paths that an Envoy reads.
type files struct{ cert, key, ca string }

func writeFiles(t *testing.T, ca *testkit.Authority, dir, uri string) files {
	t.Helper()
	cert, key := testkit.PEM(t, ca.Issue(t, testkit.Named(t, uri)))
	paths := files{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")}
	for path, content := range map[string][]byte{paths.cert: cert, paths.key: key, paths.ca: ca.PEM()} {
		must(t, os.WriteFile(path, content, 0o600))
	}
	return paths
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
