package translate_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/envoyadmin"
	"github.com/octavia-envoy/octavia-envoy/driver/capabilities"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/envoybin"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/test/warming"
	"github.com/octavia-envoy/octavia-envoy/xds/bootstrap"
	"github.com/octavia-envoy/octavia-envoy/xds/publish"
	"github.com/octavia-envoy/octavia-envoy/xds/server"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// FuzzAccepted holds that a tree which package capabilities takes is served whole, and that it says why it does not take
// one in sentences.
func FuzzAccepted(f *testing.F) {
	seed(f, 500)
	secrets := newVault(f)
	f.Fuzz(func(t *testing.T, data []byte) { served(t, tree(data, secrets)) })
}

// FuzzEnvoy holds that a real Envoy takes everything that comes of any tree. It gets it as an amphora does, by xDS, but
// that its listeners do not bind the addresses, which are not this machine's.
func FuzzEnvoy(f *testing.F) {
	seed(f, 200)
	envoy, secrets := startEnvoy(f), newVault(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		lb := tree(data, secrets)
		res := served(t, lb)
		if err := envoy.take(t.Context(), res); err != nil {
			t.Errorf("capabilities say %v, and Envoy %v", capabilities.Check(lb), err)
		}
	})
}

func seed(f *testing.F, count int) {
	f.Add([]byte{})
	random := rand.New(rand.NewPCG(1, 2)) // the same every time
	for range count {
		data := make([]byte, 50+random.IntN(400))
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		f.Add(data)
	}
}

// served translates a tree.
func served(t *testing.T, lb *model.LoadBalancer) *translate.Resources {
	t.Helper()
	translate.Holds(t, lb)
	res, err := translate.LoadBalancer(lb)
	problems := capabilities.Check(lb)
	if len(problems) == 0 && err != nil && !missing(lb) {
		t.Errorf("capabilities take what cannot be translated: %v", err)
	}
	for _, problem := range problems {
		text := problem.Message
		control := strings.ContainsFunc(text, unicode.IsControl) || !utf8.ValidString(text)
		if len(text) > 600 || !strings.HasSuffix(text, ".") || control {
			t.Errorf("no sentence for a user: %q", text)
		}
		if strings.Contains(text, "PRIVATE KEY-----") {
			t.Error("a sentence has a key in it")
		}
	}
	return res
}

// envoy is one Envoy that is fed many load balancers, one after the other.
type envoy struct{ publisher *publish.Publisher }

const node = "amphora"

func startEnvoy(f *testing.F) *envoy {
	f.Helper()
	const serverName = "controller.test"
	dir, ca := testkit.SocketDir(f), testkit.NewAuthority(f)
	must := func(err error) {
		if err != nil {
			f.Fatal(err)
		}
	}
	srv, err := server.New(server.Options{TLS: &tls.Config{
		Certificates: []tls.Certificate{ca.Issue(f, testkit.Named(f, serverName))}, ClientCAs: ca.Pool(),
	}})
	must(err)
	socket, err := new(net.ListenConfig).Listen(context.Background(), "unix", filepath.Join(dir, "xds.sock"))
	must(err)
	testkit.Run(f, func(ctx context.Context) error { return srv.Serve(ctx, []net.Listener{socket}) })

	options := bootstrap.Options{
		NodeID: node, Cluster: "lb", Controller: "unix:" + filepath.Join(dir, "xds.sock"), ServerName: serverName,
		CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"), CAFile: filepath.Join(dir, "ca.pem"),
		AdminSocket: filepath.Join(dir, "admin.sock"),
	}
	files, err := bootstrap.Secrets(options)
	must(err)
	config := filepath.Join(dir, "envoy.json")
	files[config], err = bootstrap.Envoy(options)
	must(err)
	files[options.CertFile], files[options.KeyFile] = testkit.PEM(f, ca.Issue(f, testkit.Named(f, "octavia-envoy://amphora/"+node)))
	files[options.CAFile] = ca.PEM()
	for path, content := range files {
		must(os.WriteFile(path, content, 0o600))
	}
	// What goes is gone at once, or the listeners of thousands of trees would drain side by side.
	envoybin.Start(f, config, "--drain-time-s", "1", "--drain-strategy", "immediate")
	ready := warming.Envoy{Admin: envoyadmin.New(options.AdminSocket)}
	testkit.Eventually(f, func() error { return ready.Warm(context.Background(), node) })
	return &envoy{publish.New(srv, ready, nil)}
}

// take gives Envoy a load balancer in the place of the one before, and returns its refusals. There is none between the
// two, whose listeners may have the same ports.
func (e *envoy) take(ctx context.Context, res *translate.Resources) error {
	// Go ends a fuzzing process in which one input takes 10 s, and says no reason.
	ctx, cancel := context.WithTimeout(ctx, 9*time.Second)
	defer cancel()
	unbound := *res
	unbound.Listeners = map[string]*listenerv3.Listener{}
	for name, listener := range res.Listeners {
		unbound.Listeners[name] = withoutAddress(listener)
	}
	for _, want := range []*translate.Resources{translate.NewResources(), &unbound} {
		result, err := e.publisher.Publish(ctx, node, want)
		if err != nil {
			return err
		}
		for key, reason := range result.Rejected {
			err = errors.Join(err, fmt.Errorf("%s %s: %s", server.Kind(key.TypeURL), key.Name, reason))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// withoutAddress returns a listener that does not bind its addresses. Envoy wants to bind those of UDP: they become free
// ports of this machine.
func withoutAddress(listener *listenerv3.Listener) *listenerv3.Listener {
	listener = proto.CloneOf(listener)
	if listener.GetAddress().GetSocketAddress().GetProtocol() != corev3.SocketAddress_UDP {
		listener.BindToPort = wrapperspb.Bool(false)
		return listener
	}
	addresses := []*corev3.SocketAddress{listener.GetAddress().GetSocketAddress()}
	for _, additional := range listener.GetAdditionalAddresses() {
		addresses = append(addresses, additional.GetAddress().GetSocketAddress())
	}
	for i, address := range addresses {
		address.Address = fmt.Sprintf("127.0.0.%d", i+1)
		address.PortSpecifier = &corev3.SocketAddress_PortValue{PortValue: 0}
	}
	return listener
}
