package local_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/google/uuid"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"

	"github.com/octavia-envoy/octavia-envoy/driver/amphora/amphoratest"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	plumbing "github.com/octavia-envoy/octavia-envoy/driver/network/local"
	"github.com/octavia-envoy/octavia-envoy/xds/server"
)

// listen has the amphora's Envoy answer 418 on port 80 of the VIP.
func (c *cloud) listen(id, address string) {
	c.t.Helper()
	manager := &hcmv3.HttpConnectionManager{
		StatPrefix: "vip",
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
			VirtualHosts: []*routev3.VirtualHost{{Name: "all", Domains: []string{"*"}, Routes: []*routev3.Route{{
				Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
				Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: http.StatusTeapot}},
			}}}},
		}},
		HttpFilters: []*hcmv3.HttpFilter{{
			Name: "envoy.filters.http.router", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(&routerv3.Router{})},
		}},
	}
	listener := must(server.NewResource(resource.ListenerType, &listenerv3.Listener{
		Name: "vip",
		Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: address, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 80},
		}}},
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name:       "envoy.filters.network.http_connection_manager",
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(manager)},
		}}}},
	}))
	c.Server.Update(id, resource.ClusterType, nil, nil)
	c.Server.Update(id, resource.ListenerType, map[string]*server.Resource{"vip": listener}, nil)
	ctx, cancel := context.WithTimeout(c.t.Context(), amphoratest.Patience)
	defer cancel()
	key := server.Key{TypeURL: resource.ListenerType, Name: "vip"}
	if err := c.Server.Wait(ctx, id, map[server.Key]string{key: listener.Version}, nil); err != nil {
		c.t.Fatal(err)
	}
}

func pack(message proto.Message) *anypb.Any { return must(anypb.New(message)) }

// get asks the VIP from a client's namespace on the same network and returns the status.
func (c *cloud) get(lb *model.LoadBalancer, address string) int {
	c.t.Helper()
	client := c.loadBalancer("198.51.100.200") // plugged like a VIP: an address on the network
	probe := model.Amphora{ID: uuid.NewString(), LoadBalancerID: client.ID}
	if err := c.plumber.Plug(c.t.Context(), probe, client); err != nil {
		c.t.Fatal(err)
	}
	defer func() {
		if err := c.plumber.Unplug(context.WithoutCancel(c.t.Context()), probe); err != nil {
			c.t.Error(err)
		}
	}()
	status := 0
	err := plumbing.InNamespace(plumbing.NamespacePath(probe.ID), func() error {
		// On this thread: a client with connections of its own would dial from another thread, in another namespace.
		descriptor, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		file := os.NewFile(uintptr(descriptor), "client")
		defer file.Close()
		to := &unix.SockaddrInet4{Port: 80, Addr: netip.MustParseAddr(address).As4()}
		if err := unix.Connect(descriptor, to); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(file, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", lb.ID); err != nil {
			return err
		}
		_, err = fmt.Fscanf(file, "HTTP/1.1 %d", &status)
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return status
}
