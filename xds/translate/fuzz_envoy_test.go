package translate_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/octavia-envoy/octavia-envoy/driver/capabilities"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/envoybin"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/bootstrap"
	"github.com/octavia-envoy/octavia-envoy/xds/server"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// FuzzAccepted holds that a tree which package capabilities takes is served whole.
func FuzzAccepted(f *testing.F) {
	seed(f, 500)
	f.Fuzz(func(t *testing.T, data []byte) { served(t, tree(data)) })
}

// FuzzEnvoy holds that a real Envoy takes everything that comes of any tree. It gets it as an amphora does, by xDS, but
// that its listeners do not bind the addresses, which are not this machine's.
func FuzzEnvoy(f *testing.F) {
	seed(f, 200)
	envoy := startEnvoy(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		lb := tree(data)
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
	if problems := capabilities.Check(lb); len(problems) == 0 && err != nil {
		t.Errorf("capabilities take what cannot be translated: %v", err)
	}
	return res
}

// envoy is one Envoy that is fed many load balancers, one after the other.
type envoy struct {
	server *server.Server
	// holds are the names of what it was given last, by type.
	holds map[string][]string
}

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
		Certificates: []tls.Certificate{ca.Issue(f, testkit.Named(f, serverName))}, ClientCAs: ca.Pool(), //nolint:gosec // the server sets the version
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
	e := &envoy{server: srv, holds: map[string][]string{}}
	for _, typeURL := range translate.TypeURLs() {
		srv.Update(node, typeURL, nil, nil)
	}
	// What goes is gone at once, or the listeners of thousands of trees would drain side by side.
	envoybin.Start(f, config, "--drain-time-s", "1", "--drain-strategy", "immediate")
	return e
}

// take replaces all that Envoy has and returns its refusals.
func (e *envoy) take(ctx context.Context, res *translate.Resources) error {
	ctx, cancel := context.WithTimeout(ctx, testkit.Patience)
	defer cancel()
	// The listeners of the tree before may have the same ports.
	var leaving []server.Key
	for _, name := range e.holds[resourcev3.ListenerType] {
		leaving = append(leaving, server.Key{TypeURL: resourcev3.ListenerType, Name: name})
	}
	e.server.Update(node, resourcev3.ListenerType, nil, e.holds[resourcev3.ListenerType])
	if err := e.server.Wait(ctx, node, nil, leaving); err != nil {
		return err
	}
	want := map[server.Key]string{}
	for _, typeURL := range translate.TypeURLs() {
		set := map[string]*server.Resource{}
		for name, message := range res.All(typeURL) {
			resource, err := server.NewResource(typeURL, unbound(message))
			if err != nil {
				return err
			}
			set[name] = resource
			want[server.Key{TypeURL: typeURL, Name: name}] = resource.Version
		}
		gone := slices.DeleteFunc(e.holds[typeURL], func(name string) bool { return set[name] != nil })
		e.holds[typeURL] = slices.Collect(maps.Keys(set))
		e.server.Update(node, typeURL, set, gone)
	}
	err := e.server.Wait(ctx, node, want, nil)
	// What depends on a resource that was refused is not asked for: the refusals say more than the wait.
	if rejections := e.server.Rejections(node); errors.Is(err, context.DeadlineExceeded) && len(rejections) > 0 {
		rejected := map[server.Key]string{}
		for key, rejection := range rejections {
			rejected[key] = rejection.Text
		}
		return &server.NACKError{Node: node, Rejected: rejected}
	}
	return err
}

// unbound returns a listener that does not bind its addresses, and all else as it is. Envoy wants to bind those of UDP:
// they become free ports of this machine.
func unbound(message proto.Message) proto.Message {
	listener, ok := message.(*listenerv3.Listener)
	if !ok {
		return message
	}
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
