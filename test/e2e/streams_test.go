package e2e

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
)

// TestWebSocket keeps a WebSocket through an HTTP listener open while the load balancer changes.
func TestWebSocket(t *testing.T) {
	t.Parallel()
	c := shared
	s := c.populate(t, "e2e-websocket", []fields{listener("web", "HTTP", 80, "web", lasting())},
		[]fields{pool("web", "HTTP", []fields{c.member(1, 80)})})
	connection, response, err := websocket.Dial(t.Context(), "ws://"+s.at(80)+"/echo", &websocket.DialOptions{HTTPClient: c.client(t)})
	if err != nil {
		t.Fatalf("%v, answered %v", err, response)
	}
	t.Cleanup(func() { _ = connection.CloseNow() })
	echoes := func(after string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := connection.Write(ctx, websocket.MessageText, []byte(after)); err != nil {
			t.Fatalf("after %s: %v", after, err)
		}
		_, message, err := connection.Read(ctx)
		if got, want := string(message), "member1: "+after; err != nil || got != want {
			t.Fatalf("after %s: got %q, error %v", after, got, err)
		}
	}
	echoes("the handshake")
	s.cli(t, "loadbalancer member create --name member2 --address "+c.env["OE_MEMBER2_ADDRESS"]+" --protocol-port 80 [pool web]")
	if got := c.spread(t, s.at(80), 10); got["member2"] == 0 {
		t.Errorf("the new member does not serve: %v", got)
	}
	echoes("adding a member")
	s.cli(t, "loadbalancer l7policy create --name away --action REDIRECT_TO_URL --redirect-url http://away.example.com/ [listener web]")
	s.look(t)
	s.cli(t, "loadbalancer l7rule create --type PATH --compare-type STARTS_WITH --value /away [policy away]")
	c.answers(t, s.at(80), "/away", "http://away.example.com/")
	echoes("adding an L7 policy")
	s.look(t)
	s.do(t, http.MethodDelete, s.memberPath(t, "web", "member2"), nil)
	echoes("removing the other member")
	s.allActive(t)
}

// TestGRPC keeps a stream of gRPC through a TCP listener open while the load balancer changes.
func TestGRPC(t *testing.T) {
	t.Parallel()
	c := shared
	s := c.populate(t, "e2e-grpc", []fields{listener("grpc", "TCP", 50051, "grpc", lasting())},
		[]fields{pool("grpc", "TCP", []fields{c.member(1, 50051)})})
	s.streams(t, 50051, "grpc", func() {
		s.cli(t, "loadbalancer member create --name member2 --address "+c.env["OE_MEMBER2_ADDRESS"]+" --protocol-port 50051 [pool grpc]")
	})
	met := map[string]int{}
	for range 10 { // Each client is a connection, which one member has.
		client := c.grpcClient(t, s.at(50051))
		member := healthOf(t, client)
		met[member]++
		for range 3 {
			if again := healthOf(t, client); again != member {
				t.Errorf("a connection to %s is one to %s", member, again)
			}
		}
	}
	if met["member1"] == 0 || met["member2"] == 0 {
		t.Errorf("10 connections over two members: %v", met)
	}
	s.allActive(t)
}

// TestGRPCOverHTTP keeps a stream of gRPC through an HTTP listener open, where a connection's calls go to all members.
func TestGRPCOverHTTP(t *testing.T) {
	t.Parallel()
	c := shared
	s := c.populate(t, "e2e-grpc-http", []fields{listener("grpc", "HTTP", 80, "grpc", lasting())},
		[]fields{pool("grpc", "HTTP", []fields{c.member(1, 50051)})},
		fields{"flavor_id": c.flavor(t, "e2e-grpc-http", `{"member_http": {"version": "2"}}`)})
	s.streams(t, 80, "grpc", func() {
		s.do(t, http.MethodPost, "pools/"+s.id(t, "pool grpc")+"/members", fields{"member": c.member(2, 50051)})
	})
	met, client := map[string]int{}, s.grpcClient(t, s.at(80))
	for range 10 {
		met[healthOf(t, client)]++
	}
	if met["member1"] == 0 || met["member2"] == 0 {
		t.Errorf("10 calls of one connection over two members: %v", met)
	}
	s.allActive(t)
}

// streams holds a stream of calls and answers to member1 open over a change.
func (s *tree) streams(t *testing.T, port int, pool string, change func()) {
	t.Helper()
	stream, err := reflectionv1.NewServerReflectionClient(s.grpcClient(t, s.at(port))).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	services := func(when string) {
		t.Helper()
		request := &reflectionv1.ServerReflectionRequest{
			MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{ListServices: "*"},
		}
		if err := stream.Send(request); err != nil {
			t.Fatalf("%s the change of pool %s: %v", when, pool, err)
		}
		answer, err := stream.Recv()
		if err != nil || !strings.Contains(answer.String(), "grpc.health.v1.Health") {
			t.Fatalf("%s the change of pool %s: %v, error %v", when, pool, answer, err)
		}
	}
	services("before")
	if named, err := stream.Header(); err != nil || strings.Join(named.Get("server-name"), "") != "member1" {
		t.Errorf("the stream is with %v, error %v", named, err)
	}
	change()
	services("after")
	if err := stream.CloseSend(); err != nil {
		t.Error(err)
	}
}

// grpcClient is a client without TLS in the client's namespace; its connection lasts.
func (c *cloud) grpcClient(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	client, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, to string) (net.Conn, error) { return c.dial(ctx, "", "tcp", to) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// healthOf asks whether a member serves, and says which one it was.
func healthOf(t *testing.T, client *grpc.ClientConn) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var named metadata.MD
	answer, err := healthv1.NewHealthClient(client).Check(ctx, &healthv1.HealthCheckRequest{}, grpc.Header(&named))
	if err != nil || answer.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Fatalf("%v, error %v", answer, err)
	}
	return strings.Join(named.Get("server-name"), "")
}
