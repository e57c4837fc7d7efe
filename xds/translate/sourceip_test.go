package translate

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// dialFrom connects to a listener from an address of the loopback network and a port, 0 for any. The connection ends with
// a reset, so that the port can be taken again at once.
func dialFrom(t *testing.T, l *model.Listener, address string, port int) *net.TCPConn {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address), Port: port}}
	connection, err := dialer.DialContext(t.Context(), "tcp", place(l))
	if err != nil {
		t.Fatal(err)
	}
	tcp := connection.(*net.TCPConn)
	_ = tcp.SetLinger(0)
	_ = tcp.SetDeadline(time.Now().Add(testkit.Patience))
	t.Cleanup(func() { _ = tcp.Close() })
	return tcp
}

// spoken sends a request, reads who answers and closes.
func spoken(t *testing.T, l *model.Listener, connection *net.TCPConn) string {
	t.Helper()
	defer func() { _ = connection.Close() }()
	if _, err := io.WriteString(connection, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatalf("listener %s: %v", l.ID, err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// TestSource checks that a client comes back to its member, by its address or by its address and port, and that many
// clients are spread.
func TestSource(t *testing.T) {
	var members []string
	for i := range 4 {
		members = append(members, named(t, strconv.Itoa(i)))
	}
	lb := &model.LoadBalancer{}
	for _, protocol := range []string{"HTTP", "TCP"} {
		for _, how := range []string{"SOURCE_IP", "SOURCE_IP_PORT", "persistence", "both"} {
			id := protocol + "-" + how
			p := pool(id, protocol, members...)
			switch how {
			case "persistence":
				p.SessionPersistence = &model.SessionPersistence{Type: persistSourceIP}
			case "both":
				p.LBAlgorithm = model.AlgorithmSourceIPPort
				p.SessionPersistence = &model.SessionPersistence{Type: persistSourceIP}
			default:
				p.LBAlgorithm = how
			}
			lb.Pools = append(lb.Pools, p)
			lb.Listeners = append(lb.Listeners, listener(t, id, protocol, id))
		}
	}
	serve(t, lb)
	for i := range lb.Listeners {
		l := &lb.Listeners[i]
		t.Run(l.ID, func(t *testing.T) {
			byPort := byPort(lb.Pool(l.ID))
			port := 0
			if byPort {
				port = hold(t)
			}
			all := map[string]bool{}
			for host := range 24 {
				address := fmt.Sprintf("127.1.0.%d", host+1)
				first := spoken(t, l, dialFrom(t, l, address, port))
				all[first] = true
				for range 3 {
					if again := spoken(t, l, dialFrom(t, l, address, port)); again != first {
						t.Errorf("%s came to the member %s, then to %s", address, first, again)
					}
				}
			}
			if len(all) < 3 {
				t.Errorf("24 clients came to %d of 4 members", len(all))
			}
			if byPort {
				all := map[string]bool{}
				for range 24 {
					all[spoken(t, l, dialFrom(t, l, "127.1.0.1", 0))] = true
				}
				if len(all) < 3 {
					t.Errorf("24 ports of a client came to %d of 4 members", len(all))
				}
			}
		})
	}
}
