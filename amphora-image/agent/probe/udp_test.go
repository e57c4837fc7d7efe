package probe

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

func TestUDPConnect(t *testing.T) {
	network := newMachines(t)
	p := newPinger()
	t.Cleanup(p.close)
	for _, host := range []string{"10.7.0.2", "fd07::2"} {
		network.add(host)
		up(t, p, host) // neighbours of a new link are slow to be found
		member := netip.AddrPortFrom(netip.MustParseAddr(host), 5300)
		check := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
			defer cancel()
			return udpConnect(ctx, member)
		}
		if err := check(); err == nil || err.Error() != "port unreachable (ICMP)" {
			t.Errorf("%s: nobody listens: %v", host, err)
		}
		var socket *net.UDPConn
		listen := func() {
			network.inside(func() (err error) {
				socket, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(member))
				return err
			})
		}
		listen()
		if err := check(); err != nil {
			t.Errorf("%s: listens and says nothing: %v", host, err)
		}
		buffer := make([]byte, 10)
		for range 2 {
			size, _, err := socket.ReadFromUDPAddrPort(buffer)
			if err != nil || string(buffer[:size]) != "X" {
				t.Errorf("%s got %q, %v", host, buffer[:size], err)
			}
		}
		_ = socket.Close()
		testkit.Eventually(t, func() error { // ICMP is rationed, to one answer a second once six have been given
			if err := check(); err == nil {
				return context.DeadlineExceeded
			}
			return nil
		})
		listen()
		go func() {
			_, from, err := socket.ReadFromUDPAddrPort(buffer)
			if err == nil {
				_, _ = socket.WriteToUDPAddrPort([]byte("what do you want?"), from)
			}
		}()
		if err := check(); err != nil {
			t.Errorf("%s: answers: %v", host, err)
		}
		must(t, socket.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
		if _, _, err := socket.ReadFromUDPAddrPort(buffer); err == nil {
			t.Errorf("%s is asked again after its answer", host)
		}
		_ = socket.Close()
	}
}

// TestUDPConnectOfNobody differs from amphorae, where such a member is up.
func TestUDPConnectOfNobody(t *testing.T) {
	newMachines(t)
	for _, host := range []string{"10.7.0.99", "fd07::99"} {
		ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
		err := udpConnect(ctx, netip.AddrPortFrom(netip.MustParseAddr(host), 5300))
		cancel()
		if err == nil || !strings.Contains(err.Error(), "nobody has that address") && !strings.Contains(err.Error(), "host unreachable") {
			t.Errorf("%s: %v", host, err)
		}
	}
	if err := udpConnect(t.Context(), netip.MustParseAddrPort("192.0.2.1:53")); err == nil {
		t.Error("up without a route")
	}
}

func TestUDPConnectEndsWithItsRequest(t *testing.T) {
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	defer socket.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _, _ = socket.ReadFrom(make([]byte, 1))
		cancel()
	}()
	if err := udpConnect(ctx, netip.MustParseAddrPort(socket.LocalAddr().String())); err == nil {
		t.Error("up though nobody waited")
	}
}
