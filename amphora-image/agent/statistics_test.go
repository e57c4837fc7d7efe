package agent_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	octavia "github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// echoUDP answers each datagram with itself and a byte more.
func echoUDP(t *testing.T, id string) octavia.Member {
	t.Helper()
	echo, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = echo.Close() })
	go func() {
		buffer := make([]byte, 2000)
		for {
			size, from, err := echo.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = echo.WriteTo(append(buffer[:size:size], '!'), from)
		}
	}()
	port := echo.LocalAddr().(*net.UDPAddr).Port
	return octavia.Member{ID: id, Address: "127.0.0.1", ProtocolPort: port, Weight: 1, AdminStateUp: true}
}

// site is a load balancer with a listener of each kind that needs no certificate.
func site(t *testing.T, handler http.HandlerFunc) *octavia.LoadBalancer {
	t.Helper()
	web := member(t, "m1", handler)
	lb := &octavia.LoadBalancer{
		Pools: []octavia.Pool{
			{ID: "blue", Protocol: "HTTP", Members: []octavia.Member{web}},
			{ID: "raw", Protocol: "TCP", Members: []octavia.Member{web}},
			{ID: "names", Protocol: "UDP", Members: []octavia.Member{echoUDP(t, "m3")}},
		},
		Listeners: []octavia.Listener{
			{ID: "web", Protocol: "HTTP", DefaultPoolID: "blue"},
			{ID: "db", Protocol: "TCP", DefaultPoolID: "raw"},
			{ID: "dns", Protocol: "UDP", DefaultPoolID: "names"},
		},
	}
	for i := range lb.Pools {
		lb.Pools[i].LBAlgorithm, lb.Pools[i].AdminStateUp = octavia.AlgorithmRoundRobin, true
	}
	for i := range lb.Listeners {
		l := &lb.Listeners[i]
		l.AdminStateUp, l.ProtocolPort, l.ConnectionLimit = true, freePort(t), octavia.UnlimitedConnections
	}
	return lb
}

// traffic adds up what a client sent and received.
type traffic struct{ connections, in, out uint64 }

const closing = " HTTP/1.1\r\nHost: x.example\r\nConnection: close\r\n\r\n"

func (c *traffic) ask(t *testing.T, l *octavia.Listener, text string) {
	t.Helper()
	sent, received := exchange(t, l, text)
	c.connections++
	c.in += uint64(sent)
	c.out += uint64(len(received))
}

func (c *traffic) datagram(t *testing.T, l *octavia.Listener, text string) {
	t.Helper()
	client, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", l.ProtocolPort))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_ = client.SetDeadline(time.Now().Add(testkit.Patience))
	if _, err := io.WriteString(client, text); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 2000)
	size, err := client.Read(answer)
	if err != nil {
		t.Fatal(err)
	}
	c.connections++
	c.in += uint64(len(text))
	c.out += uint64(size)
}

func (m *machine) matches(listener string, c traffic) {
	m.t.Helper()
	m.counted(listener, c.connections, c.in, c.out)
}

// listening waits until Envoy has so many listeners.
func (m *machine) listening(listeners uint64) {
	m.t.Helper()
	testkit.Eventually(m.t, func() error {
		status, err := m.Fleet.Probe(m.t.Context(), m.config.AmphoraID)
		if err == nil && (status.GetActiveListeners() != listeners || status.GetWarmingListeners() > 0) {
			err = fmt.Errorf("Envoy has %d listeners, want %d", status.GetActiveListeners(), listeners)
		}
		return err
	})
}

