package parity

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Headers between clients and members. They pass both proxies like any other.
const (
	// headerID tells one request of one client from all others.
	headerID = "X-Parity"
	// headerAnswer asks the member for one of its odd answers.
	headerAnswer = "X-Answer"
	// headerMember names the member that answers.
	headerMember = "X-Member"
)

// Ports of members. Listeners have others: the members' sockets listen on all addresses.
const (
	firstMemberPort = 9001
	memberPorts     = 2
	// greetingPort is that of members that speak first, as those of many protocols do that are no HTTP.
	greetingPort = 9003
	// Ports of members that speak TLS: with a good certificate, a revoked one, and one of other authorities.
	tlsPort     = 9004
	revokedPort = 9005
	foreignPort = 9006
	lastPort    = foreignPort
	deadPort    = 9009 // nobody is there
)

// memberPatience is how long a member waits for the next request. Above what either proxy keeps an idle connection for,
// it never closes one that a proxy may be about to use.
const memberPatience = 5 * time.Minute

// seen is a request as it reached a member.
type seen struct {
	Member netip.AddrPort
	// Proxy is the PROXY header before it; "" without one.
	Proxy string
	// TLS says how it came encrypted; "" when it did not.
	TLS     string
	Request *message
}

// recorder keeps what the members saw, by the id of the request.
type recorder struct {
	certificates *certificates

	mutex sync.Mutex
	all   map[string][]seen
	// strays are requests that no client sent: the end of a body, or an answer to nobody.
	strays []seen
}

func (r *recorder) add(id string, s seen) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.all[id] = append(r.all[id], s)
	if id == smuggled {
		r.strays = append(r.strays, s)
	}
}

// smuggled is the id of a request within a body, which no member may take for a request of its own.
const smuggled = "smuggled"

// take returns and forgets what was seen of a request.
func (r *recorder) take(id string) []seen {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	s := r.all[id]
	delete(r.all, id)
	return s
}

// startMembers serves on all addresses. What they speak follows the first bytes: HTTP, or records that look like TLS,
// either behind a PROXY header or not.
func startMembers(t *testing.T, c *certificates) *recorder {
	t.Helper()
	r := &recorder{certificates: c, all: map[string][]seen{}}
	t.Cleanup(func() {
		for _, s := range r.strays {
			t.Errorf("member %s took the body of a request for a request:\n%s", s.Member, s.Request)
		}
	})
	for port := firstMemberPort; port <= lastPort; port++ {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort("::", strconv.Itoa(port)))
		must(t, err)
		t.Cleanup(func() { _ = listener.Close() })
		go func() {
			for {
				connection, err := listener.Accept()
				if err != nil {
					return
				}
				go r.serve(connection.(*net.TCPConn))
			}
		}()
	}
	return r
}

func (r *recorder) serve(connection stream) {
	defer func() { _ = connection.Close() }()
	_ = connection.SetDeadline(time.Now().Add(memberPatience))
	local := netip.MustParseAddrPort(connection.LocalAddr().String())
	local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	if local.Port() == greetingPort {
		if _, err := connection.Write(record(local.String() + " greeting")); err != nil {
			return
		}
	}
	reader := bufio.NewReaderSize(connection, 64<<10)
	proxy, err := readProxy(reader)
	if err != nil {
		return
	}
	this := seen{Member: local, Proxy: proxy}
	if port := int(local.Port()); port >= tlsPort {
		encrypted, how, err := r.serverTLS(port, &buffered{connection, reader})
		if err != nil {
			return
		}
		connection, this.TLS = encrypted, how
		reader = bufio.NewReaderSize(connection, 64<<10)
	}
	first, err := reader.Peek(1)
	if err != nil {
		return
	}
	if first[0] == recordType {
		r.serveRecords(connection, reader, this)
		return
	}
	for r.serveRequest(connection, reader, this) {
		_ = connection.SetDeadline(time.Now().Add(memberPatience))
	}
	// In this order, so that bytes that are still unread do not make it a reset.
	_ = connection.CloseWrite()
	_ = connection.SetDeadline(time.Now().Add(time.Second))
	_, _ = io.Copy(io.Discard, reader)
}

// serveRequest answers one request, and reports whether the connection goes on.
func (r *recorder) serveRequest(connection net.Conn, reader *bufio.Reader, this seen) bool {
	request, err := readHead(reader)
	if err != nil {
		return false
	}
	id := request.value(headerID)
	request = request.without(headerID)
	this.Request = request
	method, _, _ := strings.Cut(request.First, " ")
	// As any server does, it says so when it closes. A proxy that does not hear of it could use the connection again.
	closes := !request.persists()
	answer := answerOf(request, this.Member.String(), method, closes)
	if strings.EqualFold(request.value("expect"), "100-continue") && !answer.early {
		_, _ = io.WriteString(connection, "HTTP/1.1 100 Continue\r\n\r\n")
	}
	if !answer.early {
		err = request.readBody(reader, false)
	}
	r.add(id, this) // and with that the request is the comparison's
	if err != nil {
		return false
	}
	for i, part := range answer.parts {
		switch {
		case answer.slow:
			time.Sleep(100 * time.Millisecond)
		case i > 0:
			time.Sleep(time.Millisecond) // in segments of their own, most of the time: it decides nothing
		}
		if _, err := connection.Write(part); err != nil {
			return false
		}
	}
	switch {
	case answer.hang:
		_, _ = io.Copy(io.Discard, reader)
		return false
	case answer.tunnel:
		_, _ = io.Copy(connection, reader)
		return false
	}
	return !closes && !answer.close
}

// serveRecords answers every record with its content and the member's name. The id of the request is its first word.
func (r *recorder) serveRecords(connection net.Conn, reader *bufio.Reader, this seen) {
	for {
		content, err := readRecord(reader)
		if err != nil {
			return
		}
		id, rest, _ := strings.Cut(content, " ")
		this.Request = &message{First: "record", Framing: framingLength, Body: []byte(rest)}
		r.add(id, this)
		if rest == silence {
			continue
		}
		if _, err := fmt.Fprintf(connection, "%s", record(this.Member.String()+" "+rest)); err != nil {
			return
		}
	}
}

// silence is a record that gets no answer.
const silence = "silence"
