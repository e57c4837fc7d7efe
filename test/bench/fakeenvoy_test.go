package bench

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/stretchr/testify/require"
	statusv1 "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"

	"github.com/octavia-envoy/octavia-envoy/driver/certs"
)

// fakeEnvoy asks for its resources as Envoy does: delta ADS over mutual TLS; clusters and listeners all, endpoints and routes
// that these name; it acknowledges what it gets, and after a reconnection says what it has.
type fakeEnvoy struct {
	node string
	// refuses is a listener of which it takes no other version than it has.
	refuses string

	mu    sync.Mutex
	holds map[string]map[string]string
	// changed is closed and replaced with each message.
	changed  chan struct{}
	received map[string]int64 // resources and removals, by type
	// at is when the last message came.
	at                     time.Time
	bytes, messages, nacks int64
	connected              time.Time
	// asked are the names that it has subscribed to on the present stream.
	asked map[string]map[string]bool
}

// amphoraTLS is what an Envoy shows to the controller, and whom it trusts.
func amphoraTLS(tb testing.TB, authority *certs.Authority, node string) *tls.Config {
	tb.Helper()
	issued, err := authority.AmphoraCredentials(node, 0)
	require.NoError(tb, err)
	pair, err := tls.X509KeyPair(issued.Certificate, issued.Key)
	require.NoError(tb, err)
	block, _ := pem.Decode(issued.CA)
	require.NotNil(tb, block)
	root, err := x509.ParseCertificate(block.Bytes)
	require.NoError(tb, err)
	roots := x509.NewCertPool()
	roots.AddCert(root)
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, ServerName: serverName}
}

func authority(tb testing.TB, dir string) *certs.Authority {
	tb.Helper()
	a, err := certs.LoadOrCreate(filepath.Join(dir, authorityDir), time.Now)
	require.NoError(tb, err)
	return a
}

func newFakeEnvoy(node string) *fakeEnvoy {
	return &fakeEnvoy{node: node, holds: map[string]map[string]string{}, changed: make(chan struct{}), received: map[string]int64{}}
}

// startFakeEnvoy runs one until the end of the benchmark; it comes back when it loses its connection.
func startFakeEnvoy(tb testing.TB, authority *certs.Authority, address, node string) *fakeEnvoy {
	tb.Helper()
	f := newFakeEnvoy(node)
	config := amphoraTLS(tb, authority, node)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.run(ctx, address, config)
	}()
	tb.Cleanup(func() {
		cancel()
		<-ended
	})
	return f
}

// Between two tries to connect Envoy waits a random time of at most so long, doubling: what our bootstrap says.
const firstBackoff, lastBackoff = 500 * time.Millisecond, 5 * time.Second

func (f *fakeEnvoy) run(ctx context.Context, address string, config *tls.Config) {
	backoff := firstBackoff
	for ctx.Err() == nil {
		if f.connect(ctx, address, config) {
			backoff = firstBackoff
		}
		select {
		case <-ctx.Done():
		case <-time.After(rand.N(backoff)):
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

// connect holds one stream, and says whether there was one.
func (f *fakeEnvoy) connect(ctx context.Context, address string, config *tls.Config) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// One connection a try: gRPC's own patience is not Envoy's.
	plain, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return false
	}
	var dialed atomic.Bool
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			if dialed.Swap(true) {
				cancel()
				return nil, net.ErrClosed
			}
			return plain, nil
		}),
		grpc.WithReadBufferSize(4<<10), grpc.WithWriteBufferSize(4<<10),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		_ = plain.Close()
		return false
	}
	defer conn.Close()
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		return false
	}
	if f.hello(stream) != nil {
		return false
	}
	for {
		response, err := stream.Recv()
		if err != nil {
			return true
		}
		for _, request := range f.take(response) {
			if stream.Send(request) != nil {
				return true
			}
		}
	}
}

type adsStream = discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient

// hello asks for everything and says what there is.
func (f *fakeEnvoy) hello(stream adsStream) error {
	f.mu.Lock()
	var requests []*discoveryv3.DeltaDiscoveryRequest
	f.connected = time.Now()
	f.asked = map[string]map[string]bool{resource.EndpointType: {}, resource.RouteType: {}}
	for _, typeURL := range []string{resource.ClusterType, resource.EndpointType, resource.ListenerType, resource.RouteType} {
		request := &discoveryv3.DeltaDiscoveryRequest{
			Node: &corev3.Node{Id: f.node, Cluster: "bench", UserAgentName: "envoy"}, TypeUrl: typeURL,
			InitialResourceVersions: maps.Clone(f.holds[typeURL]),
		}
		if names := f.asked[typeURL]; names != nil {
			for name := range f.holds[typeURL] {
				names[name] = true
				request.ResourceNamesSubscribe = append(request.ResourceNamesSubscribe, name)
			}
			if len(names) == 0 {
				continue
			}
		}
		requests = append(requests, request)
	}
	f.mu.Unlock()
	for _, request := range requests {
		if err := stream.Send(request); err != nil {
			return err
		}
	}
	return nil
}

