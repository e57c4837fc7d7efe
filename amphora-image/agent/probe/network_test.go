package probe

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/octavia-envoy/octavia-envoy/driver/network/local"
)

// insideEnv tells a test binary that it is in its own network namespace.
const insideEnv = "OCTAVIA_ENVOY_PROBE_TEST_INSIDE"

// TestMain runs all tests in a network namespace of their own: what they do to addresses is nobody else's business, and
// Envoy and the bridge are in the same one, as on an amphora.
func TestMain(m *testing.M) {
	if os.Getenv(insideEnv) == "" {
		command := exec.Command(os.Args[0], os.Args[1:]...)
		command.Env = append(os.Environ(), insideEnv+"=1")
		command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
		command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
		runtime.LockOSThread() // Pdeathsig is about the thread
		err := command.Run()
		var exit *exec.ExitError
		switch {
		case errors.As(err, &exit):
			os.Exit(exit.ExitCode())
		case err != nil:
			fmt.Fprintln(os.Stderr, "these tests make a network namespace, as root:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if helper := os.Getenv(helperEnv); helper != "" {
		os.Exit(help(helper))
	}
	loopback, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(loopback)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// helperEnv makes the test binary something else.
const helperEnv = "OCTAVIA_ENVOY_PROBE_TEST_HELPER"

func help(what string) int {
	switch what {
	case "may-ping": // as nobody
		pinger := newPinger()
		defer pinger.close()
		fmt.Println(pinger.try())
		return 0
	}
	return 1
}

// machines is a network of members, in a namespace of its own behind a veth pair.
type machines struct {
	tb   testing.TB
	path string
	link *netlink.Handle
	veth netlink.Link
}

// The amphora's own addresses.
const (
	own4 = "10.7.0.1/16"
	own6 = "fd07::1/64"
)

func newMachines(tb testing.TB) *machines {
	tb.Helper()
	var space netns.NsHandle
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		var err error
		space, err = netns.New()
		done <- err
	}()
	must(tb, <-done)
	tb.Cleanup(func() { _ = space.Close() })
	handle, err := netlink.NewHandleAt(space)
	must(tb, err)
	tb.Cleanup(handle.Close)
	must(tb, netlink.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: "amphora0"}, PeerName: "members0", PeerNamespace: netlink.NsFd(space),
	}))
	near, err := netlink.LinkByName("amphora0")
	must(tb, err)
	tb.Cleanup(func() { _ = netlink.LinkDel(near) })
	far, err := handle.LinkByName("members0")
	must(tb, err)
	must(tb, netlink.LinkSetUp(near))
	must(tb, handle.LinkSetUp(far))
	loopback, err := handle.LinkByName("lo")
	must(tb, err)
	must(tb, handle.LinkSetUp(loopback))
	for _, own := range []string{own4, own6} {
		must(tb, netlink.AddrAdd(near, address(tb, own)))
	}
	for _, version := range []string{"ipv4", "ipv6"} { // a machine that is gone is noticed in seconds, not in a minute
		neighbours := filepath.Join("/proc/sys/net", version, "neigh/amphora0")
		must(tb, os.WriteFile(filepath.Join(neighbours, "base_reachable_time_ms"), []byte("500"), 0))
		must(tb, os.WriteFile(filepath.Join(neighbours, "delay_first_probe_time"), []byte("1"), 0))
		must(tb, os.WriteFile(filepath.Join(neighbours, "retrans_time_ms"), []byte("100"), 0))
	}
	return &machines{tb: tb, path: fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), space), link: handle, veth: far}
}

func address(tb testing.TB, text string) *netlink.Addr {
	parsed, err := netlink.ParseAddr(text)
	must(tb, err)
	parsed.Flags |= unix.IFA_F_NODAD
	return parsed
}

func prefixed(host string) string {
	if net.ParseIP(host).To4() != nil {
		return host + "/16"
	}
	return host + "/64"
}

func (m *machines) add(host string) {
	m.tb.Helper()
	must(m.tb, m.link.AddrAdd(m.veth, address(m.tb, prefixed(host))))
}

func (m *machines) remove(host string) {
	m.tb.Helper()
	must(m.tb, m.link.AddrDel(m.veth, address(m.tb, prefixed(host))))
}

// inside runs do among the members.
func (m *machines) inside(do func() error) {
	m.tb.Helper()
	must(m.tb, local.InNamespace(m.path, do))
}

// sysctl is of the members: what is below net is that of the thread's namespace.
func (m *machines) sysctl(name, value string) {
	m.tb.Helper()
	m.inside(func() error {
		return os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0)
	})
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// allowPingSockets says whose groups may have ping sockets; nobody's is "1 0", which a new namespace begins with.
func allowPingSockets(tb testing.TB, groups string) {
	tb.Helper()
	const name = "/proc/sys/net/ipv4/ping_group_range"
	old, err := os.ReadFile(name)
	must(tb, err)
	must(tb, os.WriteFile(name, []byte(groups), 0))
	tb.Cleanup(func() { must(tb, os.WriteFile(name, old, 0)) })
}
