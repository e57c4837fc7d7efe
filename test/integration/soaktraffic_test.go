package integration

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// answerIn is how long a client of the soak waits for one answer.
const answerIn = 20 * time.Second

// upgrading is an HTTP member that also takes WebSockets, of which it echoes the bytes.
func upgrading(t *testing.T, name string) model.Member {
	t.Helper()
	return handled(t, name, func(w http.ResponseWriter, r *http.Request) {
		if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			fmt.Fprint(w, name)
			return
		}
		connection, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer connection.Close()
		_, _ = io.WriteString(connection, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(connection, buffered)
	})
}

// echoing is a TCP member that echoes, and a UDP one at the same port.
func echoing(t *testing.T, name string) model.Member {
	t.Helper()
	return hearing(t, name, func([]byte) {})
}

// hearing is an echoing member that tells of the datagrams it gets.
func hearing(t *testing.T, name string, hear func(datagram []byte)) model.Member {
	t.Helper()
	stream, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	packets, err := net.ListenPacket("udp", stream.Addr().String())
	must(t, err)
	var running sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]struct{}{}
	running.Go(func() {
		for {
			connection, err := stream.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[connection] = struct{}{}
			mu.Unlock()
			running.Go(func() {
				_, _ = io.Copy(connection, connection)
				_ = connection.Close()
				mu.Lock()
				delete(open, connection)
				mu.Unlock()
			})
		}
	})
	running.Go(func() {
		buffer := make([]byte, 1500)
		for {
			n, from, err := packets.ReadFrom(buffer)
			if err != nil {
				return
			}
			hear(buffer[:n])
			_, _ = packets.WriteTo(buffer[:n], from)
		}
	})
	t.Cleanup(func() {
		_, _ = stream.Close(), packets.Close()
		mu.Lock()
		for connection := range open {
			_ = connection.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return model.Member{
		ID: name, Name: name, AdminStateUp: true, Weight: 1, Address: "127.0.0.1", ProtocolPort: stream.Addr().(*net.TCPAddr).Port,
	}
}

// crowd is clients of several kinds; each exchange is counted, and each that fails with its reason.
type crowd struct {
	t       *testing.T
	ctx     context.Context
	stop    func()
	running sync.WaitGroup
	mu      sync.Mutex
	kinds   map[string]*tally
}

type tally struct {
	done, failed atomic.Int64
	first        string
}

func startCrowd(t *testing.T) *crowd {
	t.Helper()
	c := &crowd{t: t, kinds: map[string]*tally{}}
	var cancel context.CancelFunc
	c.ctx, cancel = context.WithCancel(context.Background())
	c.stop = sync.OnceFunc(func() { cancel(); c.running.Wait() })
	t.Cleanup(c.stop)
	return c
}

// join lets clients make exchanges, one after the other, until the crowd stops. open makes what the exchanges of one client
// go by; it is called again after a failure.
func (c *crowd) join(kind string, clients int, open func() (exchange func() error, end func(), err error)) {
	count := &tally{}
	c.kinds[kind] = count
	for range clients {
		c.running.Go(func() {
			for c.ctx.Err() == nil {
				exchange, end, err := open()
				for err == nil && c.ctx.Err() == nil {
					if err = exchange(); err == nil {
						count.done.Add(1)
					}
					// The crowd is to be there, not to keep the machine busy.
					time.Sleep(2 * time.Millisecond)
				}
				if end != nil {
					end()
				}
				if err != nil {
					count.failed.Add(1)
					c.mu.Lock()
					if count.first == "" {
						count.first = err.Error()
					}
					c.mu.Unlock()
				}
			}
		})
	}
}

// lossless stops the crowd, and fails the test if an exchange failed or a kind made none.
func (c *crowd) lossless() {
	c.t.Helper()
	c.stop()
	for kind, count := range c.kinds {
		c.t.Logf("%s: %d exchanges, %d failed", kind, count.done.Load(), count.failed.Load())
		if count.failed.Load() > 0 || count.done.Load() == 0 {
			c.t.Errorf("%s: %d of %d failed, the first with: %s", kind, count.failed.Load(), count.done.Load(), count.first)
		}
	}
}

// going waits until each kind has made more exchanges.
func (c *crowd) going() {
	c.t.Helper()
	for kind, count := range c.kinds {
		before := count.done.Load()
		testkit.Until(c.t, kind+" goes on", func() bool { return count.done.Load() > before+2 })
	}
}

func at(l model.Listener) string { return fmt.Sprintf("127.0.0.1:%d", l.ProtocolPort) }

// requests are HTTP requests on kept connections, over TLS with a configuration.
func requests(l model.Listener, config *tls.Config) func() (func() error, func(), error) {
	return func() (func() error, func(), error) {
		transport := &http.Transport{TLSClientConfig: config}
		client := &http.Client{Transport: transport, Timeout: answerIn}
		url := "http://" + at(l) + "/"
		if config != nil {
			url = "https://" + at(l) + "/"
		}
		return func() error {
			resp, err := client.Get(url)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				return err
			}
			if resp.StatusCode != http.StatusOK {
				return fmt.Errorf("status %d: %.100q", resp.StatusCode, body)
			}
			return nil
		}, transport.CloseIdleConnections, nil
	}
}

// handshakes are TLS connections with one request each.
func handshakes(l model.Listener, config *tls.Config) func() (func() error, func(), error) {
	return func() (func() error, func(), error) {
		return func() error { return askOnce(at(l), config) }, nil, nil
	}
}

// echoes are exchanges on one connection that stays, or with one connection each.
func echoes(network string, l model.Listener, kept bool) func() (func() error, func(), error) {
	dial := func() (net.Conn, error) { return net.DialTimeout(network, at(l), answerIn) }
	return func() (func() error, func(), error) {
		if !kept {
			return func() error {
				connection, err := dial()
				if err != nil {
					return err
				}
				defer connection.Close()
				return echo(connection, connection)
			}, nil, nil
		}
		connection, err := dial()
		if err != nil {
			return nil, nil, err
		}
		return func() error { return echo(connection, connection) }, func() { _ = connection.Close() }, nil
	}
}

// echo makes one exchange. A datagram whose answer does not come is sent again, as all that speak UDP do: the answer of a
// member that is taken away meanwhile is lost with its session.
func echo(connection net.Conn, answers io.Reader) error {
	_, datagrams := connection.(*net.UDPConn)
	patience, tries := answerIn, 1
	if datagrams {
		patience, tries = time.Second, 5
	}
	said, heard := []byte("say it again"), make([]byte, 64)
	for {
		if err := connection.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		if _, err := connection.Write(said); err != nil {
			return err
		}
		n, err := io.ReadAtLeast(answers, heard, len(said))
		if tries--; err != nil && tries > 0 {
			continue
		}
		if err == nil && string(heard[:n]) != string(said) {
			err = fmt.Errorf("heard %q", heard[:n])
		}
		return err
	}
}

// webSockets are exchanges on one WebSocket that stays.
func webSockets(l model.Listener) func() (func() error, func(), error) {
	return func() (func() error, func(), error) {
		connection, err := net.DialTimeout("tcp", at(l), answerIn)
		if err != nil {
			return nil, nil, err
		}
		end := func() { _ = connection.Close() }
		_ = connection.SetDeadline(time.Now().Add(answerIn))
		_, err = io.WriteString(connection, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		if err != nil {
			return nil, end, err
		}
		answers := bufio.NewReader(connection)
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			return nil, end, err
		}
		if resp.StatusCode != http.StatusSwitchingProtocols {
			return nil, end, fmt.Errorf("status %d", resp.StatusCode)
		}
		return func() error { return echo(connection, answers) }, end, nil
	}
}
