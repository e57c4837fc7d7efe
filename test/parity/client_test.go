package parity

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// request is what a client writes, to the byte.
type request struct {
	Method, Target, Version string
	Headers                 []header
	Body                    []byte
	// Chunked sends the body in chunks instead of with its length.
	Chunked bool
	// Raw replaces everything else: the bytes of a client that speaks bad HTTP. {id} is the id.
	Raw string
}

// exchange is what one client does on one connection.
type exchange struct {
	// Listener is the index of the listener that is asked.
	Listener int
	// Client is the number of the client's address.
	Client   int
	Requests []request
	// Pipelined sends all requests before it reads.
	Pipelined bool
	// Browser sends the cookies back that it got before.
	Browser bool
	// Records are sent instead of requests: a protocol that is no HTTP.
	Records []string
}

// outcome is what came of an exchange.
type outcome struct {
	// Connect is how the connection failed; "" when it did not.
	Connect string
	Steps   []step
}

// step is what came of one request.
type step struct {
	Interim  []*message
	Response *message
	// End is why there is no whole response: closed, reset, timeout or malformed.
	End string
	// Seen are the requests that reached members. More than one is a retry.
	Seen []seen
}

// patience is how long a client waits for an answer. It bounds what a hang costs, and decides nothing else.
const patience = 10 * time.Second

// sender sends exchanges to one proxy.
type sender struct {
	vip  netip.Addr
	seen *recorder
	// prefix and last make ids.
	prefix string
	last   atomic.Int64
}

func (s *sender) id() string { return s.prefix + strconv.FormatInt(s.last.Add(1), 10) }

// run does what the exchange says and returns what came of it, with nothing in it that tells the proxies apart.
func (s *sender) run(ctx context.Context, x *exchange, port int) *outcome {
	dialer := net.Dialer{
		Timeout:   patience,
		LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(client(x.Client, s.vip.Is6()), 0)),
	}
	connection, err := dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(s.vip, uint16(port)).String())
	if err != nil {
		return &outcome{Connect: ending(err)}
	}
	defer func() { _ = connection.Close() }()
	result := &outcome{}
	if x.Records != nil {
		s.records(connection, x, result)
	} else {
		s.requests(connection, x, result)
	}
	s.anonymise(result)
	return result
}

func (s *sender) records(connection net.Conn, x *exchange, result *outcome) {
	reader := bufio.NewReader(connection)
	for _, content := range x.Records {
		_ = connection.SetDeadline(time.Now().Add(patience))
		id := s.id()
		_, _ = connection.Write(record(id + " " + content))
		answer, err := readRecord(reader)
		this := step{Seen: s.seen.take(id)}
		if err != nil {
			this.End = ending(err)
		} else {
			member, rest, _ := strings.Cut(answer, " ")
			this.Response = &message{First: "record", Headers: []header{{headerMember, member}}, Framing: framingLength, Body: []byte(rest)}
		}
		result.Steps = append(result.Steps, this)
		if err != nil {
			return
		}
	}
}

func (s *sender) requests(connection net.Conn, x *exchange, result *outcome) {
	reader := bufio.NewReaderSize(connection, 64<<10)
	jar := map[string]string{}
	ids := make([]string, len(x.Requests))
	if x.Pipelined {
		var all bytes.Buffer
		for i := range x.Requests {
			ids[i] = s.id()
			head, body := x.Requests[i].wire(ids[i], nil)
			all.Write(head)
			all.Write(body)
		}
		_ = connection.SetDeadline(time.Now().Add(patience))
		go func() { _, _ = connection.Write(all.Bytes()) }()
	}
	for i := range x.Requests {
		_ = connection.SetDeadline(time.Now().Add(patience))
		this := step{}
		asked := &x.Requests[i]
		var later []byte
		if !x.Pipelined {
			ids[i] = s.id()
			var cookies map[string]string
			if x.Browser {
				cookies = jar
			}
			head, body := asked.wire(ids[i], cookies)
			if asked.expects() {
				later = body
			} else {
				head = append(head, body...)
			}
			if len(head) > 32<<10 {
				go func() { _, _ = connection.Write(head) }() // the answer may come before all is read
			} else {
				_, _ = connection.Write(head)
			}
		}
		err := this.read(reader, connection, asked.Method, later)
		if err != nil {
			this.End = ending(err)
		}
		this.Seen = s.seen.take(ids[i])
		result.Steps = append(result.Steps, this)
		if err != nil || this.Response.announcesClose() {
			return // a client that sends more here loses it
		}
		keep(jar, this.Response)
	}
}

