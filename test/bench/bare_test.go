package bench

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/delta/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/octavia-envoy/octavia-envoy/driver/certs"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// bare is a control plane with nothing but go-control-plane: a LinearCache a type and node behind a MuxCache, which of its
// caches is the one whose cost does not grow with the node. It has the resources that our translation makes, in memory, and
// knows nothing of acknowledgements, phases, stores and Octavia.
type bare struct {
	settings settings
	mux      *cache.MuxCache
	caches   map[string]*cache.LinearCache
}

func startBare(ctx context.Context, s settings) (handler, error) {
	b := &bare{settings: s, caches: map[string]*cache.LinearCache{}}
	b.mux = &cache.MuxCache{
		Classify:      func(request *cache.Request) string { return request.GetNode().GetId() + request.GetTypeUrl() },
		ClassifyDelta: func(request *cache.DeltaRequest) string { return request.GetNode().GetId() + request.GetTypeUrl() },
		Caches:        map[string]cache.Cache{},
	}
	return func(o order) (answer, error) {
		switch o.Do {
		case "populate":
			for i := range o.Count {
				if err := b.set(o.Shape.tree(o.First + i)); err != nil {
					return answer{}, err
				}
			}
			return answer{}, nil
		case "serve":
			return b.serve(ctx)
		}
		return answer{}, fmt.Errorf("no order %q", o.Do)
	}, nil
}

// set gives the caches of a node what a load balancer is.
func (b *bare) set(tree *model.LoadBalancer) error {
	resources, err := translate.LoadBalancer(tree)
	if err != nil {
		return err
	}
	for _, typeURL := range []string{resource.EndpointType, resource.ClusterType, resource.RouteType, resource.ListenerType} {
		all := map[string]types.Resource{}
		for name, message := range resources.All(typeURL) {
			all[name] = message
		}
		key := amphoraOf(tree.ID) + typeURL
		if b.caches[key] == nil {
			b.caches[key] = cache.NewLinearCache(typeURL, cache.WithInitialResources(all))
			b.mux.Caches[key] = b.caches[key]
			continue
		}
		if err := b.caches[key].UpdateResources(all, nil); err != nil {
			return err
		}
	}
	return nil
}

// serve listens for Envoys, and for calls: a load balancer's tree, of which only the endpoints are looked at.
func (b *bare) serve(ctx context.Context) (answer, error) {
	authority, err := certs.LoadOrCreate(filepath.Join(b.settings.Dir, authorityDir), time.Now)
	if err != nil {
		return answer{}, err
	}
	config := authority.ServerTLS([]string{serverName}, nil)
	config.ClientAuth = tls.RequireAndVerifyClientCert
	g := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)), grpc.MaxRecvMsgSize(64<<20), grpc.MaxSendMsgSize(64<<20))
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, &bareADS{server: delta.NewServer(ctx, b.mux, nil)})
	address := b.settings.Address
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return answer{}, err
	}
	calls, err := net.Listen("unix", filepath.Join(b.settings.Dir, "bare.sock"))
	if err != nil {
		return answer{}, err
	}
	run := func(serve func() error) {
		if err := serve(); err != nil && !errors.Is(err, net.ErrClosed) {
			fmt.Fprintln(os.Stderr, "bare:", err)
			os.Exit(1)
		}
	}
	go run(func() error { return g.Serve(listener) })
	go run(func() error { return http.Serve(calls, http.HandlerFunc(b.change)) })
	return answer{Address: listener.Addr().String()}, nil
}

// bareADS is what go-control-plane's own server does with a delta stream.
type bareADS struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	server delta.Server
}

// DeltaAggregatedResources serves one Envoy.
func (a *bareADS) DeltaAggregatedResources(stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	return a.server.DeltaStreamHandler(stream, resource.AnyType)
}

// change updates the endpoints of a node.
func (b *bare) change(w http.ResponseWriter, r *http.Request) {
	tree := new(model.LoadBalancer)
	if err := json.NewDecoder(r.Body).Decode(tree); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	resources, err := translate.LoadBalancer(tree)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	_ = http.NewResponseController(w).Flush()
	for name, message := range resources.All(resource.EndpointType) {
		if err := b.caches[amphoraOf(tree.ID)+resource.EndpointType].UpdateResource(name, message); err != nil {
			fmt.Fprintln(os.Stderr, "bare:", err)
		}
	}
}
