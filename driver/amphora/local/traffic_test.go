package local_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	plumbing "github.com/octavia-envoy/octavia-envoy/driver/network/local"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/publish"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// poolless is what the VIP answers after listen: the translator's answer for a listener without a pool.
const poolless = http.StatusServiceUnavailable

// listen has the amphora's Envoy answer all that comes to port 80 of the VIP with poolless.
func (c *cloud) listen(id string, lb *model.LoadBalancer) {
	c.t.Helper()
	serving := *lb
	serving.AdminStateUp = true
	serving.Listeners = []model.Listener{{
		ID: uuid.NewString(), Protocol: "HTTP", ProtocolPort: 80, AdminStateUp: true, ConnectionLimit: -1,
	}}
	resources := must(translate.LoadBalancer(&serving))
	ctx, cancel := context.WithTimeout(c.t.Context(), testkit.Patience)
	defer cancel()
	result, err := publish.New(c.Server, c.Fleet, nil).Publish(ctx, id, resources)
	if err != nil || len(result.Rejected) > 0 {
		c.t.Fatal(result.Rejected, err)
	}
}

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
