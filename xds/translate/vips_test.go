package translate

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// addresses are the VIPs of TestEveryVIP: the first, and the additional ones.
var addresses = []string{vip, "::1", "127.0.0.2"}

// holdEverywhere is hold for a port that is free on all of them.
func holdEverywhere(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := hold(t)
		if holdAt(t, addresses[1], port) && holdAt(t, addresses[2], port) {
			return port
		}
	}
	t.Fatal("no port is free on all addresses")
	return 0
}

func holdAt(t *testing.T, address string, port int) bool {
	t.Helper()
	at := netip.MustParseAddr(address)
	family, name := unix.AF_INET, unix.Sockaddr(nil)
	if at.Is4() {
		name = &unix.SockaddrInet4{Addr: at.As4(), Port: port}
	} else {
		family, name = unix.AF_INET6, &unix.SockaddrInet6{Addr: at.As16(), Port: port}
	}
	socket, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(socket) })
	if err := unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		t.Fatal(err)
	}
	return unix.Bind(socket, name) == nil
}

// called connects to a listener at one of the addresses and returns what a member says before it closes.
func called(t *testing.T, l *model.Listener, address string) (net.Conn, error) {
	t.Helper()
	connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", net.JoinHostPort(address, strconv.Itoa(l.ProtocolPort)))
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection, connection.SetDeadline(time.Now().Add(testkit.Patience))
}

// TestEveryVIP is what clients see of a load balancer with addresses of both families, whose members are of both.
func TestEveryVIP(t *testing.T) {
	six, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = six.Close() })
	says := func(name string) func(net.Conn) {
		return func(connection net.Conn) {
			_, _ = io.WriteString(connection, name)
			_, _ = io.Copy(io.Discard, connection)
		}
	}
	go func() {
		for {
			connection, err := six.Accept()
			if err != nil {
				return
			}
			go func() {
				says("six")(connection)
				_ = connection.Close()
			}()
		}
	}()
	lb := &model.LoadBalancer{Pools: []model.Pool{
		pool("four", "TCP", raw(t, says("four"))), pool("six", "TCP", six.Addr().String()), pool("udp", "UDP", datagrams(t, "datagram")),
	}}
	for _, additional := range addresses[1:] {
		lb.AdditionalVIPs = append(lb.AdditionalVIPs, model.AdditionalVIP{IPAddress: additional})
	}
	for _, l := range []model.Listener{
		listener(t, "four", "TCP", "four"), listener(t, "six", "TCP", "six"), listener(t, "limited", "TCP", "four"),
		listener(t, "closed", "TCP", "six"), listener(t, "udp", "UDP", "udp"),
	} {
		l.ProtocolPort = holdEverywhere(t)
		switch l.ID {
		case "limited":
			l.ConnectionLimit = 1
		case "closed":
			l.AllowedCIDRs = []string{"127.0.0.0/8", "2001:db8::/32"}
		case "udp":
			l.ProtocolPort = lb.Listeners[0].ProtocolPort
		}
		lb.Listeners = append(lb.Listeners, l)
	}
	serve(t, lb)

	read := func(id, address string) (string, error) {
		connection, err := called(t, lb.Listener(id), address)
		if err != nil {
			t.Fatal(err)
		}
		said := make([]byte, 4)
		n, err := io.ReadAtLeast(connection, said, 3)
		return string(said[:n]), err
	}
	for _, address := range addresses {
		for _, id := range []string{"four", "six"} {
			if said, err := read(id, address); err != nil || said != id {
				t.Errorf("%s, listener %s: %q, %v", address, id, said, err)
			}
		}
		said, err := read("closed", address)
		closed := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
		if allowed := address != "::1"; allowed && (err != nil || said != "six") || !allowed && !closed {
			t.Errorf("%s, listener with CIDRs: %q, %v", address, said, err)
		}

		// The answer has to come from the address that was asked: the client's socket takes no other.
		target := &net.UDPAddr{IP: net.ParseIP(address), Port: lb.Listener("udp").ProtocolPort}
		client, err := net.DialUDP("udp", nil, target)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		if said := told(t, lb.Listener("udp"), client); said != "datagram" {
			t.Errorf("%s, UDP: %q", address, said)
		}
	}

	t.Run("one connection limit for all", func(t *testing.T) {
		// serve's own connection counts until Envoy has seen it close.
		var held net.Conn
		testkit.Eventually(t, func() error {
			connection, err := called(t, lb.Listener("limited"), vip)
			if err != nil {
				return err
			}
			if _, err := io.ReadAtLeast(connection, make([]byte, 4), 4); err != nil {
				return err
			}
			held = connection
			return nil
		})
		for _, address := range addresses[1:] {
			if said, err := read("limited", address); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s, beyond the limit: %q, %v", address, said, err)
			}
		}
		_ = held.Close()
	})
}
