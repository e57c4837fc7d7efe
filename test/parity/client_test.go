package parity

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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

// outcome is what came of an exchange.
type outcome struct {
	// Connect is how the connection failed; "" when it did not.
	Connect string
	// Handshakes are those of TLS, one a connection.
	Handshakes []handshake
	Steps      []step
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
const patience = 20 * time.Second

// sender sends exchanges to one proxy.
type sender struct {
	// vips are the VIP and the additional ones.
	vips []netip.Addr
	// number is the load balancer's in its batch, which is in all ids.
	number       int
	seen         *recorder
	certificates *certificates
	// prefix and last make ids.
	prefix string
	last   atomic.Int64
}

func (s *sender) id() string { return s.prefix + strconv.FormatInt(s.last.Add(1), 10) }

// run does what the exchange says and returns what came of it, with nothing in it that tells the proxies apart.
func (s *sender) run(ctx context.Context, x *exchange, port int) *outcome {
	result := &outcome{}
	c := &conversation{sender: s, exchange: x, jar: map[string]string{}, result: result}
	switch {
	case x.Records != nil:
		result.Connect = c.on(ctx, port, c.records)
	case x.Reconnect:
		for i := range x.Requests {
			ended := c.on(ctx, port, func() { c.requests(i, i+1) })
			if ended != "" {
				result.Steps = append(result.Steps, step{End: ended})
			}
		}
	default:
		result.Connect = c.on(ctx, port, func() { c.requests(0, len(x.Requests)) })
	}
	s.anonymise(result)
	return result
}

// conversation is an exchange with one proxy.
type conversation struct {
	*sender
	*exchange
	connection stream
	reader     *bufio.Reader
	// mayRefuse: the server has not said yet that it takes the client's certificate. refused: it has said that it does not.
	mayRefuse, refused bool
	// written is closed when all is that was to be written on the connection.
	written chan struct{}
	jar     map[string]string
	result  *outcome
}

// on does something on a new connection. It returns how that failed, or "".
func (c *conversation) on(ctx context.Context, port int, do func()) string {
	vip := c.vips[c.VIP]
	dialer := net.Dialer{Timeout: patience, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(client(c.Client, vip.Is6()), 0))}
	connection, err := dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(vip, uint16(port)).String())
	if err != nil {
		return ending(err)
	}
	defer func() { _ = connection.Close() }()
	c.written, c.refused = nil, false
	c.connection = connection.(*net.TCPConn)
	if failed := c.encrypt(ctx); failed != "" {
		return failed
	}
	c.reader = bufio.NewReaderSize(c.connection, 64<<10)
	do()
	if c.refused {
		return refused
	}
	return ""
}

func (c *conversation) hurry() { _ = c.connection.SetDeadline(time.Now().Add(patience)) }

// write sends bytes, all at once or a few at a time, while answers are read, and then ends the client's side when asked to.
// When it fails, what is read next says how.
func (c *conversation) write(content []byte, last bool) {
	connection, before, whole := c.connection, c.written, make(chan struct{})
	small := len(content) < 32<<10 // an answer to more may come before all is read
	c.written = whole
	go func() {
		defer close(whole)
		if before != nil {
			<-before
		}
		for c.Dribble && len(content) > 1 {
			n := min(len(content), 1+len(content)/7)
			_, _ = connection.Write(content[:n])
			content = content[n:]
			time.Sleep(time.Millisecond) // a segment of its own, most of the time: it decides nothing
		}
		_, _ = connection.Write(content)
		if last {
			_ = connection.CloseWrite()
		}
	}()
	if small {
		<-whole
	}
}

func (c *conversation) records() {
	if c.Greeted {
		c.hurry()
		c.record("greeting")
	}
	ids, wire := make([]string, len(c.Records)), make([][]byte, len(c.Records))
	for i := range c.Records {
		ids[i] = c.id()
		wire[i] = record(ids[i] + " " + c.Records[i].String())
	}
	if c.HalfClose {
		c.hurry()
		c.write(slices.Concat(wire...), true)
	}
	for i := range c.Records {
		c.hurry()
		if !c.HalfClose {
			c.write(wire[i], false)
		}
		if !c.record(ids[i]) {
			return
		}
	}
}

