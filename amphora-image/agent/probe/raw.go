package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"golang.org/x/net/bpf"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// rawSocket hears the replies for all checks of a family.
type rawSocket struct {
	family *family
	socket *icmp.PacketConn
	// mark begins the payload of all its requests, so that the kernel can throw away what is not for it.
	mark [markSize]byte
	done chan struct{}

	mu    sync.Mutex
	asked map[[payloadSize]byte]waiting
}

type waiting struct {
	*echo
	answered chan struct{}
}

func openRaw(of *family) (*rawSocket, error) {
	socket, err := icmp.ListenPacket(of.raw, of.any)
	if err != nil {
		return nil, err
	}
	opened := &rawSocket{
		family: of, socket: socket, mark: [markSize]byte(newEcho(netip.Addr{}).payload[:markSize]),
		done: make(chan struct{}), asked: map[[payloadSize]byte]waiting{},
	}
	if err := opened.enlarge(); err != nil {
		_ = socket.Close()
		return nil, fmt.Errorf("buffer of the ICMP socket: %w", err)
	}
	if err := opened.filter(); err != nil {
		_ = socket.Close()
		return nil, fmt.Errorf("filter of the ICMP socket: %w", err)
	}
	go opened.hear()
	return opened, nil
}

// replyBuffer is for the replies that come while the agent gets no processor, in bytes. The kernel counts some 800 a reply.
const replyBuffer = 16 << 20

// enlarge gives the socket that hears for all checks a larger buffer: beyond net.core.rmem_max with CAP_NET_ADMIN.
func (r *rawSocket) enlarge() error {
	var connection interface {
		SetReadBuffer(bytes int) error
		SyscallConn() (syscall.RawConn, error)
	}
	var ok bool
	if of4 := r.socket.IPv4PacketConn(); of4 != nil {
		connection, ok = of4.PacketConn.(*net.IPConn)
	} else {
		connection, ok = r.socket.IPv6PacketConn().PacketConn.(*net.IPConn)
	}
	if !ok {
		return errors.New("the socket is not a raw one")
	}
	raw, err := connection.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, replyBuffer)
	}); err != nil || failed == nil {
		return err
	}
	return connection.SetReadBuffer(replyBuffer)
}

// filter lets the kernel drop all but echo replies with the mark: others may be sent by anybody who reaches the VIP, in any
// number.
func (r *rawSocket) filter() error {
	start := []bpf.Instruction{bpf.LoadMemShift{Off: 0}} // a raw socket of IPv4 sees the IP header
	if r.family.reply == ipv6.ICMPTypeEchoReply {
		start = []bpf.Instruction{bpf.LoadConstant{Dst: bpf.RegX, Val: 0}}
	}
	program, err := bpf.Assemble(append(
		start,
		bpf.LoadIndirect{Off: 0, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: r.family.replyType, SkipTrue: 5},
		bpf.LoadIndirect{Off: 8, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(r.mark[:]), SkipTrue: 3},
		bpf.LoadIndirect{Off: 12, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(r.mark[4:]), SkipTrue: 1},
		bpf.RetConstant{Val: 1 << 16},
		bpf.RetConstant{Val: 0},
	))
	if err != nil {
		return err
	}
	if connection := r.socket.IPv4PacketConn(); connection != nil {
		return connection.SetBPF(program)
	}
	return r.socket.IPv6PacketConn().SetBPF(program)
}

// hear ends when the socket is closed, or fails.
func (r *rawSocket) hear() {
	defer close(r.done)
	defer func() { _ = r.socket.Close() }()
	buffer := make([]byte, maxReply)
	for {
		size, from, err := r.socket.ReadFrom(buffer)
		if err != nil {
			return
		}
		answer, ok := parseReply(r.family, buffer[:size], from)
		if !ok {
			continue
		}
		r.mu.Lock()
		check, known := r.asked[answer.payload]
		if known && check.from == answer.from && check.id == answer.id && check.sequence == answer.sequence {
			delete(r.asked, answer.payload)
			close(check.answered)
		}
		r.mu.Unlock()
	}
}

func (r *rawSocket) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

func (r *rawSocket) close() {
	_ = r.socket.Close()
	<-r.done
}

func (r *rawSocket) ping(ctx context.Context, target netip.Addr) error {
	check := waiting{newEcho(target), make(chan struct{})}
	copy(check.payload[:], r.mark[:])
	request, err := check.request(r.family)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.asked[check.payload] = check
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.asked, check.payload)
		r.mu.Unlock()
	}()
	if err := sendRaw(request, target); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	select {
	case <-check.answered:
		return nil
	case <-r.done:
		return errors.New("ping: the socket failed")
	case <-ctx.Done():
		return errNoReply
	}
}

// sendRaw sends with a socket of its own: requests to members that nobody finds (ARP) stay in their socket's buffer for
// seconds, and some hundreds of them would fill that of one for all.
func sendRaw(packet []byte, target netip.Addr) error {
	domain, protocol := unix.AF_INET6, unix.IPPROTO_ICMPV6
	var to unix.Sockaddr = &unix.SockaddrInet6{Addr: target.As16()}
	if target.Is4() {
		domain, protocol, to = unix.AF_INET, unix.IPPROTO_ICMP, &unix.SockaddrInet4{Addr: target.As4()}
	}
	socket, err := unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(socket) }()
	return unix.Sendto(socket, packet, 0, to)
}
