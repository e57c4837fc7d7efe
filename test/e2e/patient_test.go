package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// checkPath is what monitors ask patients for; only that lies.
const checkPath = "/health"

// patientPort is the one of all patients: each has an address.
const patientPort = 8000

// ward is a host of the lab's network that one test has for itself, with an address for each of its patients.
type ward struct {
	c         *cloud
	namespace string
	addresses []string
}

// ward makes one with count addresses that nobody else has; the test's end removes it.
func (c *cloud) ward(t *testing.T, first, count int) *ward {
	t.Helper()
	w := &ward{c: c, namespace: fmt.Sprintf("oet%x", time.Now().UnixNano()&0xffffffff)}
	c.run(t, "ip", "netns", "add", w.namespace)
	// Its interfaces go with it, when the last socket has.
	t.Cleanup(func() {
		c.run(t, "ip", "link", "delete", w.namespace)
		c.run(t, "ip", "netns", "delete", w.namespace)
	})
	c.run(t, "ip", "link", "add", w.namespace, "type", "veth", "peer", "name", "eth0", "netns", w.namespace)
	c.run(t, "ip", "link", "set", w.namespace, "master", c.env["OE_BRIDGE"], "up")
	for i := range count {
		address := fmt.Sprintf("203.0.113.%d", first+i)
		w.addresses = append(w.addresses, address)
		c.run(t, "ip", "-netns", w.namespace, "address", "add", address+"/24", "dev", "eth0")
	}
	c.run(t, "ip", "-netns", w.namespace, "link", "set", "eth0", "up")
	// One that is closed says so as often as it is asked: else a kernel says so once a second, to checks and clients together.
	c.run(t, "ip", "netns", "exec", w.namespace, "sysctl", "-q", "-w", "net.ipv4.icmp_ratelimit=0")
	return w
}

// drop has the host's kernel drop packets: each rule is what nft matches.
func (w *ward) drop(t *testing.T, rules ...string) {
	t.Helper()
	text := "table ip ward { chain input { type filter hook input priority 0; " + strings.Join(rules, " drop; ") + " drop; }; }"
	w.c.run(t, "ip", "netns", "exec", w.namespace, "nft", text)
}

func (w *ward) dropNothing(t *testing.T) {
	t.Helper()
	w.c.run(t, "ip", "netns", "exec", w.namespace, "nft", "delete table ip ward")
}

// How a patient is. One that is dead has a closed port, one that is mute accepts connections and says nothing, one that is a
// liar serves clients well and checks with what is wrong.
const (
	well int32 = iota
	dead
	mute
	liar
)

// patient is a member of the test's own that can be ill in several ways.
type patient struct {
	ward          *ward
	name, address string
	// speaks is "http", "tcp" or "udp"; encrypted goes with the first, plain makes a liar of that one answer without TLS.
	speaks    string
	encrypted *tls.Config
	plain     bool

	state atomic.Int32
	close func()
	mu    sync.Mutex
	held  []net.Conn
	// hits counts clients that were served, since the last reset.
	hits atomic.Int64
}

// becomes changes how it is.
func (p *patient) becomes(t *testing.T, state int32) {
	t.Helper()
	before := p.state.Swap(state)
	if state == dead && p.close != nil {
		p.close()
		p.close = nil
	}
	if before == mute {
		p.mu.Lock()
		for _, connection := range p.held {
			_ = connection.Close()
		}
		p.held = nil
		p.mu.Unlock()
	}
	if state != dead && p.close == nil {
		p.open(t)
	}
}

// admit makes a patient of a ward that is well.
func (w *ward) admit(t *testing.T, p *patient) *patient {
	t.Helper()
	p.ward = w
	p.becomes(t, well)
	t.Cleanup(func() { p.becomes(t, dead) })
	return p
}

func (p *patient) member(more ...fields) fields {
	return with(fields{"name": p.name, "address": p.address, "protocol_port": patientPort}, more...)
}

func (p *patient) open(t *testing.T) {
	t.Helper()
	place := fmt.Sprintf("%s:%d", p.address, patientPort)
	if p.speaks == "udp" {
		var socket net.PacketConn
		err := inNamespace(p.ward.namespace, func() (err error) {
			socket, err = new(net.ListenConfig).ListenPacket(context.WithoutCancel(t.Context()), "udp", place)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		p.close = func() { _ = socket.Close() }
		go p.answer(socket)
		return
	}
	var listener net.Listener
	err := inNamespace(p.ward.namespace, func() (err error) {
		listener, err = new(net.ListenConfig).Listen(context.WithoutCancel(t.Context()), "tcp", place)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	listener = &entrance{Listener: listener, of: p}
	if p.speaks == "tcp" {
		p.close = func() { _ = listener.Close() }
		go p.greet(listener)
		return
	}
	if p.encrypted != nil {
		listener = tls.NewListener(listener, p.encrypted)
	}
	server := &http.Server{ReadHeaderTimeout: patience, Handler: p, ErrorLog: log.New(io.Discard, "", 0)}
	// So that whoever asks after its death finds a closed port, and no connection that breaks.
	server.SetKeepAlivesEnabled(false)
	p.close = func() { _ = listener.Close() }
	go func() { _ = server.Serve(listener) }()
}

// ServeHTTP answers clients, and checks unless it is a liar.
func (p *patient) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server-Name", p.name)
	switch {
	case r.URL.Path != checkPath:
		p.hits.Add(1)
	case p.state.Load() == liar:
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// greet says its name to whoever connects.
func (p *patient) greet(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(connection, p.name+"\n")
		_ = connection.Close()
	}
}

// answer says its name to whoever sends something.
func (p *patient) answer(socket net.PacketConn) {
	buffer := make([]byte, 100)
	for {
		_, from, err := socket.ReadFrom(buffer)
		if err != nil {
			return
		}
		_, _ = socket.WriteTo([]byte(p.name+" "+from.String()), from)
	}
}

// entrance is where a patient's connections come in: it keeps those of one that is mute.
type entrance struct {
	net.Listener
	of *patient
}

// Accept returns the next one that is to be served.
func (e *entrance) Accept() (net.Conn, error) {
	for {
		connection, err := e.Listener.Accept()
		if err != nil {
			return nil, err
		}
		switch state := e.of.state.Load(); {
		case state == mute:
			e.of.mu.Lock()
			e.of.held = append(e.of.held, connection)
			e.of.mu.Unlock()
		case state == liar && e.of.plain:
			_, _ = io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			_ = connection.Close()
		default:
			return connection, nil
		}
	}
}
