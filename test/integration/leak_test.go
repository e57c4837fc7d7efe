package integration

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	statusv3 "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	"github.com/gophercloud/gophercloud/v2"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/secrets"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/seal"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/privatekey"
	"github.com/octavia-envoy/octavia-envoy/xds/publish"
	"github.com/octavia-envoy/octavia-envoy/xds/server"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// marked is a key whose traces can be found in any output, in PEM, base64, hex, as bytes or escaped.
type marked struct {
	tb     testing.TB
	traces [][]byte
}

// mark notes how the parts of a key look. A part is long enough not to occur by chance.
func mark(tb testing.TB, key string) *marked {
	tb.Helper()
	block, _ := pem.Decode([]byte(key))
	if block == nil {
		tb.Fatal("no key")
	}
	m := &marked{tb: tb}
	// The first half of an RSA key is its modulus, which its certificate has as well. The secret is further on.
	secret := key[len(key)/2:]
	for line := range strings.SplitSeq(secret[strings.Index(secret, "\n")+1:], "\n") {
		const long = 40
		if len(line) > long && !strings.Contains(line, "-----") {
			m.traces = append(m.traces, []byte(line[:long]))
		}
	}
	const part = 16
	for start := len(block.Bytes) / 2; start+part <= len(block.Bytes); start += part {
		bytes := block.Bytes[start : start+part]
		m.traces = append(m.traces, bytes, []byte(hex.EncodeToString(bytes)), []byte(strings.Trim(fmt.Sprintf("%d", bytes), "[]")))
	}
	for shift := range 3 { // bytes in JSON
		again := base64.StdEncoding.EncodeToString([]byte(secret[shift:]))
		m.traces = append(m.traces, []byte(again[4:44]))
	}
	return m
}

// in reports whether an output has a trace of the key.
func (m *marked) in(output []byte) bool {
	for _, trace := range m.traces {
		if bytes.Contains(output, trace) {
			return true
		}
	}
	return false
}

// absent fails the test if it has. An output has to hold something that shows that it is the right one.
func (m *marked) absent(what string, output []byte, proof string) {
	m.tb.Helper()
	if !bytes.Contains(output, []byte(proof)) {
		m.tb.Errorf("%s does not even hold %q, %d bytes", what, proof, len(output))
	}
	if m.in(output) {
		m.tb.Errorf("%s holds a part of a private key", what)
	}
}

type lockedLog struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (l *lockedLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.Write(line)
}

func (l *lockedLog) bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.buffer.Bytes())
}

