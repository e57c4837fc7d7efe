package probe

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// family is what IPv4 and IPv6 do differently.
type family struct {
	name string
	// unprivileged and raw are networks of package icmp; any is the address to listen at.
	unprivileged, raw, any string
	// protocol is the number that package icmp parses by.
	protocol       int
	request, reply icmp.Type
	// replyType is reply's number (RFC 792; RFC 4443, 4.2).
	replyType uint32
}

func families() [2]family {
	return [2]family{
		{"IPv4", "udp4", "ip4:icmp", "0.0.0.0", 1, ipv4.ICMPTypeEcho, ipv4.ICMPTypeEchoReply, 0},
		{"IPv6", "udp6", "ip6:ipv6-icmp", "::", 58, ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply, 129},
	}
}

// pinger sends echo requests, one for each check. It opens what it is allowed to open:
//
//   - a ping socket (icmp(7), unprivileged) of each check, where net.ipv4.ping_group_range has a group of the agent's: the
//     kernel gives it nothing but answers to its own identifier;
//   - or, with CAP_NET_RAW, one raw socket that hears for all checks, and one to send each request with.
type pinger struct {
	families [2]family

	mu  sync.Mutex
	raw [2]*rawSocket
}

func newPinger() *pinger { return &pinger{families: families()} }

// echo is one request and what its answer has to have. All of it but the address is for the kernel's random numbers to
// say, so that an answer is from somebody who has seen the question.
type echo struct {
	from         netip.Addr
	id, sequence int
	payload      [payloadSize]byte
}

// payloadSize is that of a mark of the socket's, and a number of the check's.
const (
	markSize    = 8
	payloadSize = markSize + 16
)

func newEcho(target netip.Addr) *echo {
	made := &echo{from: target}
	random := make([]byte, payloadSize+4)
	_, _ = rand.Read(random) // never fails
	copy(made.payload[:], random)
	made.id = int(binary.BigEndian.Uint16(random[payloadSize:]))
	made.sequence = int(binary.BigEndian.Uint16(random[payloadSize+2:]))
	return made
}

func (e *echo) request(of *family) ([]byte, error) {
	message := icmp.Message{Type: of.request, Body: &icmp.Echo{ID: e.id, Seq: e.sequence, Data: e.payload[:]}}
	return message.Marshal(nil) // the kernel has the pseudo header that ICMPv6 needs for its checksum
}

// ping asks once; nil is up.
func (p *pinger) ping(ctx context.Context, target netip.Addr) error {
	number := 0
	if target.Is6() {
		number = 1
	}
	raw, own, err := p.open(number)
	if err != nil {
		return err
	}
	if raw != nil {
		return raw.ping(ctx, target)
	}
	defer func() { _ = own.Close() }()
	return pingAlone(ctx, own, &p.families[number], target)
}

// open returns the raw socket if there is one, or else a ping socket, to be closed.
func (p *pinger) open(number int) (*rawSocket, *icmp.PacketConn, error) {
	of := &p.families[number]
	p.mu.Lock()
	defer p.mu.Unlock()
	if open := p.raw[number]; open != nil && !open.ended() {
		return open, nil, nil
	}
	own, errOwn := icmp.ListenPacket(of.unprivileged, of.any)
	if errOwn == nil {
		return nil, own, nil
	}
	if !errors.Is(errOwn, os.ErrPermission) {
		return nil, nil, errOwn
	}
	raw, err := openRaw(of)
	if errors.Is(err, os.ErrPermission) {
		return nil, nil, fmt.Errorf("the agent may not ping over %s: it needs a group in net.ipv4.ping_group_range, or CAP_NET_RAW", of.name)
	}
	if err != nil {
		return nil, nil, err
	}
	p.raw[number] = raw
	return raw, nil, nil
}

// try says what would keep it from pinging.
func (p *pinger) try() error {
	var problems []error
	for number := range p.families {
		_, own, err := p.open(number)
		if own != nil {
			_ = own.Close()
		}
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

func (p *pinger) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for number, raw := range p.raw {
		if raw != nil {
			raw.close()
		}
		p.raw[number] = nil
	}
}

// pingAlone uses a ping socket, whose identifier the kernel chooses and looks after.
func pingAlone(ctx context.Context, socket *icmp.PacketConn, of *family, target netip.Addr) error {
	defer context.AfterFunc(ctx, func() { _ = socket.SetDeadline(time.Unix(1, 0)) })()
	asked := newEcho(target)
	request, err := asked.request(of)
	if err != nil {
		return err
	}
	if _, err := socket.WriteTo(request, &net.UDPAddr{IP: target.AsSlice()}); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	buffer := make([]byte, maxReply)
	for {
		size, from, err := socket.ReadFrom(buffer)
		if ctx.Err() != nil {
			return errNoReply
		}
		if err != nil {
			return fmt.Errorf("ping: %w", err)
		}
		answer, ok := parseReply(of, buffer[:size], from)
		if ok && answer.from == target && answer.sequence == asked.sequence && answer.payload == asked.payload {
			return nil
		}
	}
}

// maxReply is more than a reply of ours has, in bytes; the rest of a longer one is cut, and the reply is not ours.
const maxReply = 128

var errNoReply = errors.New("no echo reply")

// parseReply reads an echo reply that may be one of ours.
func parseReply(of *family, packet []byte, from net.Addr) (*echo, bool) {
	message, err := icmp.ParseMessage(of.protocol, packet)
	if err != nil || message.Type != of.reply {
		return nil, false
	}
	body, ok := message.Body.(*icmp.Echo)
	if !ok || len(body.Data) != payloadSize {
		return nil, false
	}
	answer := &echo{id: body.ID, sequence: body.Seq, payload: [payloadSize]byte(body.Data)}
	var address net.IP
	switch from := from.(type) {
	case *net.IPAddr:
		address = from.IP
	case *net.UDPAddr:
		address = from.IP
	}
	parsed, ok := netip.AddrFromSlice(address)
	answer.from = parsed.Unmap()
	return answer, ok
}
