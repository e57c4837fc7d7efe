package soak

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// datagrams sends numbered datagrams to a listener whose members echo, and counts exactly which answers came. Nothing is sent twice.
type datagrams struct {
	t        *testing.T
	kind     string
	stop     func()
	sessions []*session
}

// session is one socket.
type session struct {
	mu             sync.Mutex
	sent, answered uint64
	missing        map[uint64]time.Time
	twice          int
}

func startDatagrams(t *testing.T, kind, address string, sockets int, every time.Duration) *datagrams {
	t.Helper()
	d := &datagrams{t: t, kind: kind}
	done := make(chan struct{})
	var sending, hearing sync.WaitGroup
	var connections []net.Conn
	for range sockets {
		s := &session{missing: map[uint64]time.Time{}}
		d.sessions = append(d.sessions, s)
		connection, err := net.Dial("udp", address)
		must(t, err)
		connections = append(connections, connection)
		hearing.Go(func() { s.hear(connection) })
		sending.Go(func() {
			ticker := time.NewTicker(every)
			defer ticker.Stop()
			for {
				select {
				case <-done:
					return
				case <-ticker.C:
					s.send(connection)
				}
			}
		})
	}
	d.stop = sync.OnceFunc(func() { close(done); sending.Wait() })
	t.Cleanup(func() {
		d.stop()
		for _, connection := range connections {
			_ = connection.Close()
		}
		hearing.Wait()
	})
	return d
}

func (s *session) send(connection net.Conn) {
	s.mu.Lock()
	s.sent++
	number := s.sent
	s.missing[number] = time.Now()
	s.mu.Unlock()
	// A refusal is of a datagram before, and that one is missing anyway.
	if _, err := connection.Write(binary.BigEndian.AppendUint64(nil, number)); err != nil {
		_, _ = connection.Write(binary.BigEndian.AppendUint64(nil, number))
	}
}

func (s *session) hear(connection net.Conn) {
	buffer := make([]byte, 64)
	for {
		n, err := connection.Read(buffer)
		if err != nil {
			if isRefused(err) {
				continue
			}
			return
		}
		if n != 8 {
			continue
		}
		number := binary.BigEndian.Uint64(buffer)
		s.mu.Lock()
		if _, waits := s.missing[number]; waits {
			delete(s.missing, number)
			s.answered++
		} else {
			s.twice++
		}
		s.mu.Unlock()
	}
}

// counts are how many were sent, and how many of those that are older than answerIn were lost.
func (d *datagrams) counts() (sent, missing, twice int) {
	for _, s := range d.sessions {
		s.mu.Lock()
		sent, missing, twice = sent+int(s.sent), missing+len(s.missing), twice+s.twice
		s.mu.Unlock()
	}
	return sent, missing, twice
}

// lost stops and returns how many have no answer when all that are under way have come.
func (d *datagrams) lost() int {
	d.t.Helper()
	d.stop()
	last, since := -1, time.Now()
	testkit.Until(d.t, "the last answers", func() bool {
		_, missing, _ := d.counts()
		if missing != last {
			last, since = missing, time.Now()
		}
		return missing == 0 || time.Since(since) > 2*time.Second
	})
	sent, missing, twice := d.counts()
	d.t.Logf("%-32s %6d sent, %d lost, %d twice", d.kind, sent, missing, twice)
	if twice > 0 || sent == 0 {
		d.t.Errorf("%s: %d answers came twice, of %d", d.kind, twice, sent)
	}
	return missing
}

func (d *datagrams) sockets() int { return len(d.sessions) }

// when says in which minutes and seconds those that have no answer were sent, for the log of a test that failed.
func (d *datagrams) when() string {
	var text strings.Builder
	for _, s := range d.sessions {
		s.mu.Lock()
		for number, at := range s.missing {
			fmt.Fprintf(&text, " %d at %s", number, at.Format("15:04:05.000"))
		}
		s.mu.Unlock()
	}
	return text.String()
}

// isRefused is what a socket says of a datagram to a port where nobody listens.
func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
