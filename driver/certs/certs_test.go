package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const amphoraID = "6f0c0ea5-3c4b-4d2a-8a6e-0c2d8f1b7a11"

func newTestAuthority(t *testing.T, now func() time.Time) *Authority {
	t.Helper()
	authority, err := LoadOrCreate(filepath.Join(t.TempDir(), "ca"), now)
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

func keyPair(t *testing.T, credentials *Credentials) tls.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(credentials.Certificate, []byte(credentials.Key))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// connect returns the two ends of a connection with buffers; net.Pipe has none and a refused handshake would block on it.
func connect(t *testing.T) (net.Conn, net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return server, client
}

// handshake connects a client to a server of this authority and returns the client's error and what the server saw.
func handshake(t *testing.T, server *tls.Config, client *tls.Config) (*x509.Certificate, error) {
	t.Helper()
	serverSide, clientSide := connect(t)
	defer serverSide.Close()
	defer clientSide.Close()
	type result struct {
		peer *x509.Certificate
		err  error
	}
	results := make(chan result, 1)
	go func() {
		connection := tls.Server(serverSide, server)
		err := connection.HandshakeContext(t.Context())
		var peer *x509.Certificate
		if err == nil {
			peer = connection.ConnectionState().PeerCertificates[0]
		}
		results <- result{peer, err}
		_ = serverSide.Close()
	}()
	connection := tls.Client(clientSide, client)
	clientErr := connection.HandshakeContext(t.Context())
	if clientErr == nil {
		// In TLS 1.3 the client learns that it was refused when it reads.
		_, _ = connection.Read(make([]byte, 1))
	} else {
		_ = clientSide.Close()
	}
	got := <-results
	return got.peer, errors.Join(got.err, clientErr)
}

func clientConfig(authority *Authority, pairs ...tls.Certificate) *tls.Config {
	return &tls.Config{RootCAs: authority.Pool(), ServerName: ServerName, Certificates: pairs, Time: authority.now}
}

func TestEveryRoleConnectsAndIsKnown(t *testing.T) {
	authority := newTestAuthority(t, nil)
	server := authority.ServerTLS([]string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)})
	tests := map[Role]func() (*Credentials, error){
		RoleAmphora:  func() (*Credentials, error) { return authority.AmphoraCredentials(amphoraID, 0) },
		RoleOperator: func() (*Credentials, error) { return authority.IssueOperator("alice", time.Hour) },
		RoleAPI:      func() (*Credentials, error) { return authority.IssueClient("controller-1.example", 0) },
	}
	names := map[Role]string{RoleAmphora: amphoraID, RoleOperator: "alice", RoleAPI: "controller-1.example"}
	for role, issue := range tests {
		t.Run(string(role), func(t *testing.T) {
			credentials, err := issue()
			if err != nil {
				t.Fatal(err)
			}
			peer, err := handshake(t, server, clientConfig(authority, keyPair(t, credentials)))
			if err != nil {
				t.Fatal(err)
			}
			gotRole, gotName, err := Identity(peer)
			if err != nil || gotRole != role || gotName != names[role] {
				t.Fatalf("Identity() = %q, %q, %v", gotRole, gotName, err)
			}
			if want := fmt.Sprintf("octavia-envoy://%s/%s", role, names[role]); peer.URIs[0].String() != want {
				t.Errorf("URI is %s, want %s", peer.URIs[0], want)
			}
		})
	}
}

