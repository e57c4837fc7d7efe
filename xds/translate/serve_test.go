package translate

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/envoybin"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

const vip = "127.0.0.1"

// listener returns a listener on a free port, with Octavia's defaults.
func listener(t *testing.T, id, protocol, pool string) model.Listener {
	t.Helper()
	return model.Listener{
		ID: id, Protocol: protocol, DefaultPoolID: pool, AdminStateUp: true, ConnectionLimit: -1,
		ProtocolPort: hold(t),
	}
}

// pool returns a pool with members at these addresses, each host:port.
func pool(id, protocol string, members ...string) model.Pool {
	p := model.Pool{ID: id, Protocol: protocol, LBAlgorithm: model.AlgorithmRoundRobin, AdminStateUp: true}
	for i, text := range members {
		address := netip.MustParseAddrPort(text)
		p.Members = append(p.Members, model.Member{
			ID: id + strconv.Itoa(i), Address: address.Addr().String(), ProtocolPort: int(address.Port()), Weight: 1, AdminStateUp: true,
		})
	}
	return p
}

// serve runs a real Envoy with the load balancer until the end of the test, and returns when all its listeners accept.
func serve(t *testing.T, lb *model.LoadBalancer) {
	t.Helper()
	lb.ID, lb.VIPAddress, lb.AdminStateUp = "lb", vip, true
	res, err := LoadBalancer(lb)
	if err != nil {
		t.Fatal(err)
	}
	serveResources(t, lb, res)
}

// serveResources is serve with these resources of the load balancer.
func serveResources(t *testing.T, lb *model.LoadBalancer, res *Resources) {
	t.Helper()
	envoybin.Start(t, writeStatic(t, res))
	for i := range lb.Listeners {
		if lb.Listeners[i].Protocol == model.ProtocolUDP {
			continue // Its clients ask until they are answered.
		}
		testkit.Eventually(t, func() error {
			connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", place(&lb.Listeners[i]))
			if err != nil {
				return fmt.Errorf("listener %s does not accept: %w", lb.Listeners[i].ID, err)
			}
			return connection.Close()
		})
	}
}

func place(l *model.Listener) string { return fmt.Sprintf("%s:%d", vip, l.ProtocolPort) }

// server is an HTTP member; it returns its address.
func server(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return strings.TrimPrefix(s.URL, "http://")
}

// raw is a TCP member, which handles each connection in its own goroutine; it returns its address.
func raw(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", vip+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			connection, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = connection.Close() }()
				handle(connection)
			}()
		}
	}()
	return l.Addr().String()
}

// dead is an address where nobody listens.
func dead(t *testing.T) string { return fmt.Sprintf("%s:%d", vip, hold(t)) }

// hold takes a free port until the end of the test, without listening on it. Only Envoy can then bind it: it shares
// ports, as all its workers listen.
func hold(t *testing.T) int {
	t.Helper()
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(socket) })
	if err := unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(socket, &unix.SockaddrInet4{Addr: netip.MustParseAddr(vip).As4()}); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	return name.(*unix.SockaddrInet4).Port
}

// dial opens a connection to a listener that cannot outlive the test's patience.
func dial(t *testing.T, l *model.Listener) net.Conn {
	t.Helper()
	connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", place(l))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	if err := connection.SetDeadline(time.Now().Add(testkit.Patience)); err != nil {
		t.Fatal(err)
	}
	return connection
}

// ask sends bytes to a listener and returns the answer with its body read.
func ask(t *testing.T, l *model.Listener, request string) (*http.Response, string) {
	t.Helper()
	connection := dial(t, l)
	if _, err := io.WriteString(connection, request); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatalf("listener %s: %v", l.ID, err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	_ = connection.Close()
	return response, string(body)
}

// drained reads a connection to its end, and fails the test when it has none.
func drained(t *testing.T, connection net.Conn) string {
	t.Helper()
	data, err := io.ReadAll(connection)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection stays open")
	}
	return string(data)
}