// record reads the answer to a record, or a greeting.
func (c *conversation) record(id string) bool {
	answer, err := readRecord(c.reader)
	this := step{Seen: c.seen.take(id)}
	if err != nil {
		this.End = ending(err)
	} else {
		member, rest, _ := strings.Cut(answer, " ")
		this.Response = &message{First: "record", Headers: []header{{headerMember, text(member)}}, Framing: framingLength, Body: []byte(rest)}
	}
	c.result.Steps = append(c.result.Steps, this)
	return err == nil
}

// requests sends those from first to last on the connection.
func (c *conversation) requests(first, last int) {
	ids := make([]string, len(c.Requests))
	wire := func(i int) (head, body []byte) {
		ids[i] = c.id()
		var cookies map[string]string
		if c.Browser {
			cookies = c.jar
		}
		head, body = c.Requests[i].wire(ids[i], cookies)
		return c.ours(head), body
	}
	if c.Pipelined {
		var all []byte
		for i := first; i < last; i++ {
			head, body := wire(i)
			all = append(append(all, head...), body...)
		}
		c.hurry()
		go func() { _, _ = c.connection.Write(all) }()
	}
	for i := first; i < last; i++ {
		c.hurry()
		this := step{}
		asked := &c.Requests[i]
		var later []byte
		if !c.Pipelined {
			head, body := wire(i)
			if asked.expects() {
				later = body
			} else {
				head = append(head, body...)
			}
			c.write(head, c.HalfClose && i == last-1)
		}
		err := c.answer(&this, asked, later)
		if err != nil {
			this.End = ending(err)
		}
		this.Seen = c.seen.take(ids[i])
		if i == first && c.wasRefused(&this) {
			c.refused = true
			return
		}
		c.result.Steps = append(c.result.Steps, this)
		if err != nil || this.Response.announcesClose() || this.Response.Framing == framingTunnel {
			return // a client that sends more here loses it
		}
		keep(c.jar, this.Response)
	}
}

// answer reads the answer to one request, and writes the body when it is asked for.
func (c *conversation) answer(s *step, asked *request, later []byte) error {
	for {
		response, err := readHead(c.reader)
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
				c.write(later, false)
				later = nil
			}
			continue
		}
		s.Response = response
		switch {
		case status == 101:
			response.Framing = framingTunnel
			tunnel := []byte(asked.Tunnel.String())
			c.write(tunnel, false)
			response.Body = make([]byte, len(tunnel))
			n, err := io.ReadFull(c.reader, response.Body)
			response.Body = response.Body[:n]
			return err
		case asked.Method == "HEAD", status == 204, status == 304:
			return nil
		}
		return response.readBody(c.reader, true)
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

var bareID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// ours makes the ids of members in cookies those of this load balancer, see at.
func (s *sender) ours(head []byte) []byte {
	if bytes.Count(head, []byte("-")) < 4 {
		return head
	}
	return bareID.ReplaceAllFunc(head, func(id []byte) []byte { return fmt.Appendf(nil, "%s%04x", id[:len(id)-4], s.number) })
}

var session = regexp.MustCompile(`(session-of-|\bSRV=)[^;]+`)

// anonymise replaces the proxy's own addresses, and the member in a session that it has begun.
func (s *sender) anonymise(result *outcome) {
	var own []string
	for i, vip := range s.vips {
		own = append(own, vip.String(), "VIP"+strconv.Itoa(i))
	}
	names := strings.NewReplacer(own...)
	all := func(m *message) {
		if m == nil {
			return
		}
		for i := range m.Headers {
			m.Headers[i].Value = text(session.ReplaceAllString(names.Replace(string(m.Headers[i].Value)), "${1}MEMBER"))
		}
	}
	for i := range result.Steps {
		this := &result.Steps[i]
		all(this.Response)
		for j := range this.Seen {
			all(this.Seen[j].Request)
			this.Seen[j].Proxy = names.Replace(this.Seen[j].Proxy)
		}
	}
}
