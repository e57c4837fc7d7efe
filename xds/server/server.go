package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statusv3 "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
)

const (
	// maxMessage is the largest message in bytes: an Envoy that reconnects lists every resource that it holds, and gRPC's
	// default of 4 MiB has been too small for that (https://github.com/envoyproxy/envoy/issues/46072).
	maxMessage = 64 << 20
	// softLimit is where a message is full, in bytes: the rest follows when it is acknowledged. A single resource may be larger.
	softLimit = 4 << 20
	// A connection that is silent for pingAfter is pinged, and dropped when pingTimeout passes without an answer: a dead
	// amphora is known to be so after 20 s.
	pingAfter, pingTimeout = 10 * time.Second, 10 * time.Second
	// minPing is how often a client may ping us.
	minPing = 5 * time.Second
	// readBuffer is what every connection has in memory for reading, in bytes. Envoys say little: gRPC's default of 32 KiB was 40 %
	// of all memory with 10,000 of them.
	readBuffer = 4 << 10
)

// Options of a Server.
type Options struct {
	Logger *slog.Logger
	// TLS has the server's certificate and the CA of the amphorae and operators. Client certificates are required,
	// whatever it says.
	TLS *tls.Config
	// Identify reads from a verified certificate whose it is: the role, amphora or operator, and the name, which for an
	// amphora is its id. nil takes them from the URI SAN octavia-envoy://<role>/<name>.
	Identify func(*x509.Certificate) (role, name string, err error)
	// Registry takes the metrics; nil keeps them to ourselves.
	Registry prometheus.Registerer
	// Register adds further services; only amphorae may call them. See NodeFromContext.
	Register []func(*grpc.Server)
	// Arrives is called when an amphora's Envoy connects, before it is told anything: the time to see that its resources are
	// those that it was last sent, maybe by another controller. On an error the stream ends, and Envoy tries again. nil is
	// not called.
	Arrives func(ctx context.Context, node string) error
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Server is the xDS server. Its resources can be set and waited for before, while and after it serves.
type Server struct {
	logger       *slog.Logger
	tls          *tls.Config
	identifyPeer func(*x509.Certificate) (string, string, error)
	register     []func(*grpc.Server)
	arrives      func(context.Context, string) error
	clock        func() time.Time
	metrics      *metrics
	nodes        *nodes
	permissions  map[string][]role
}

// New makes a server; it serves nothing before Serve.
func New(options Options) (*Server, error) {
	if options.TLS == nil {
		return nil, errors.New("xds: TLS configuration is missing: the amphora's certificate is its identity")
	}
	m, err := newMetrics(options.Registry)
	if err != nil {
		return nil, fmt.Errorf("xds: %w", err)
	}
	config := options.TLS.Clone()
	config.ClientAuth = tls.RequireAndVerifyClientCert
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	s := &Server{
		logger:       options.Logger,
		tls:          config,
		identifyPeer: options.Identify,
		register:     options.Register,
		arrives:      options.Arrives,
		clock:        options.Now,
		metrics:      m,
		permissions:  permissions(),
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.identifyPeer == nil {
		s.identifyPeer = identityFromURI
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	s.nodes = &nodes{byID: map[string]*node{}, clock: s.clock}
	return s, nil
}

// Serve serves on all listeners, TCP or unix, with mutual TLS on each, until ctx ends or one of them fails; it closes
// them. Call it once, and only after the resources of every stored load balancer have been set: an amphora that connects
// earlier gets no answer and waits.
func (s *Server) Serve(ctx context.Context, listeners []net.Listener) error {
	g := s.grpcServer()
	group, ctx := errgroup.WithContext(ctx)
	for _, listener := range listeners {
		group.Go(func() error {
			if err := g.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
				return fmt.Errorf("serve xDS on %s: %w", listener.Addr(), err)
			}
			return nil
		})
	}
	group.Go(func() error {
		<-ctx.Done()
		// Not GracefulStop: xDS streams never end by themselves.
		g.Stop()
		return nil
	})
	return group.Wait()
}

func (s *Server) grpcServer() *grpc.Server {
	g := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(s.tls)),
		grpc.UnaryInterceptor(s.authorizeUnary),
		grpc.StreamInterceptor(s.authorizeStream),
		grpc.UnknownServiceHandler(unknownService),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxSendMsgSize(maxMessage),
		grpc.ReadBufferSize(readBuffer),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pingTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minPing, PermitWithoutStream: true}),
	)
	for _, register := range s.register {
		register(g)
	}
	for service := range g.GetServiceInfo() {
		s.permissions[service] = []role{roleAmphora}
	}
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, &ads{server: s})
	statusv3.RegisterClientStatusDiscoveryServiceServer(g, &csds{server: s})
	healthv1.RegisterHealthServer(g, health.NewServer())
	reflection.Register(g)
	return g
}
