package server

import (
	"context"
	"crypto/tls"
	"net"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"go.uber.org/goleak"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a server that listens.
type fixture struct {
	*Server
	ca      *testkit.Authority
	address string
}

func start(t *testing.T, change func(*Options)) *fixture {
	t.Helper()
	ca := testkit.NewAuthority(t)
	options := Options{TLS: &tls.Config{
		Certificates: []tls.Certificate{ca.Issue(t, testkit.Named(t, "controller.test"))}, ClientCAs: ca.Pool(),
	}}
	if change != nil {
		change(&options)
	}
	s, err := New(options)
	must(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	testkit.Run(t, func(ctx context.Context) error { return s.Serve(ctx, []net.Listener{listener}) })
	return &fixture{Server: s, ca: ca, address: listener.Addr().String()}
}

// dial connects with a certificate of that name.
func (f *fixture) dial(t *testing.T, name string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(f.address, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		RootCAs: f.ca.Pool(), ServerName: "controller.test",
		Certificates: []tls.Certificate{f.ca.Issue(t, testkit.Named(t, name))},
	})), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// client is an Envoy whose every word the test says.
type client struct {
	t      *testing.T
	stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	close  context.CancelFunc
}

func (f *fixture) connect(t *testing.T, node string) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(f.dial(t, "octavia-envoy://amphora/"+node)).DeltaAggregatedResources(ctx)
	must(t, err)
	return &client{t: t, stream: stream, close: cancel}
}

func (c *client) send(req *discoveryv3.DeltaDiscoveryRequest) {
	c.t.Helper()
	must(c.t, c.stream.Send(req))
}

// ask subscribes; no names is everything.
func (c *client) ask(typeURL string, names ...string) {
	c.t.Helper()
	c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesSubscribe: names})
}

// expect receives a message and fails the test unless it holds these resources and removals.
func (c *client) expect(names, removed []string) *discoveryv3.DeltaDiscoveryResponse {
	c.t.Helper()
	resp, err := c.stream.Recv()
	must(c.t, err)
	var got []string
	for _, res := range resp.GetResources() {
		got = append(got, res.GetName())
	}
	equal(c.t, got, names)
	equal(c.t, resp.GetRemovedResources(), removed)
	return resp
}

func (c *client) ack(resp *discoveryv3.DeltaDiscoveryResponse) {
	c.t.Helper()
	c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resp.GetTypeUrl(), ResponseNonce: resp.GetNonce()})
}

func (c *client) nack(resp *discoveryv3.DeltaDiscoveryResponse, text string) {
	c.t.Helper()
	c.send(&discoveryv3.DeltaDiscoveryRequest{
		TypeUrl: resp.GetTypeUrl(), ResponseNonce: resp.GetNonce(), ErrorDetail: &rpcstatus.Status{Code: 3, Message: text},
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