// take takes a message and returns what to say to it.
func (f *fakeEnvoy) take(response *discoveryv3.DeltaDiscoveryResponse) []*discoveryv3.DeltaDiscoveryRequest {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	typeURL := response.GetTypeUrl()
	f.at, f.messages, f.bytes = now, f.messages+1, f.bytes+int64(proto.Size(response))
	f.received[typeURL] += int64(len(response.GetResources()) + len(response.GetRemovedResources()))
	if f.holds[typeURL] == nil {
		f.holds[typeURL] = map[string]string{}
	}
	answer := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResponseNonce: response.GetNonce()}
	var names []string
	for _, each := range response.GetResources() {
		if each.GetName() == f.refuses && each.GetVersion() != f.holds[typeURL][each.GetName()] && typeURL == resource.ListenerType {
			f.nacks++
			answer.ErrorDetail = &statusv1.Status{Message: "Error adding/updating listener(s) " + each.GetName() + ": the bench refuses it\n"}
			continue
		}
		f.holds[typeURL][each.GetName()] = each.GetVersion()
		names = append(names, f.referred(typeURL, each)...)
	}
	for _, name := range response.GetRemovedResources() {
		delete(f.holds[typeURL], name)
	}
	requests := []*discoveryv3.DeltaDiscoveryRequest{answer}
	if further := map[string]string{resource.ClusterType: resource.EndpointType, resource.ListenerType: resource.RouteType}[typeURL]; further != "" {
		var fresh []string
		for _, name := range names {
			if !f.asked[further][name] {
				f.asked[further][name] = true
				fresh = append(fresh, name)
			}
		}
		if len(fresh) > 0 {
			requests = append(requests, &discoveryv3.DeltaDiscoveryRequest{TypeUrl: further, ResourceNamesSubscribe: fresh})
		}
	}
	close(f.changed)
	f.changed = make(chan struct{})
	return requests
}

// referred are the names of endpoints or routes that a resource asks for.
func (f *fakeEnvoy) referred(typeURL string, each *discoveryv3.Resource) []string {
	switch typeURL {
	case resource.ClusterType:
		cluster := new(clusterv3.Cluster)
		if each.GetResource().UnmarshalTo(cluster) != nil || cluster.GetType() != clusterv3.Cluster_EDS {
			return nil
		}
		if name := cluster.GetEdsClusterConfig().GetServiceName(); name != "" {
			return []string{name}
		}
		return []string{cluster.GetName()}
	case resource.ListenerType:
		listener := new(listenerv3.Listener)
		if each.GetResource().UnmarshalTo(listener) != nil {
			return nil
		}
		var names []string
		for _, chain := range append(listener.GetFilterChains(), listener.GetDefaultFilterChain()) {
			for _, filter := range chain.GetFilters() {
				hcm := new(hcmv3.HttpConnectionManager)
				if filter.GetTypedConfig().UnmarshalTo(hcm) == nil && hcm.GetRds() != nil {
					names = append(names, hcm.GetRds().GetRouteConfigName())
				}
			}
		}
		return names
	}
	return nil
}

// totals are the counts so far.
type totals struct {
	Resources, Bytes, Messages, NACKs int64
	At, Connected                     time.Time
}

func (f *fakeEnvoy) totals() totals {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := totals{Bytes: f.bytes, Messages: f.messages, NACKs: f.nacks, At: f.at, Connected: f.connected}
	for _, count := range f.received {
		t.Resources += count
	}
	return t
}

// got counts resources of a type.
func (f *fakeEnvoy) got(typeURL string) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.received[typeURL]
}

// await waits for a resource of a type after so many.
func (f *fakeEnvoy) await(tb testing.TB, typeURL string, more int64) time.Time {
	tb.Helper()
	deadline := time.After(time.Minute)
	for {
		f.mu.Lock()
		enough, at, changed := f.received[typeURL] >= more, f.at, f.changed
		f.mu.Unlock()
		if enough {
			return at
		}
		select {
		case <-changed:
		case <-deadline:
			tb.Fatalf("%s: nothing came", f.node)
		}
	}
}