func TestServerRefuses(t *testing.T) {
	clock := time.Now()
	authority := newTestAuthority(t, func() time.Time { return clock })
	other := newTestAuthority(t, func() time.Time { return clock })
	server := authority.ServerTLS(nil, nil)
	own, err := authority.AmphoraCredentials(amphoraID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := other.AmphoraCredentials(amphoraID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}

	if _, err := handshake(t, server, clientConfig(authority, keyPair(t, own))); err != nil {
		t.Fatalf("good certificate refused: %v", err)
	}
	if _, err := handshake(t, server, clientConfig(authority)); err == nil {
		t.Error("a client without a certificate came in")
	}
	if _, err := handshake(t, server, clientConfig(authority, keyPair(t, foreign))); err == nil {
		t.Error("a certificate of another authority came in")
	}
	old := clientConfig(authority, keyPair(t, own))
	old.MaxVersion = tls.VersionTLS12
	if _, err := handshake(t, server, old); err == nil {
		t.Error("TLS 1.2 was accepted")
	}
	clock = clock.Add(time.Hour + time.Second)
	if _, err := handshake(t, server, clientConfig(authority, keyPair(t, own))); err == nil {
		t.Error("an expired certificate came in")
	}
}

func TestClientRefusesAmphoraAsController(t *testing.T) {
	authority := newTestAuthority(t, nil)
	stolen, err := authority.AmphoraCredentials("controller.octavia-envoy", 0)
	if err != nil {
		t.Fatal(err)
	}
	fake := &tls.Config{Certificates: []tls.Certificate{keyPair(t, stolen)}}
	if _, err := handshake(t, fake, clientConfig(authority)); err == nil {
		t.Fatal("a client certificate passed as the controller's")
	}
}

func TestClientVerifiesController(t *testing.T) {
	authority, other := newTestAuthority(t, nil), newTestAuthority(t, nil)
	credentials, err := authority.AmphoraCredentials(amphoraID, 0)
	if err != nil {
		t.Fatal(err)
	}
	client := clientConfig(other, keyPair(t, credentials))
	if _, err := handshake(t, authority.ServerTLS(nil, nil), client); err == nil {
		t.Fatal("the client trusted a foreign controller")
	}
}

func TestSignedRequestGetsTheNameOfTheConnection(t *testing.T) {
	authority := newTestAuthority(t, nil)
	key, csr, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	chain, err := authority.IssueAmphora(amphoraID, csr, 0)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(chain, []byte(key))
	if err != nil {
		t.Fatalf("certificate and key do not fit: %v", err)
	}
	leaf := pair.Leaf
	if life := leaf.NotAfter.Sub(leaf.NotBefore); life < DefaultLife || life > DefaultLife+10*time.Minute {
		t.Errorf("life is %s", life)
	}
	if skew := time.Since(leaf.NotBefore); skew < 5*time.Minute {
		t.Errorf("valid from only %s ago: no room for clock skew", skew)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{
		Roots: authority.Pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}); err != nil {
		t.Error(err)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: authority.Pool()}); err == nil {
		t.Error("usable as a server certificate")
	}

	block, _ := pem.Decode(csr)
	block.Bytes[len(block.Bytes)-1] ^= 1
	if _, err := authority.IssueAmphora(amphoraID, pem.EncodeToMemory(block), 0); err == nil {
		t.Error("a request with a broken signature was signed")
	}
	for _, name := range []string{"", "../x", "a/b", "a b", "ü", strings.Repeat("a", 65)} {
		if _, err := authority.IssueAmphora(name, csr, 0); err == nil {
			t.Errorf("name %q was accepted", name)
		}
	}
}

