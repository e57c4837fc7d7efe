package parity

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
)

// namespaceEnv marks the process that is in the namespace already.
const namespaceEnv = "PARITY_NAMESPACE"

// TestMain runs the tests in a network namespace without a name, with nothing but a loopback in it: every address is
// free, nobody else is met, and it is gone when its last process is.
func TestMain(m *testing.M) {
	if os.Getenv(namespaceEnv) != "" {
		if err := addresses(); err != nil {
			fmt.Fprintln(os.Stderr, "network namespace:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	again := exec.Command("/proc/self/exe", os.Args[1:]...)
	again.Env = append(os.Environ(), namespaceEnv+"=1")
	again.Stdin, again.Stdout, again.Stderr = os.Stdin, os.Stdout, os.Stderr
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	err := again.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(max(exit.ExitCode(), 1))
	case err != nil:
		fmt.Fprintln(os.Stderr, "network namespace (this test must be root):", err)
		os.Exit(1)
	}
}

// The addresses in the namespace. On a loopback all addresses of an IPv4 network are local; IPv6 ones are named.
const (
	clients   = 250 // 192.0.2.1 and on, 2001:db8:c::1 and on
	batchSize = 120
	members   = 24 // 203.0.113.1 and on, 2001:db8:f::1 and on
)

func client(i int, six bool) netip.Addr {
	if six {
		return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, 0xc, 15: byte(1 + i%clients)})
	}
	return netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + i%clients)})
}

// vip returns the address of the i-th load balancer of a batch, for HAProxy or Envoy: so they can have the same ports.
// additional is 0, or the number of the additional VIP.
func vip(i, additional int, six, envoy bool) netip.Addr {
	proxy := byte(2 * additional)
	if envoy {
		proxy++
	}
	if six {
		return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, 0xa0 + proxy, 15: byte(10 + i)})
	}
	return netip.AddrFrom4([4]byte{198, 51, 100 + proxy, byte(10 + i)})
}

func memberAddress(i int, six bool) netip.Addr {
	if six {
		return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, 0xf, 15: byte(1 + i)})
	}
	return netip.AddrFrom4([4]byte{203, 0, 113, byte(1 + i)})
}

func addresses() error {
	link, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	var all []netip.Prefix
	four := func(network netip.Addr) { all = append(all, netip.PrefixFrom(network, 24)) }
	four(client(0, false))
	four(memberAddress(0, false))
	six := func(address netip.Addr) { all = append(all, netip.PrefixFrom(address, 128)) }
	for i := range clients {
		six(client(i, true))
	}
	for _, envoy := range []bool{false, true} {
		for additional := range 1 + maxAdditional {
			four(vip(0, additional, false, envoy))
			for i := range batchSize {
				six(vip(i, additional, true, envoy))
			}
		}
	}
	for i := range members {
		six(memberAddress(i, true))
	}
	for _, prefix := range all {
		address := &netlink.Addr{IPNet: &net.IPNet{
			IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen()),
		}}
		if err := netlink.AddrAdd(link, address); err != nil {
			return fmt.Errorf("add %s: %w", prefix, err)
		}
	}
	return nil
}