// TestStatisticsAreExact: over an Envoy that is killed, an agent that is killed, a listener that goes and comes back, and a
// controller that was away.
func TestStatisticsAreExact(t *testing.T) {
	m := newMachine(t, 0)
	command := m.start()
	m.waitFor("a running Envoy", running)
	lb := site(t, func(w http.ResponseWriter, request *http.Request) {
		if request.URL.Path == "/missing" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, strings.Repeat("x", 5000))
	})
	web, db, dns := &lb.Listeners[0], &lb.Listeners[1], &lb.Listeners[2]
	m.publish(lb)
	m.listening(3)
	ofWeb, ofDB, ofDNS := traffic{}, traffic{}, traffic{}
	for range 7 {
		ofWeb.ask(t, web, "GET /"+closing)
		ofWeb.ask(t, web, "GET /missing"+closing)
		ofDB.ask(t, db, "GET /"+closing)
		ofDNS.datagram(t, dns, "hello")
	}
	m.matches("web", ofWeb)
	m.matches("db", ofDB)
	m.matches("dns", ofDNS)
	got := m.said.total("web")
	if got.GetResponses_2Xx() != 7 || got.GetResponses_4Xx() != 7 || got.GetRequestErrors() != 0 {
		t.Errorf("counted %v", got)
	}
	testkit.Eventually(t, func() error {
		times := m.said.total("web").GetRequestTime()
		if len(times) < 10 || times[len(times)-1].GetCount() != 14 {
			return fmt.Errorf("times of requests are %v", times)
		}
		return nil
	})

	// Another agent takes over the same Envoy, whose counters go on.
	_ = command.Process.Kill()
	_ = command.Wait()
	ofWeb.ask(t, web, "GET /"+closing)
	command = m.start()
	m.matches("web", ofWeb)
	if len(m.said.epochs) != 1 {
		t.Errorf("epochs: %q", m.said.epochs)
	}

	// A listener goes, with an Envoy that forgets it, and comes back.
	all := lb.Listeners
	lb.Listeners = all[1:]
	m.publish(lb)
	m.listening(2)
	m.matches("web", ofWeb)
	lb.Listeners = all
	m.publish(lb)
	m.listening(3)
	ofWeb.ask(t, web, "GET /"+closing)
	m.matches("web", ofWeb)

	// Envoy is killed: what was read is said, and the next one adds to it.
	m.Stop()
	ofDB.ask(t, db, "GET /"+closing)
	time.Sleep(2500 * time.Millisecond) // the agent reads once a second, and nobody hears it
	if err := m.envoyProcess().Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	m.Start()
	m.published = map[string][]string{}
	m.publish(lb)
	m.waitFor("another Envoy", running)
	testkit.Eventually(t, func() error {
		if !m.said.ended(0) {
			return errors.New("no last word of the first Envoy")
		}
		return nil
	})
	m.listening(3)
	ofWeb.ask(t, web, "GET /"+closing)
	ofDB.ask(t, db, "GET /"+closing)
	ofDNS.datagram(t, dns, "again")
	m.matches("web", ofWeb)
	m.matches("db", ofDB)
	m.matches("dns", ofDNS)

	// A clean end says the last second, too.
	ofDB.ask(t, db, "GET /"+closing)
	if err := command.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Errorf("the agent ended with %v", err)
	}
	if !m.said.ended(1) {
		t.Error("no last word at the end")
	}
	m.matches("db", ofDB)
}

// dial opens a connection.
func dial(t *testing.T, l *octavia.Listener) net.Conn {
	t.Helper()
	connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", l.ProtocolPort))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

// TestDrainingConnectionsCount: what goes through the connections of a listener that has been removed still counts, and is
// added to what the listener counts when it is back.
func TestDrainingConnectionsCount(t *testing.T) {
	m := newMachine(t, 0)
	m.start()
	m.waitFor("a running Envoy", running)
	lb := site(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	all, db := lb.Listeners, &lb.Listeners[1]
	m.publish(lb)
	m.listening(3)
	connection := dial(t, db)
	reader := bufio.NewReader(connection)
	var ofDB traffic
	ofDB.connections = 1
	talk := func(text string) {
		t.Helper()
		if _, err := io.WriteString(connection, text); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		dumped, err := httputil.DumpResponse(response, true)
		_ = response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		ofDB.in += uint64(len(text))
		ofDB.out += uint64(len(dumped))
	}
	const request = "GET / HTTP/1.1\r\nHost: x.example\r\n\r\n"
	talk(request)
	m.matches("db", ofDB)
	lb.Listeners = all[:1]
	m.publish(lb)
	m.listening(1)
	talk(request)
	m.matches("db", ofDB)
	if active := m.said.total("db").GetActiveConnections(); active != 1 {
		t.Errorf("%d connections drain", active)
	}

	lb.Listeners = all
	m.publish(lb)
	m.listening(3)
	ofDB.ask(t, db, "GET /"+closing)
	talk(request)
	m.matches("db", ofDB)
	_ = connection.Close()
	testkit.Eventually(t, func() error {
		if active := m.said.total("db").GetActiveConnections(); active != 0 {
			return fmt.Errorf("%d connections", active)
		}
		return nil
	})
	ofDB.ask(t, db, "GET /"+closing)
	m.matches("db", ofDB)
}