func TestIdentityRefuses(t *testing.T) {
	authority := newTestAuthority(t, nil)
	server, err := authority.ServerCertificate(nil, nil).Get(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Identity(server.Leaf); !errors.Is(err, ErrNoIdentity) {
		t.Errorf("the controller's certificate has an identity: %v", err)
	}
	amphora, err := authority.AmphoraCredentials(amphoraID, 0)
	if err != nil {
		t.Fatal(err)
	}
	leaf := keyPair(t, amphora).Leaf
	for name, change := range map[string]func(*x509.Certificate){
		"two URIs":     func(c *x509.Certificate) { c.URIs = append(c.URIs, c.URIs[0]) },
		"unknown role": func(c *x509.Certificate) { u := *c.URIs[0]; u.Host = "root"; c.URIs[0] = &u },
		"no name":      func(c *x509.Certificate) { u := *c.URIs[0]; u.Path = "/"; c.URIs[0] = &u },
		"query":        func(c *x509.Certificate) { u := *c.URIs[0]; u.RawQuery = "a"; c.URIs[0] = &u },
		"long path":    func(c *x509.Certificate) { u := *c.URIs[0]; u.Path += "/x"; c.URIs[0] = &u },
	} {
		copied := *leaf
		copied.URIs = append(copied.URIs[:0:0], leaf.URIs...)
		change(&copied)
		if _, _, err := Identity(&copied); !errors.Is(err, ErrNoIdentity) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLoadsWhatItCreated(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	first, err := LoadOrCreate(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{KeyFile: 0o600, CertificateFile: 0o644, ".": 0o700 | os.ModeDir} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), want)
		}
	}
	second, err := LoadOrCreate(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Error("a second start made another authority")
	}
	// A crash between key and certificate.
	if err := os.Remove(filepath.Join(dir, CertificateFile)); err != nil {
		t.Fatal(err)
	}
	third, err := LoadOrCreate(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !third.key.Equal(first.key) {
		t.Error("the key was replaced")
	}
	// A lost key must not be replaced silently: every amphora would lose its controller.
	if err := os.Remove(filepath.Join(dir, KeyFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreate(dir, nil); err == nil {
		t.Error("opened without a key")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestRaceMakesOneAuthority(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	var wait sync.WaitGroup
	names := make([]string, 8)
	for i := range names {
		wait.Go(func() {
			authority, err := LoadOrCreate(dir, nil)
			if err != nil {
				t.Error(err)
				return
			}
			names[i] = authority.String()
		})
	}
	wait.Wait()
	for _, name := range names {
		if name != names[0] {
			t.Fatalf("several authorities: %v", names)
		}
	}
}

func TestServerCertificateRenewsItself(t *testing.T) {
	clock := time.Now()
	authority := newTestAuthority(t, func() time.Time { return clock })
	certificate := authority.ServerCertificate(nil, nil)
	first, err := certificate.Get(nil)
	if err != nil {
		t.Fatal(err)
	}
	clock = clock.Add(serverLife/2 - time.Minute)
	if same, _ := certificate.Get(nil); same != first {
		t.Error("renewed in its first half of life")
	}
	clock = clock.Add(serverLife / 4)
	second, err := certificate.Get(nil)
	if err != nil {
		t.Fatal(err)
	}
	if second == first || !second.Leaf.NotAfter.After(first.Leaf.NotAfter) {
		t.Error("not renewed at three quarters of its life")
	}
}

func TestKeysNeverPrint(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	authority, err := LoadOrCreate(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	credentials, err := authority.AmphoraCredentials(amphoraID, 0)
	if err != nil {
		t.Fatal(err)
	}
	keyFile, err := os.ReadFile(filepath.Join(dir, KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	// A key that does not parse must not be quoted by the error.
	if err := os.WriteFile(filepath.Join(dir, KeyFile), bytes.Replace(keyFile, []byte("\nM"), []byte("\nA"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	_, loadErr := LoadOrCreate(dir, nil)
	if loadErr == nil {
		t.Fatal("a broken key was loaded")
	}

	var out bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&out, nil))
	logger.Info("issued", "authority", authority, "credentials", credentials, "value", *credentials, "key", credentials.Key)
	slog.New(slog.NewTextHandler(&out, nil)).Info("issued", "authority", authority, "credentials", credentials)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+verb+verb+"\n", authority, credentials, credentials.Key)
	}
	fmt.Fprintln(&out, loadErr, authority.String(), credentials.Key.String())
	if err := json.NewEncoder(&out).Encode(credentials); err != nil {
		t.Fatal(err)
	}
	printed := out.String()
	for _, key := range [][]byte{keyFile, credentials.Key} {
		block, _ := pem.Decode(key)
		for _, form := range []string{
			string(key), base64.StdEncoding.EncodeToString(key), hex.EncodeToString(key), fmt.Sprintf("%d", key)[1:40],
			base64.StdEncoding.EncodeToString(block.Bytes)[20:60], hex.EncodeToString(block.Bytes[36:68]), "PRIVATE KEY-----",
		} {
			if strings.Contains(printed, form) {
				t.Fatalf("a private key was printed as %.20s…", form)
			}
		}
	}
	if !strings.Contains(printed, redacted) {
		t.Error("nothing was redacted: does the test print anything?")
	}
}
