package translate

import (
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// datagrams is a UDP member that answers each datagram with its name; it returns its address.
func datagrams(t *testing.T, name string) string {
	t.Helper()
	socket, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", vip+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	go func() {
		buffer := make([]byte, 100)
		for {
			_, from, err := socket.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = socket.WriteTo([]byte(name), from)
		}
	}()
	return socket.LocalAddr().String()
}

// udpClient is a socket of a client, from a source address.
func udpClient(t *testing.T, l *model.Listener, source string) *net.UDPConn {
	t.Helper()
	connection, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(source)}, &net.UDPAddr{IP: net.ParseIP(vip), Port: l.ProtocolPort})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

// told sends a datagram until there is an answer: a datagram may be lost.
func told(t *testing.T, l *model.Listener, connection *net.UDPConn) string {
	t.Helper()
	buffer := make([]byte, 100)
	for deadline := time.Now().Add(testkit.Patience); time.Now().Before(deadline); {
		_, _ = connection.Write([]byte("?"))
		_ = connection.SetReadDeadline(time.Now().Add(time.Second))
		if count, err := connection.Read(buffer); err == nil {
			return string(buffer[:count])
		}
	}
	t.Fatalf("listener %s does not answer", l.ID)
	return ""
}

// TestUDP is what clients of UDP listeners see, one of them on the port of a TCP listener.
func TestUDP(t *testing.T) {
	one, two, three := datagrams(t, "one"), datagrams(t, "two"), datagrams(t, "three")
	tcp, spread := listener(t, "tcp", "TCP", "tcp"), listener(t, "spread", "UDP", "spread")
	spread.ProtocolPort = tcp.ProtocolPort
	lb := &model.LoadBalancer{
		Listeners: []model.Listener{tcp, spread},
		Pools:     []model.Pool{pool("tcp", "HTTP", named(t, "web")), pool("spread", "UDP", one, two, three)},
	}
	add := func(id string, change func(*model.Listener, *model.Pool)) {
		l, p := listener(t, id, "UDP", id), pool(id, "UDP", one, two, three)
		change(&l, &p)
		lb.Listeners, lb.Pools = append(lb.Listeners, l), append(lb.Pools, p)
	}
	add("source", func(_ *model.Listener, p *model.Pool) { p.LBAlgorithm = model.AlgorithmSourceIP })
	add("port", func(_ *model.Listener, p *model.Pool) { p.LBAlgorithm = model.AlgorithmSourceIPPort })
	add("kept", func(_ *model.Listener, p *model.Pool) {
		p.SessionPersistence = &model.SessionPersistence{Type: persistSourceIP, PersistenceTimeout: 360, PersistenceGranularity: "255.255.255.255"}
	})
	add("drains", func(_ *model.Listener, p *model.Pool) { p.Members[0].Weight, p.Members[1].AdminStateUp = 0, false })
	add("closed", func(l *model.Listener, _ *model.Pool) { l.AllowedCIDRs = []string{"127.0.0.2/32"} })
	add("short", func(l *model.Listener, p *model.Pool) {
		l.TimeoutClientData, l.TimeoutMemberData = 100, 50
		p.LBAlgorithm = model.AlgorithmRoundRobin
	})
	serve(t, lb)

	if got := spoken(t, &lb.Listeners[0], dialFrom(t, &lb.Listeners[0], vip, 0)); got != "web" {
		t.Errorf("the TCP listener answers %q", got)
	}
	for _, id := range []string{"spread", "port", "source", "kept"} {
		l := lb.Listener(id)
		if id == "spread" || id == "port" {
			all := map[string]bool{}
			for range 30 {
				client := udpClient(t, l, vip)
				first := told(t, l, client)
				all[first] = true
				if again := told(t, l, client); again != first {
					t.Errorf("listener %s: a socket came to %s, then to %s", id, first, again)
				}
			}
			if len(all) != 3 {
				t.Errorf("listener %s: 30 sockets came to %v", id, all)
			}
			continue
		}
		all := map[string]bool{}
		for host := range 24 {
			source := fmt.Sprintf("127.1.0.%d", host+1)
			first := told(t, l, udpClient(t, l, source))
			all[first] = true
			for range 2 {
				if again := told(t, l, udpClient(t, l, source)); again != first {
					t.Errorf("listener %s: %s came to %s, then to %s", id, source, first, again)
				}
			}
		}
		if len(all) != 3 {
			t.Errorf("listener %s: 24 clients came to %v", id, all)
		}
	}
	for range 6 {
		if got := told(t, lb.Listener("drains"), udpClient(t, lb.Listener("drains"), vip)); got != "three" {
			t.Errorf("listener drains: got %s", got)
		}
	}
	t.Run("allowed CIDRs", func(t *testing.T) {
		l := lb.Listener("closed")
		outside := udpClient(t, l, "127.0.0.3")
		for range 3 {
			_, _ = outside.Write([]byte("?"))
			// One loop of one worker reads them in order: after this answer it would have answered the one before.
			told(t, l, udpClient(t, l, "127.0.0.2"))
		}
		_ = outside.SetReadDeadline(time.Now())
		if count, err := outside.Read(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a client outside got %d bytes, %v", count, err)
		}
	})
	t.Run("a session ends when it is silent", func(t *testing.T) {
		l := lb.Listener("short")
		client, all := udpClient(t, l, vip), map[string]bool{}
		for deadline := time.Now().Add(testkit.Patience); len(all) < 2; {
			if time.Now().After(deadline) {
				t.Fatalf("it stays on %v", all)
			}
			all[told(t, l, client)] = true
			time.Sleep(150 * time.Millisecond) // Longer than the timeout: silence is what is tested.
		}
	})
}
