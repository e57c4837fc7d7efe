package translate

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// TestGRPC is a real gRPC server behind an HTTP listener, asked by a real client: h2c on either side.
func TestGRPC(t *testing.T) {
	var refused atomic.Int32
	echo := grpcServer(t, nil)
	sulks := grpcServer(t, func(context.Context) error {
		refused.Add(1)
		return status.Error(codes.Unavailable, "not now")
	})
	fails := grpcServer(t, func(ctx context.Context) error {
		_ = grpc.SetTrailer(ctx, metadata.Pairs("why", "because"))
		return status.Error(codes.FailedPrecondition, "no: ü")
	})
	hangs := grpcServer(t, func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	lb := &model.LoadBalancer{
		Flavor: map[string]any{
			"member_http": map[string]any{"version": "2"},
			"retries":     map[string]any{"retry_on": []any{"unavailable"}, "attempts": 1},
			"compression": map[string]any{"algorithms": []any{"gzip"}},
			"request_id":  "replace",
		},
		Pools: []model.Pool{
			pool("echo", "HTTP", echo), pool("half", "HTTP", sulks, echo), pool("fails", "HTTP", fails), pool("dead", "HTTP", dead(t)),
			pool("hangs", "HTTP", hangs),
		},
	}
	for _, p := range lb.Pools {
		lb.Listeners = append(lb.Listeners, listener(t, p.ID, "HTTP", p.ID))
	}
	none, denied := listener(t, "none", "HTTP", ""), listener(t, "denied", "HTTP", "echo")
	denied.L7Policies = []model.L7Policy{{
		ID: "deny", ListenerID: "denied", AdminStateUp: true, Position: 1, Action: model.L7ActionReject,
		Rules: []model.L7Rule{{
			ID: "all", L7PolicyID: "deny", AdminStateUp: true, Type: model.L7TypePath, CompareType: model.L7CompareStartsWith, Value: "/",
		}},
	}}
	lb.Listeners = append(lb.Listeners, none, denied)
	// A stream that says nothing lives as long as the longer of the two allows, whatever else there is.
	quiet := lb.Listener("echo")
	quiet.TimeoutClientData, quiet.TimeoutMemberData = 1000, maxTimeout
	lb.Listener("hangs").TimeoutMemberData = 200
	serve(t, lb)

	t.Run("unary", func(t *testing.T) {
		answer, err := healthv1.NewHealthClient(grpcClient(t, quiet)).Check(asking(t), &healthv1.HealthCheckRequest{})
		if err != nil || answer.GetStatus() != healthv1.HealthCheckResponse_SERVING {
			t.Errorf("got %v, %v", answer, err)
		}
	})
	t.Run("a stream of answers", func(t *testing.T) {
		watch, err := healthv1.NewHealthClient(grpcClient(t, quiet)).Watch(asking(t), &healthv1.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := watch.Recv(); err != nil || answer.GetStatus() != healthv1.HealthCheckResponse_SERVING {
			t.Errorf("got %v, %v", answer, err)
		}
	})
	t.Run("both ways, with pauses", func(t *testing.T) {
		stream := talk(t, quiet)
		for _, word := range []string{"one", "two", "three"} {
			if got, err := say(stream, word); err != nil || got != word {
				t.Errorf("said %q, got %q, %v", word, got, err)
			}
			time.Sleep(1500 * time.Millisecond) // Longer than timeout_client_data.
		}
		if err := stream.CloseSend(); err != nil {
			t.Error(err)
		}
		if err := stream.RecvMsg(new(wrapperspb.StringValue)); !errors.Is(err, io.EOF) {
			t.Errorf("the end is %v", err)
		}
		if got := stream.Trailer().Get("said"); len(got) != 1 || got[0] != "3" {
			t.Errorf("trailers %v", stream.Trailer())
		}
	})
	t.Run("a member's own error", func(t *testing.T) {
		var trailer metadata.MD
		_, err := healthv1.NewHealthClient(grpcClient(t, lb.Listener("fails"))).Check(asking(t), &healthv1.HealthCheckRequest{}, grpc.Trailer(&trailer))
		if got := status.Convert(err); got.Code() != codes.FailedPrecondition || got.Message() != "no: ü" || len(trailer.Get("why")) != 1 {
			t.Errorf("got %v, %v", err, trailer)
		}
	})
	t.Run("another member, by its status", func(t *testing.T) {
		for range 6 {
			if _, err := healthv1.NewHealthClient(grpcClient(t, lb.Listener("half"))).Check(asking(t), &healthv1.HealthCheckRequest{}); err != nil {
				t.Error(err)
			}
		}
		if refused.Load() == 0 {
			t.Error("nobody asked the member that refuses")
		}
	})
	t.Run("Envoy's own answers", func(t *testing.T) {
		unavailable := "No server is available to handle this request."
		for _, test := range []struct {
			listener *model.Listener
			code     codes.Code
			message  string
		}{
			{&none, codes.Unavailable, unavailable},
			{lb.Listener("dead"), codes.Unavailable, unavailable},
			{lb.Listener("hangs"), codes.Unavailable, "The server didn't respond in time."},
			{&denied, codes.PermissionDenied, "Request forbidden by administrative rules."},
		} {
			_, err := healthv1.NewHealthClient(grpcClient(t, test.listener)).Check(asking(t), &healthv1.HealthCheckRequest{})
			if got := status.Convert(err); got.Code() != test.code || got.Message() != test.message {
				t.Errorf("%s: %v", test.listener.ID, err)
			}
		}
		if response, body := ask(t, &none, get); response.StatusCode != 503 || !strings.HasPrefix(body, "<html>") {
			t.Errorf("a browser gets %s %q", response.Status, body)
		}
	})
}

// grpcServer is a gRPC member with the health service and one that says what it hears; refuse may end a unary call.
func grpcServer(t *testing.T, refuse func(context.Context) error) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", vip+":0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if refuse != nil {
			return nil, refuse(ctx)
		}
		return next(ctx, request)
	}))
	healthv1.RegisterHealthServer(s, health.NewServer())
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "echo", HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{StreamName: "Talk", ServerStreams: true, ClientStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
			for said := 0; ; said++ {
				word := new(wrapperspb.StringValue)
				if err := stream.RecvMsg(word); errors.Is(err, io.EOF) {
					stream.SetTrailer(metadata.Pairs("said", string(rune('0'+said))))
					return nil
				} else if err != nil {
					return err
				}
				if err := stream.SendMsg(word); err != nil {
					return err
				}
			}
		}}},
	}, nil)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

func grpcClient(t *testing.T, l *model.Listener) *grpc.ClientConn {
	t.Helper()
	client, err := grpc.NewClient("passthrough:///"+place(l), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func asking(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	t.Cleanup(cancel)
	return ctx
}

func talk(t *testing.T, l *model.Listener) grpc.ClientStream {
	t.Helper()
	stream, err := grpcClient(t, l).NewStream(asking(t), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/echo/Talk")
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func say(stream grpc.ClientStream, word string) (string, error) {
	if err := stream.SendMsg(wrapperspb.String(word)); err != nil {
		return "", err
	}
	got := new(wrapperspb.StringValue)
	err := stream.RecvMsg(got)
	return got.GetValue(), err
}