// TestNoTraceOfAKey feeds a key through everything between Octavia and Envoy, and looks for it in all that comes out: logs at
// debug level, errors, NACKs, what operators see of xDS, Envoy's own dump and log, what is printed, what is stored, metrics.
func TestNoTraceOfAKey(t *testing.T) {
	authority := pki.New(t, "CA")
	certificate := authority.Issue(pki.Options{Names: []string{"x.example"}, RSA: 2048})
	container := certificate.Container()
	key := mark(t, container.PrivateKey)

	// The search finds what there is to find, in every form.
	raw, err := json.Marshal(map[string]any{"text": container.PrivateKey, "bytes": []byte(container.PrivateKey)})
	must(t, err)
	block, _ := pem.Decode([]byte(container.PrivateKey))
	type unguarded model.TLSContainer
	for form, output := range map[string][]byte{
		"PEM": []byte(container.PrivateKey), "JSON": raw, "DER": block.Bytes, "hex": []byte(hex.EncodeToString(block.Bytes)),
		"quoted": []byte(fmt.Sprintf("%q", container.PrivateKey)), "numbers": fmt.Appendf(nil, "%d", block.Bytes),
		"base64 of PEM": []byte(base64.StdEncoding.EncodeToString([]byte("x" + container.PrivateKey))),
		"printed":       []byte(fmt.Sprintf("%+v", unguarded(*container))),
	} {
		if !key.in(output) {
			t.Fatalf("the search is blind to %s", form)
		}
	}

	l := listener(t, "l", "p")
	l.Protocol, l.DefaultTLSContainerRef, l.DefaultTLSContainer = model.ProtocolTerminatedHTTPS, "https://barbican/1", container
	// The same key, with a passphrase.
	const passphrase = "a passphrase that is looked for"
	locked := *container
	locked.ID, locked.PrivateKey, locked.Passphrase = "locked", certificate.Locked(t, passphrase), passphrase
	encoded, err := privatekey.Encode(certificate.Key)
	must(t, err)
	key.traces = append(append(key.traces, mark(t, encoded).traces...), mark(t, locked.PrivateKey).traces...)
	key.traces = append(key.traces, []byte(passphrase), []byte(base64.StdEncoding.EncodeToString([]byte(passphrase))))
	l.SNIContainerRefs, l.SNIContainers = []string{"https://barbican/2"}, []*model.TLSContainer{&locked}
	q := pool("q")
	q.TLSEnabled, q.TLSContainerRef, q.TLSContainer = true, "https://barbican/1", container
	lb := &model.LoadBalancer{
		ID: "lb", AdminStateUp: true, VIPAddress: "127.0.0.1", Listeners: []model.Listener{l}, Pools: []model.Pool{pool("p", member(t, "m")), q},
	}

	// What prints a tree.
	tree, err := json.Marshal(lb)
	must(t, err)
	key.absent("a tree in JSON", tree, "https://barbican/1")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		key.absent("a container by "+verb, []byte(fmt.Sprintf(verb, container)), container.ID)
		key.absent("a listener by "+verb, []byte(fmt.Sprintf(verb, l)), "l")
	}
	log := &lockedLog{}
	logger := slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	logger.Debug("all of it", "lb", lb, "container", container, "value", *container, "secrets", lb.Secrets())

	// What prints resources.
	resources, err := translate.LoadBalancer(lb)
	must(t, err)
	text, err := translate.YAML(resources)
	must(t, err)
	key.absent("the resources in YAML", []byte(text), "l/default")

	// What says that a certificate is bad.
	for name, change := range map[string]func(c *model.TLSContainer){
		"another's": func(c *model.TLSContainer) {
			c.Certificate = authority.Issue(pki.Options{Names: []string{"y"}, RSA: 2048}).PEM()
		},
		"cut":       func(c *model.TLSContainer) { c.PrivateKey = c.PrivateKey[:len(c.PrivateKey)/2] },
		"exchanged": func(c *model.TLSContainer) { c.Certificate, c.PrivateKey = c.PrivateKey, c.Certificate },
		"twice":     func(c *model.TLSContainer) { c.Intermediates = []string{c.PrivateKey} },
		"locked":    func(c *model.TLSContainer) { c.PrivateKey = locked.PrivateKey },
		"locked by another": func(c *model.TLSContainer) {
			c.PrivateKey, c.Passphrase = certificate.Locked(t, "another"), passphrase
		},
		"locked, another's": func(c *model.TLSContainer) {
			c.PrivateKey, c.Passphrase = locked.PrivateKey, passphrase
			c.Certificate = authority.Issue(pki.Options{Names: []string{"y"}, RSA: 2048}).PEM()
		},
		"too dear to unlock": func(c *model.TLSContainer) {
			c.PrivateKey, c.Passphrase = certificate.Locked(t, passphrase, "-iter", "2000001"), passphrase
		},
	} {
		bad := *container
		change(&bad)
		spoiled := l
		spoiled.DefaultTLSContainer = &bad
		_, err := translate.LoadBalancer(&model.LoadBalancer{ID: "lb", VIPAddress: "127.0.0.1", AdminStateUp: true, Listeners: []model.Listener{spoiled}})
		if err != nil {
			key.absent("the error of a key that is "+name, []byte(err.Error()), "l")
		}
	}

	// What opens and resolves it.
	resolved := l
	opened := locked
	resolved.SNIContainers = []*model.TLSContainer{&opened}
	resolver := &secrets.Resolver{Reader: barbican(t, nil), Logger: logger}
	if reasons := resolver.Resolve(t.Context(), &model.LoadBalancer{ID: "resolved", Listeners: []model.Listener{resolved}}, nil); len(reasons) > 0 {
		t.Fatalf("not resolved: %v", reasons)
	}
	if clear := resolved.SNIContainers[0]; clear.PrivateKey != encoded || clear.Passphrase != "" {
		t.Fatal("the key with a passphrase was not opened")
	}
	key.absent("what was resolved, printed", []byte(fmt.Sprintf("%+v", resolved)), "l")

	// What stores it, by a key that comes from Barbican.
	keyring := sealingKeys(t, key, logger)
	file := filepath.Join(t.TempDir(), "store.db")
	database := storetest.OpenWith(t, store.Options{DSN: "sqlite:" + file, Keys: keyring, Logger: logger})
	_, err = database.SaveTree(t.Context(), lb)
	must(t, err)
	for _, suffix := range []string{"", "-wal"} {
		key.absent("the database "+suffix, readFile(t, file+suffix), "")
	}
	known, err := database.LoadBalancer(t.Context(), "lb")
	must(t, err)
	if known.Tree.Listeners[0].DefaultTLSContainer.PrivateKey != container.PrivateKey {
		t.Fatal("the database does not hold it at all")
	}
	logger.Debug("stored", "known", known)
	key.absent("what was stored, printed", []byte(fmt.Sprintf("%+v", *known)), "lb")

	// What sends it, and who looks at that.
	ca := testkit.NewAuthority(t)
	gate := &warming{}
	registry, address, publisher := serveKeys(t, ca, gate, logger)
	envoy := startEnvoy(t, ca, "amphora", "amphora", address)
	gate.envoy = envoy
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	result, err := publisher.Publish(ctx, "amphora", resources)
	must(t, err)
	if len(result.Rejected) > 0 {
		t.Fatalf("Envoy refuses %v", result.Rejected)
	}
	must(t, askOnce(fmt.Sprintf("127.0.0.1:%d", l.ProtocolPort), &tls.Config{RootCAs: authority.Pool(), ServerName: "x.example"}))

	connection := dialOperator(t, ca, address)
	status, err := statusv3.NewClientStatusDiscoveryServiceClient(connection).FetchClientStatus(ctx, &statusv3.ClientStatusRequest{})
	must(t, err)
	shown, err := protojson.Marshal(status)
	must(t, err)
	key.absent("the client status", shown, "l/default")
	for _, path := range []string{"/config_dump", "/config_dump?resource=dynamic_active_secrets", "/certs", "/stats", "/clusters", "/init_dump"} {
		dump, err := envoy.get(ctx, path)
		must(t, err)
		key.absent("Envoy's "+path, []byte(dump), "")
	}

	// What Envoy says of a secret that it refuses, which may quote it.
	wrong := *container
	wrong.OCSPResponse = authority.OCSP(authority.Issue(pki.Options{Names: []string{"z"}}), 0, time.Now(), time.Now().Add(time.Hour))
	lb.Listeners[0].DefaultTLSContainer = &wrong
	resources, err = translate.LoadBalancer(lb)
	must(t, err)
	result, err = publisher.Publish(ctx, "amphora", resources)
	must(t, err)
	if len(result.Rejected) == 0 {
		t.Error("Envoy takes a response about another certificate")
	}
	key.absent("the refusal", []byte(fmt.Sprint(result.Rejected)), "l/default")

	metrics, err := registry.Gather()
	must(t, err)
	key.absent("the metrics", []byte(fmt.Sprint(metrics)), "octavia_envoy")
	key.absent("the log of the controller", log.bytes(), "stored")
	key.absent("the log of Envoy", readFile(t, envoy.log), "")
}

