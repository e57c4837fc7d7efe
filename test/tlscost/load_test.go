package tlscost

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

const (
	every    = 2500 * time.Microsecond // between two new connections: 400 a second
	resuming = 4                       // one connection of so many offers a session of an earlier one
	held     = 50                      // connections of each kind that are to live on
	// atOnce bounds the new connections that are under way. A machine that is too busy for that many a second has fewer, and
	// the report says how many.
	atOnce = 64
	// patience is longer than anything takes on a machine that is busy with other things.
	patience = 60 * time.Second
)

// order is what the process of the clients is told, by its environment.
type order struct {
	Address   string // of the proxy
	Authority []byte // DER
}

// report is what it tells, a line of JSON at a time.
type report struct {
	Member     string        // address of the member, in the first report alone
	Ready      bool          // the connections that are to live on are there
	Handshakes int64         // of new connections, all with an answer
	Resumed    int64         // of these
	Failed     int64         // new connections without an answer
	Dropped    int64         // connections that were to live on
	Asked      int64         // requests on these, answered
	Streamed   int64         // bytes of the answers without end
	Errors     []string      // the first few
	Took       time.Duration // of the new connections
}

// orderVariable makes the test's binary the clients of BenchmarkRotation: what they need shall not count as the controller's.
const orderVariable = "TLSCOST_ORDER"

func TestMain(m *testing.M) {
	if text := os.Getenv(orderVariable); text != "" {
		if err := load(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// clientsOf is the process of the clients, as its parent sees it.
type clientsOf struct {
	orders  io.WriteCloser
	reports *json.Decoder
	latest  atomic.Pointer[report]
	ended   chan error
}

// startClients returns when the member serves.
func startClients(tb testing.TB, o order) (clients *clientsOf, member string) {
	tb.Helper()
	text, err := json.Marshal(o)
	require.NoError(tb, err)
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), orderVariable+"="+string(text))
	c := &clientsOf{ended: make(chan error, 1)}
	c.orders, err = command.StdinPipe()
	require.NoError(tb, err)
	reports, err := command.StdoutPipe()
	require.NoError(tb, err)
	testkit.Start(tb, command)
	c.reports = json.NewDecoder(reports)
	first := &report{}
	require.NoError(tb, c.reports.Decode(first))
	c.latest.Store(first)
	return c, first.Member
}

// start has the clients begin and returns when all that is to live on is open.
func (c *clientsOf) start(tb testing.TB) {
	tb.Helper()
	_, err := io.WriteString(c.orders, "go\n")
	require.NoError(tb, err)
	go func() {
		for {
			next := &report{}
			if err := c.reports.Decode(next); err != nil {
				c.ended <- err
				return
			}
			c.latest.Store(next)
		}
	}()
	c.until(tb, func(r *report) bool { return r.Ready })
}

// until waits for a report.
func (c *clientsOf) until(tb testing.TB, ok func(*report) bool) *report {
	tb.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if latest := c.latest.Load(); ok(latest) {
			return latest
		}
		require.Less(tb, time.Now(), deadline, "the clients last said %+v", c.latest.Load())
	}
}

// stop ends the clients and returns their last report.
func (c *clientsOf) stop(tb testing.TB) *report {
	tb.Helper()
	require.NoError(tb, c.orders.Close())
	require.ErrorIs(tb, <-c.ended, io.EOF)
	return c.latest.Load()
}

// crowd are the clients in their own process.
type crowd struct {
	address string
	config  *tls.Config // each handshake is a full one
	resume  *tls.Config

	report
	guard      sync.Mutex // of Errors
	handshakes atomic.Int64
	resumed    atomic.Int64
	failed     atomic.Int64
	dropped    atomic.Int64
	asked      atomic.Int64
	streamed   atomic.Int64
}

// load is the main function of that process: it begins by a line on its input, and ends with its input.
func load(text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	authority, err := x509.ParseCertificate(o.Authority)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	c := &crowd{address: o.Address, config: &tls.Config{RootCAs: roots, ServerName: "x.example"}}
	c.resume = c.config.Clone()
	c.resume.ClientSessionCache = tls.NewLRUClientSessionCache(1)

	member, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(context.Background())
	defer end()
	server := &http.Server{Handler: http.HandlerFunc(answer), BaseContext: func(net.Listener) context.Context { return ctx }}
	go func() { _ = server.Serve(member) }()
	defer server.Close()
	reports := json.NewEncoder(os.Stdout)
	if err := reports.Encode(report{Member: member.Addr().String()}); err != nil {
		return err
	}
	orders := bufio.NewReader(os.Stdin)
	if _, err := orders.ReadString('\n'); err != nil {
		return err
	}
	stopped := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, orders)
		close(stopped)
	}()
	return c.run(stopped, func() error { return reports.Encode(c.now()) })
}

