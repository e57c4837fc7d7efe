package local

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// forwardsWithin is how long a bridge may take to carry frames of a port that has just come up.
	forwardsWithin = time.Second
	// stateForwarding is BR_STATE_FORWARDING of linux/if_bridge.h.
	stateForwarding = "3"
)

// awaitForwarding returns when the bridge carries what comes from one of its ports. It learns in the background that the
// port is up, and drops everything until then.
func awaitForwarding(port string) error {
	for deadline := time.Now().Add(forwardsWithin); ; time.Sleep(time.Millisecond) {
		state, err := os.ReadFile("/sys/class/net/" + port + "/brport/state")
		if err != nil {
			return fmt.Errorf("state of bridge port %s: %w", port, err)
		}
		if strings.TrimSpace(string(state)) == stateForwarding {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("bridge port %s does not forward within %s", port, forwardsWithin)
		}
	}
}

// announce tells the network where the VIPs are: switches learn the port, and neighbours that knew another MAC for an
// address, say that of a load balancer that had it before, correct it. What the kernel itself says when the interface
// comes up is lost in the bridge, and of an address without duplicate detection it says nothing. Call it in the namespace.
func (p *plan) announce() error {
	link, err := net.InterfaceByName(insideName)
	if err != nil {
		return fmt.Errorf("interface %s: %w", insideName, err)
	}
	socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("packet socket: %w", err)
	}
	defer func() { _ = unix.Close(socket) }()
	var errs []error
	for _, address := range p.Addresses {
		frame := gratuitousARP(link.HardwareAddr, address.Addr())
		if address.Addr().Is6() {
			frame = neighbourAdvertisement(link.HardwareAddr, address.Addr())
		}
		if err := unix.Sendto(socket, frame, 0, &unix.SockaddrLinklayer{Ifindex: link.Index}); err != nil {
			errs = append(errs, fmt.Errorf("announce %s: %w", address.Addr(), err))
		}
	}
	return errors.Join(errs...)
}

// gratuitousARP is the ARP announcement of RFC 5227, section 2.3, as an Ethernet frame.
func gratuitousARP(mac net.HardwareAddr, address netip.Addr) []byte {
	ip := address.AsSlice()
	frame := ethernet("\xff\xff\xff\xff\xff\xff", mac, unix.ETH_P_ARP)
	frame = append(frame, "\x00\x01\x08\x00\x06\x04\x00\x01"...) // Ethernet, IPv4, a request
	frame = append(append(frame, mac...), ip...)
	frame = append(frame, make([]byte, 6)...)
	return append(frame, ip...)
}

// neighbourAdvertisement is the unsolicited advertisement of RFC 4861, section 7.2.6, as an Ethernet frame.
func neighbourAdvertisement(mac net.HardwareAddr, address netip.Addr) []byte {
	ip, allNodes := address.AsSlice(), netip.MustParseAddr("ff02::1").AsSlice()
	const override, targetMAC, units = 0x20, 2, 1
	message := []byte{136, 0, 0, 0, override, 0, 0, 0}
	message = append(append(message, ip...), targetMAC, units)
	message = append(message, mac...)

	pseudo := append(append([]byte{}, ip...), allNodes...)
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(message))) //nolint:gosec // 32
	pseudo = append(pseudo, 0, 0, 0, unix.IPPROTO_ICMPV6)
	binary.BigEndian.PutUint16(message[2:], checksum(append(pseudo, message...)))

	frame := ethernet("\x33\x33\x00\x00\x00\x01", mac, unix.ETH_P_IPV6)
	frame = append(frame, 0x60, 0, 0, 0, 0, byte(len(message)), unix.IPPROTO_ICMPV6, 255) //nolint:gosec // 32
	return append(append(append(frame, ip...), allNodes...), message...)
}

func ethernet(to string, from net.HardwareAddr, protocol uint16) []byte {
	return binary.BigEndian.AppendUint16(append([]byte(to), from...), protocol)
}

// checksum is that of RFC 1071, of an even number of bytes.
func checksum(data []byte) uint16 {
	sum := uint32(0)
	for ; len(data) > 0; data = data[2:] {
		sum += uint32(binary.BigEndian.Uint16(data))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
