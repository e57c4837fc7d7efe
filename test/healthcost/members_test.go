package healthcost

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

const clientPort, checkPort = 8000, 8001

// checked is where a member's checks go. By HTTP a bad one answers 503, else it has no open port.
type checked struct {
	tb          testing.TB
	kind, place string
	good        atomic.Bool
	count       atomic.Int64
	listener    net.Listener
}

// newChecked makes a good one; the end of the test closes it.
func newChecked(tb testing.TB, kind, place string) *checked {
	tb.Helper()
	c := &checked{tb: tb, kind: kind, place: place}
	c.good.Store(true)
	c.open()
	tb.Cleanup(func() { _ = c.listener.Close() })
	return c
}

func (c *checked) become(good bool) {
	c.good.Store(good)
	if c.kind == model.HealthMonitorHTTP {
		return
	}
	if good {
		c.open()
	} else {
		_ = c.listener.Close()
	}
}

func (c *checked) open() {
	c.tb.Helper()
	listener, err := net.Listen("tcp", c.place)
	if err != nil { // not require: this may be another goroutine
		c.tb.Errorf("%s: %v", c.place, err)
		return
	}
	c.listener = listener
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			c.count.Add(1)
			if c.kind != model.HealthMonitorHTTP {
				_ = connection.Close()
				continue
			}
			go c.answer(connection)
		}
	}()
}

const (
	goodAnswer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
	badAnswer  = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)

func (c *checked) answer(connection net.Conn) {
	defer func() { _ = connection.Close() }()
	if _, err := http.ReadRequest(bufio.NewReader(connection)); err != nil {
		return
	}
	answer := badAnswer
	if c.good.Load() {
		answer = goodAnswer
	}
	_, _ = io.WriteString(connection, answer)
}
