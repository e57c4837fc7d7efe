package translate

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// TestKeepalive looks at the kernel's timers of both sides of a TCP and of an HTTP listener. The members' own sockets,
// which Go probes, are at the other ends.
func TestKeepalive(t *testing.T) {
	arrived := make(chan net.Conn, 10)
	holds := raw(t, func(c net.Conn) {
		// The connection that finds the listener ready has one to the member as well, and says nothing on it.
		if _, err := io.ReadFull(c, make([]byte, 1)); err == nil {
			arrived <- c
			_, _ = io.Copy(io.Discard, c)
		}
	})
	for name, asked := range map[string]map[string]any{
		"without": nil,
		"with":    {"tcp_keepalive": map[string]any{"idle_ms": 600_000, "interval_ms": 10_000, "probes": 3}},
	} {
		for _, protocol := range []string{"TCP", "HTTP"} {
			t.Run(name+" "+protocol, func(t *testing.T) {
				l := listener(t, "web", protocol, "blue")
				serve(t, &model.LoadBalancer{
					Flavor:    asked,
					Listeners: []model.Listener{l}, Pools: []model.Pool{pool("blue", protocol, holds)},
				})
				client := dial(t, &l)
				_, _ = io.WriteString(client, get)
				member := <-arrived
				want := map[bool]string{true: "keepalive", false: "none"}[asked != nil]
				for _, other := range []net.Conn{client, member} {
					// Until what was sent is acknowledged, it is that timer.
					testkit.Eventually(t, func() error {
						if got := probed(t, other.RemoteAddr(), other.LocalAddr()); got != want {
							return fmt.Errorf("the timer to %s is %q, want %q", other.LocalAddr(), got, want)
						}
						return nil
					})
				}
			})
		}
	}
}

// probed returns the timer of an established connection as its local end has it, "" when there is no such connection.
func probed(t *testing.T, local, remote net.Addr) string {
	t.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		const established = "01"
		if len(fields) < 6 || fields[1] != inTable(local) || fields[2] != inTable(remote) || fields[3] != established {
			continue
		}
		timer, _, _ := strings.Cut(fields[5], ":")
		return map[string]string{"00": "none", "01": "retransmit", "02": "keepalive"}[timer]
	}
	return ""
}

// inTable is an address as the kernel's table has it: hexadecimal, the address in the machine's byte order.
func inTable(address net.Addr) string {
	place := netip.MustParseAddrPort(address.String())
	bytes := place.Addr().As4()
	return fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(bytes[:]), place.Port())
}