// barbican is a client of one that has a secret, or does not answer.
func barbican(t *testing.T, payload []byte) *secrets.Reader {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case payload == nil:
			w.WriteHeader(http.StatusServiceUnavailable)
		case strings.HasSuffix(r.URL.Path, "/payload"):
			_, _ = w.Write(payload)
		case r.Method == http.MethodPost:
			sent, _ := io.ReadAll(r.Body)
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write(sent) // as an error that quotes the request
		default:
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"content_types": {"default": "text/plain"}}`))
		}
	}))
	t.Cleanup(server.Close)
	return secrets.NewReader(func(context.Context) (*gophercloud.ServiceClient, error) {
		return &gophercloud.ServiceClient{
			ProviderClient: &gophercloud.ProviderClient{TokenID: "token"}, Endpoint: server.URL + "/", ResourceBase: server.URL + "/v1/",
		}, nil
	})
}

// sealingKeys reads the keys of the store from Barbican, has all that can go wrong with them said, and has them looked for.
func sealingKeys(t *testing.T, key *marked, logger *slog.Logger) *seal.Keyring {
	t.Helper()
	const ref = "https://barbican/v1/secrets/6f2c2f2e-2a9c-4a0e-8d5e-0d2a1b3c4d5e"
	line := seal.NewLine("sealing")
	text := strings.Fields(string(line))[1]
	raw, err := base64.StdEncoding.DecodeString(text)
	must(t, err)
	key.traces = append(key.traces, []byte(text[:40]), raw[:16], []byte(hex.EncodeToString(raw[:16])))
	if !key.in(line) {
		t.Fatal("the search is blind to the keys of the store")
	}
	ring, file, err := barbican(t, line).Keys(t.Context(), ref)
	must(t, err)
	if !key.in(file) {
		t.Fatal("the secret does not hold the key at all")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		key.absent("the keys of the store by "+verb, []byte(fmt.Sprintf(verb, ring)), "sealing")
	}
	logger.Debug("keys of the store", "keys", ring)
	for name, payload := range map[string]string{
		"alone": text, "exchanged": text + " sealing", "cut": "sealing " + text[:41], "twice": string(line) + string(line), "more": string(line) + text + " x y",
	} {
		_, _, err := barbican(t, []byte(payload)).Keys(t.Context(), ref)
		if err == nil {
			t.Fatalf("a key that is %s is taken", name)
		}
		logger.Debug("keys that are none", "error", err)
		key.absent("the error of a key that is "+name, []byte(err.Error()), ref)
	}
	_, _, err = barbican(t, line).Keys(t.Context(), text) // the key for a reference
	key.absent("the error of a reference", []byte(fmt.Sprint(err)), "no reference")
	_, err = barbican(t, line).StoreKeys(t.Context(), "keys", line)
	key.absent("the error of a Barbican that quotes", []byte(fmt.Sprint(err)), "Barbican answers 400")
	return ring
}

// serveKeys starts an xDS server whose log is looked at.
func serveKeys(t *testing.T, ca *testkit.Authority, gate publish.Warming, logger *slog.Logger) (*prometheus.Registry, string, *publish.Publisher) {
	t.Helper()
	registry := prometheus.NewRegistry()
	served, err := server.New(server.Options{Logger: logger, TLS: serverTLS(t, ca), Registry: registry})
	must(t, err)
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	testkit.Run(t, func(ctx context.Context) error { return served.Serve(ctx, []net.Listener{socket}) })
	return registry, socket.Addr().String(), publish.New(served, gate, logger)
}

func dialOperator(t *testing.T, ca *testkit.Authority, address string) *grpc.ClientConn {
	t.Helper()
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		ServerName: serverName, RootCAs: ca.Pool(),
		Certificates: []tls.Certificate{ca.Issue(t, testkit.Named(t, "octavia-envoy://operator/eve"))},
	})))
	must(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	must(t, err)
	return content
}
