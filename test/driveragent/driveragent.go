// Package driveragent speaks like the sockets of Octavia's driver-agent, for tests that have no Octavia: one request a
// connection, either way framed as its length in decimal digits, a line feed, and so many bytes of JSON.
// Source: octavia/api/drivers/driver_agent/driver_listener.py.
package driveragent

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Server is one socket.
type Server struct {
	mu     sync.Mutex
	broken int
}

// Serve serves a unix socket until the end of the test. answer gets a request and returns the answer; nil closes the
// connection without one, as the real one does when it fails. It is called concurrently, as the real one forks.
//
// A connection that ends before a whole request fails the test: in the real one it leaves a process that spins for ever.
func Serve(tb testing.TB, socket string, answer func(request []byte) []byte) *Server {
	tb.Helper()
	listener, err := net.Listen("unix", socket)
	if err != nil {
		tb.Fatal(err)
	}
	s := &Server{}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { s.serve(connection, answer) })
		}
	})
	tb.Cleanup(func() {
		_ = listener.Close()
		running.Wait()
		if n := s.Broken(); n > 0 {
			tb.Errorf("%d connections to %s ended before a whole request: each would leave a process of the driver-agent spinning", n, socket)
		}
	})
	return s
}

// Broken counts the connections that ended before a whole request.
func (s *Server) Broken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

// Forgive forgets them: of a controller that was killed.
func (s *Server) Forgive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = 0
}

func (s *Server) serve(connection net.Conn, answer func([]byte) []byte) {
	defer connection.Close()
	request, err := read(connection)
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.broken++
		return
	}
	if text := answer(request); text != nil {
		_, _ = connection.Write(Frame(text))
	}
}

func read(from io.Reader) ([]byte, error) {
	reader := bufio.NewReader(from)
	line, err := reader.ReadString('\n')
	if err != nil {
		return nil, err
	}
	size, err := strconv.Atoi(strings.TrimSuffix(line, "\n"))
	if err != nil {
		return nil, err
	}
	request := make([]byte, size)
	_, err = io.ReadFull(reader, request)
	return request, err
}

// Frame puts the length before a message.
func Frame(message []byte) []byte { return append(fmt.Appendf(nil, "%d\n", len(message)), message...) }