// answer is the member: a page, or one without end.
func answer(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/endless" {
		_, _ = io.WriteString(w, "ok")
		return
	}
	for ticks := time.NewTicker(100 * time.Millisecond); ; {
		if _, err := io.WriteString(w, "."); err != nil || http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-ticks.C:
		case <-r.Context().Done():
			return
		}
	}
}

func (c *crowd) now() report {
	c.guard.Lock()
	defer c.guard.Unlock()
	now := c.report
	now.Handshakes, now.Resumed, now.Failed = c.handshakes.Load(), c.resumed.Load(), c.failed.Load()
	now.Dropped, now.Asked, now.Streamed = c.dropped.Load(), c.asked.Load(), c.streamed.Load()
	return now
}

func (c *crowd) problem(counter *atomic.Int64, what string, err error) {
	counter.Add(1)
	c.guard.Lock()
	defer c.guard.Unlock()
	if len(c.Errors) < 10 {
		c.Errors = append(c.Errors, what+": "+err.Error())
	}
}

func (c *crowd) run(stopped <-chan struct{}, tell func() error) error {
	var idle, streams []*tls.Conn
	for range held {
		for _, kind := range []struct {
			path string
			of   *[]*tls.Conn
		}{{"/", &idle}, {"/endless", &streams}} {
			connection, err := c.connect(c.config)
			if err == nil {
				err = c.ask(connection, kind.path)
			}
			if err != nil {
				return fmt.Errorf("one that is to live on: %w", err)
			}
			defer connection.Close()
			*kind.of = append(*kind.of, connection)
		}
	}
	c.Ready = true
	var group sync.WaitGroup
	defer group.Wait()
	for _, stream := range streams {
		group.Go(func() { c.read(stream, stopped) })
	}
	group.Go(func() { c.askAround(idle, stopped) })

	began, turns := time.Now(), make(chan struct{}, atOnce)
	for next, i := began, 0; ; i++ {
		select {
		case <-stopped:
			group.Wait()
			c.Took = time.Since(began)
			return tell()
		case <-time.After(time.Until(next)):
			next = next.Add(every)
		}
		turns <- struct{}{}
		if late := time.Now().Add(-time.Second); next.Before(late) {
			next = late // what could not be in time is not made up for
		}
		if i%20 == 0 {
			if err := tell(); err != nil {
				return err
			}
		}
		config := c.config
		if i%resuming == 0 {
			config = c.resume
		}
		group.Go(func() {
			c.visit(config)
			<-turns
		})
	}
}

func (c *crowd) connect(config *tls.Config) (*tls.Conn, error) {
	plain, err := net.DialTimeout("tcp", c.address, patience)
	if err != nil {
		return nil, err
	}
	return tls.Client(plain, config), plain.SetDeadline(time.Now().Add(patience))
}

// visit is a new connection with one request.
func (c *crowd) visit(config *tls.Config) {
	connection, err := c.connect(config)
	if err != nil {
		c.problem(&c.failed, "connect", err)
		return
	}
	defer connection.Close()
	began := time.Now()
	if err := connection.Handshake(); err != nil {
		c.problem(&c.failed, fmt.Sprintf("handshake, after %s", time.Since(began)), err)
		return
	}
	if err := c.ask(connection, "/"); err != nil {
		c.problem(&c.failed, fmt.Sprintf("first request, %s after the connect", time.Since(began)), err)
		return
	}
	c.handshakes.Add(1)
	if connection.ConnectionState().DidResume {
		c.resumed.Add(1)
	}
}

func (c *crowd) ask(connection *tls.Conn, path string) error {
	if err := connection.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: x.example\r\n\r\n", path); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, err := connection.Read(answer)
	if err != nil {
		return err
	}
	if got := string(answer[:n]); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		return fmt.Errorf("answered %.60q", got)
	}
	return nil
}

// askAround asks on connections in turn, each several times in its listener's timeout.
func (c *crowd) askAround(connections []*tls.Conn, stopped <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-stopped:
			for _, connection := range connections { // all of them are there at the end
				if err := c.ask(connection, "/"); err != nil {
					c.problem(&c.dropped, "last request of a connection", err)
				}
			}
			return
		case <-time.After(10 * time.Millisecond):
		}
		if err := c.ask(connections[i%len(connections)], "/"); err != nil {
			c.problem(&c.dropped, "request of an open connection", err)
			continue
		}
		c.asked.Add(1)
	}
}

// read reads an answer without end.
func (c *crowd) read(stream *tls.Conn, stopped <-chan struct{}) {
	go func() {
		<-stopped
		_ = stream.Close()
	}()
	buffer := make([]byte, 4096)
	for {
		n, err := stream.Read(buffer)
		c.streamed.Add(int64(n))
		if err == nil {
			err = stream.SetReadDeadline(time.Now().Add(patience))
		}
		if err == nil {
			continue
		}
		select {
		case <-stopped: // it was us
		default:
			c.problem(&c.dropped, "answer without end", err)
		}
		return
	}
}
