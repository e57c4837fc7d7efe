package soak

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// deliveries are the numbers of all datagrams that were sent and that no member has got yet.
type deliveries struct {
	mu       sync.Mutex
	last     uint64
	underway map[uint64]struct{}
}

// next is the number of another datagram.
func (d *deliveries) next() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last++
	d.underway[d.last] = struct{}{}
	return d.last
}

// arrived is told by members of what they get: numbers, and health checks.
func (d *deliveries) arrived(datagram []byte) {
	if len(datagram) != 8 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.underway, binary.BigEndian.Uint64(datagram))
}

// made says whether a member got a datagram.
func (d *deliveries) made(number uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, underway := d.underway[number]
	return !underway
}

// datagrams sends numbered datagrams to a listener whose members echo, and knows exactly which a member got, and which answers came.
// Nothing is sent twice.
type datagrams struct {
	t          *testing.T
	kind       string
	stop       func()
	deliveries *deliveries
	sessions   []*session
}

// session is one socket.
type session struct {
	mu             sync.Mutex
	sent, answered uint64
	missing        map[uint64]time.Time
	twice          int
}

func startDatagrams(t *testing.T, kind, address string, sockets int, every time.Duration, deliveries *deliveries) *datagrams {
	t.Helper()
	d := &datagrams{t: t, kind: kind, deliveries: deliveries}
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
					s.send(connection, deliveries.next())
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

func (s *session) send(connection net.Conn, number uint64) {
	s.mu.Lock()
	s.sent++
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

// counts are how many were sent, how many of them have no answer, and how many answers came that nobody waited for.
func (d *datagrams) counts() (sent, missing, twice int) {
	for _, s := range d.sessions {
		s.mu.Lock()
		sent, missing, twice = sent+int(s.sent), missing+len(s.missing), twice+s.twice
		s.mu.Unlock()
	}
	return sent, missing, twice
}

// loss are datagrams that were lost.
type loss struct {
	// undelivered came to no member; unanswered did, and their answers were lost; delayed are such that were sent while Envoy stood still.
	undelivered, unanswered, delayed int
	// when says in which seconds they were sent.
	when string
}

// lost stops and returns what has no answer when all that are under way have come.
func (d *datagrams) lost(stood []span) loss {
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
	var l loss
	var text strings.Builder
	for _, s := range d.sessions {
		s.mu.Lock()
		for number, at := range s.missing {
			switch {
			case !d.deliveries.made(number):
				l.undelivered++
			case slices.ContainsFunc(stood, func(s span) bool { return s.holds(at) }):
				l.delayed++
				continue
			default:
				l.unanswered++
			}
			fmt.Fprintf(&text, " %d at %s", number, at.Format("15:04:05.000"))
		}
		s.mu.Unlock()
	}
	l.when = text.String()
	sent, _, twice := d.counts()
	d.t.Logf("%-32s %6d sent, %d came to no member, %d answers lost and %d more while Envoy stood still, %d twice",
		d.kind, sent, l.undelivered, l.unanswered, l.delayed, twice)
	if twice > 0 || sent == 0 {
		d.t.Errorf("%s: %d answers came twice, of %d", d.kind, twice, sent)
	}
	return l
}

func (d *datagrams) sockets() int { return len(d.sessions) }

// span is a time.
type span struct{ from, to time.Time }

func (s span) holds(at time.Time) bool { return !at.Before(s.from) && !at.After(s.to) }

// isRefused is what a socket says of a datagram to a port where nobody listens.
func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