// read reads the answer to one request, and writes the body when it is asked for.
func (s *step) read(reader *bufio.Reader, connection net.Conn, method string, later []byte) error {
	for {
		response, err := readHead(reader)
		if err != nil {
			return err
		}
		if !strings.HasPrefix(response.First, "HTTP/") {
			return fmt.Errorf("%w: status line %q", errMalformed, response.First)
		}
		status := response.status()
		if status >= 100 && status < 200 && status != 101 {
			s.Interim = append(s.Interim, response)
			if status == 100 && later != nil {
				_, _ = connection.Write(later)
				later = nil
			}
			continue
		}
		s.Response = response
		if method == "HEAD" || status == 204 || status == 304 {
			return nil
		}
		return response.readBody(reader, true)
	}
}

// ending names the end of a connection without the addresses in Go's errors.
func ending(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, errMalformed):
		return err.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	}
	return err.Error()
}

// expects reports whether the client waits for 100 before it sends the body.
func (r *request) expects() bool {
	for _, h := range r.Headers {
		if strings.EqualFold(h.Name, "expect") {
			return true
		}
	}
	return false
}

// wire returns the bytes of a request.
func (r *request) wire(id string, cookies map[string]string) (head, body []byte) {
	if r.Raw != "" {
		return []byte(strings.ReplaceAll(r.Raw, "{id}", id)), nil
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s %s\r\n", r.Method, r.Target, r.Version)
	for _, h := range r.Headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h.Name, h.Value)
	}
	for _, name := range slices.Sorted(maps.Keys(cookies)) {
		fmt.Fprintf(&b, "Cookie: %s=%s\r\n", name, cookies[name])
	}
	fmt.Fprintf(&b, "%s: %s\r\n", headerID, id)
	switch {
	case r.Chunked:
		fmt.Fprint(&b, "Transfer-Encoding: chunked\r\n\r\n")
		half := len(r.Body) / 2
		for _, part := range [][]byte{r.Body[:half], r.Body[half:]} {
			if len(part) > 0 {
				body = append(append(fmt.Appendf(body, "%x\r\n", len(part)), part...), "\r\n"...)
			}
		}
		return b.Bytes(), append(body, "0\r\n\r\n"...)
	case r.Body != nil:
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(r.Body))
	}
	fmt.Fprint(&b, "\r\n")
	return b.Bytes(), r.Body
}

// keep puts the cookies of an answer into the jar.
func keep(jar map[string]string, response *message) {
	for _, line := range response.values("set-cookie") {
		pair, _, _ := strings.Cut(line, ";")
		if name, value, found := strings.Cut(pair, "="); found {
			jar[name] = value
		}
	}
}

var session = regexp.MustCompile(`(session-of-|\bSRV=)[^;]+`)

// anonymise replaces the proxy's own address, and the member in a session that it has begun.
func (s *sender) anonymise(result *outcome) {
	own := s.vip.String()
	all := func(m *message) {
		if m == nil {
			return
		}
		for i := range m.Headers {
			m.Headers[i].Value = session.ReplaceAllString(strings.ReplaceAll(m.Headers[i].Value, own, "VIP"), "${1}MEMBER")
		}
	}
	for i := range result.Steps {
		this := &result.Steps[i]
		all(this.Response)
		for j := range this.Seen {
			all(this.Seen[j].Request)
			this.Seen[j].Proxy = strings.ReplaceAll(this.Seen[j].Proxy, own, "VIP")
		}
	}
}
