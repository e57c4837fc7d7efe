package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	statusv3 "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/octavia-envoy/octavia-envoy/driver/certs"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// kept are the keys that tests gave to Octavia, in all forms in which they could be found: their names are those of the
// certificates.
var kept = struct {
	sync.Mutex
	marks map[string][]byte
}{marks: map[string][]byte{}}

// keep notes a private key whose traces are looked for.
func keep(t *testing.T, certificate pki.Certificate) {
	t.Helper()
	kept.Lock()
	defer kept.Unlock()
	for form, mark := range marks(t, certificate) {
		kept.marks[certificate.Leaf.Subject.CommonName+" "+certificate.Leaf.SerialNumber.Text(16)+", "+form] = mark
	}
}

// marks are parts of a key that nothing else has: its secret numbers, and a part of each of its encodings in base64, which
// lines may divide.
func marks(t *testing.T, certificate pki.Certificate) map[string][]byte {
	t.Helper()
	numbers := map[string][]byte{}
	encodings := map[string][]byte{}
	switch key := certificate.Key.(type) {
	case *rsa.PrivateKey:
		numbers["p"], numbers["q"], numbers["d"] = key.Primes[0].Bytes(), key.Primes[1].Bytes(), key.D.Bytes()
		encodings["PKCS#1"] = x509.MarshalPKCS1PrivateKey(key)
	case *ecdsa.PrivateKey:
		number, err := key.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		numbers["d"] = number
		if encodings["SEC 1"], err = x509.MarshalECPrivateKey(key); err != nil {
			t.Fatal(err)
		}
	default:
		t.Fatalf("no marks of a %T", key)
	}
	der, err := x509.MarshalPKCS8PrivateKey(certificate.Key)
	if err != nil {
		t.Fatal(err)
	}
	encodings["PKCS#8"] = der
	all := map[string][]byte{}
	for name, number := range numbers {
		all[name] = number[:24] // 192 bits
		all[name+" in hex"] = []byte(hex.EncodeToString(number[:24]))
		all[name+" in capital hex"] = bytes.ToUpper(all[name+" in hex"])
		// Whatever is before it in the encoded text: each of the three places in base64's groups.
		for shift := range 3 {
			text := base64.RawStdEncoding.EncodeToString(append(make([]byte, shift), number[:24]...))
			all[fmt.Sprintf("%s in base64, %d", name, shift)] = []byte(text[4:28])
		}
	}
	const line = 64 // characters of base64 in a line of PEM
	for name, encoding := range encodings {
		text := base64.StdEncoding.EncodeToString(encoding)
		// The second line: the first begins as those of other keys do.
		all[name+", second line"] = []byte(text[line:min(2*line, len(text)-4)])
	}
	return all
}

// found names the traces of private keys in what something prints, and what looks like one.
func found(content []byte) []string {
	kept.Lock()
	defer kept.Unlock()
	var all []string
	for name, mark := range kept.marks {
		if bytes.Contains(content, mark) {
			all = append(all, name)
		}
	}
	if bytes.Contains(content, []byte("PRIVATE KEY-----")) {
		all = append(all, "a PEM block")
	}
	return all
}

// TestFindsTraces checks that keys would be found, in each form that they have.
func TestFindsTraces(t *testing.T) {
	t.Parallel()
	for _, bits := range []int{0, 2048} {
		certificate := pki.New(t, "root").Issue(pki.Options{Names: []string{"marked"}, RSA: bits})
		keep(t, certificate)
		der, err := x509.MarshalPKCS8PrivateKey(certificate.Key)
		if err != nil {
			t.Fatal(err)
		}
		text := base64.StdEncoding.EncodeToString(der)
		for name, content := range map[string]string{
			"PEM": certificate.KeyPEM(), "PEM in JSON": strings.ReplaceAll(certificate.KeyPEM(), "\n", `\n`), "DER": "..." + string(der),
			"hex": hex.EncodeToString(der), "base64": text, "base64, moved": base64.StdEncoding.EncodeToString(append([]byte("x"), der...)),
			"base64, moved twice": base64.StdEncoding.EncodeToString(append([]byte("xy"), der...)),
		} {
			if len(found([]byte(content))) == 0 {
				t.Errorf("an %T is not found in %s", certificate.Key, name)
			}
		}
		if traces := found([]byte(certificate.PEM())); len(traces) > 0 {
			t.Errorf("in a certificate: %v", traces)
		}
	}
}

// noTraces looks for private keys in all files that the instance's services wrote, but for those of Barbican, whose keys they
// are, in the controller's answers to operators, and in those of Envoys.
func (c *cloud) noTraces(t *testing.T) {
	t.Helper()
	files := 0
	skip := []string{filepath.Join(c.env["OE_STATE"], "mysql"), filepath.Join(c.env["OE_STATE"], "etc"), c.env["OE_CA"], filepath.Join(c.env["OE_STATE"], "provider")}
	for _, folder := range []string{c.env["OE_STATE"], c.env["OE_RUN"]} {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if os.IsNotExist(err) {
				return nil // other tests go on
			}
			if err != nil {
				return err
			}
			if slices.Contains(skip, path) {
				return filepath.SkipDir
			}
			// An amphora has a key of its own for its connections to the controller.
			if !entry.Type().IsRegular() || filepath.Base(path) == "tls.key" && strings.HasPrefix(path, c.env["OE_AMPHORAE"]) {
				return nil
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return nil //nolint:nilerr // it is gone
			}
			files++
			if traces := found(content); len(traces) > 0 {
				t.Errorf("%s has %v", path, traces)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	if files < 10 {
		t.Errorf("only %d files were read", files)
	}
	for _, words := range [][]string{{"status"}, {"status", "--json"}} {
		answer := c.run(t, c.env["OE_BINARY"], append(words, "--socket", c.env["OE_API_SOCKET"])...)
		if traces := found([]byte(answer)); len(traces) > 0 {
			t.Errorf("octavia-envoy %v has %v", words, traces)
		}
	}
}

// csds is a client of the controller's for what Envoys were sent, as operators have.
func (c *cloud) csds(t *testing.T) statusv3.ClientStatusDiscoveryServiceClient {
	t.Helper()
	folder := t.TempDir()
	c.run(t, c.env["OE_BINARY"], "certificate", "operator", "e2e", "--ca-directory", c.env["OE_CA"], "--out", folder)
	certificate, err := tls.LoadX509KeyPair(filepath.Join(folder, "client.crt"), filepath.Join(folder, "client.key"))
	if err != nil {
		t.Fatal(err)
	}
	authorities, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authorities)
	connection, err := grpc.NewClient(c.env["OE_XDS_URL"], grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{certificate}, RootCAs: pool, ServerName: certs.ServerName, MinVersion: tls.VersionTLS13,
	})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return statusv3.NewClientStatusDiscoveryServiceClient(connection)
}
