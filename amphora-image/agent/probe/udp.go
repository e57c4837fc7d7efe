package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// udpSilence is how long a member may say nothing to be taken as up: that of `nc -uzv -w1`, which amphorae run
	// (octavia/amphorae/backends/utils/udp_check.sh), whatever the monitor's timeout.
	udpSilence = time.Second
	// udpPayload is nc's, too.
	udpPayload = "X"
)

// udpConnect is Octavia's UDP-CONNECT: a member that does not say that its port is closed is up. nil is up.
func udpConnect(ctx context.Context, target netip.AddrPort) error {
	silence := udpSilence
	if deadline, ok := ctx.Deadline(); ok {
		silence = min(silence, time.Until(deadline)*9/10) // leaves time for the answer
	}
	network := "udp4"
	if target.Addr().Is6() {
		network = "udp6"
	}
	// Connected: the kernel takes datagrams and ICMP errors of that address and port alone.
	dialed, err := (&net.Dialer{Control: hearAll}).DialContext(ctx, network, target.String())
	if err != nil {
		return err
	}
	defer func() { _ = dialed.Close() }()
	connection, ok := dialed.(*net.UDPConn)
	if !ok {
		return errors.New("no UDP socket")
	}
	defer context.AfterFunc(ctx, func() { _ = connection.SetDeadline(time.Unix(1, 0)) })()
	// Twice, since datagrams may be lost and answers of ICMP are rationed (net.ipv4.icmp_ratelimit: one a second).
	end := time.Now().Add(silence)
	for _, until := range []time.Time{end.Add(-silence / 2), end} {
		if err := connection.SetReadDeadline(until); err != nil {
			return err
		}
		if ctx.Err() != nil { // it may have come before the deadline was set
			return context.Cause(ctx)
		}
		if _, err := connection.Write([]byte(udpPayload)); err != nil {
			return udpError(err)
		}
		_, err := connection.Read(make([]byte, 1))
		if err == nil || errors.Is(err, unix.EMSGSIZE) {
			return nil // whatever it says
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return udpError(err)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if unsent, err := unsentBytes(connection); err == nil && unsent > 0 {
		return errors.New("nobody has that address: ARP or neighbour discovery is not answered")
	}
	return nil
}

// hearAll has the kernel report what is only said of hosts and networks, too, itself included: that a neighbour is not
// found is the one sign of a member that is switched off.
func hearAll(network, _ string, raw syscall.RawConn) error {
	level, option := unix.IPPROTO_IP, unix.IP_RECVERR
	if network == "udp6" {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_RECVERR
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), level, option, 1) }); err != nil {
		return err
	}
	return failed
}

func udpError(err error) error {
	switch {
	case errors.Is(err, unix.ECONNREFUSED):
		return errors.New("port unreachable (ICMP)")
	case errors.Is(err, unix.EHOSTUNREACH):
		return errors.New("host unreachable")
	case errors.Is(err, unix.ENETUNREACH):
		return errors.New("network unreachable")
	}
	return fmt.Errorf("UDP: %w", err)
}

// unsentBytes is what waits in the socket (SIOCOUTQ): datagrams for a neighbour that has not said where it is.
func unsentBytes(connection *net.UDPConn) (int, error) {
	raw, err := connection.SyscallConn()
	if err != nil {
		return 0, err
	}
	var unsent int
	var failed error
	if err := raw.Control(func(fd uintptr) { unsent, failed = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }); err != nil {
		return 0, err
	}
	return unsent, failed
}
