package probe

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/icmp"

	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// modes are what an agent may be allowed, as groups with ping sockets.
func modes() map[string]string { return map[string]string{"raw": "1 0", "ping socket": "0 100000"} }

// pingSoon has a timeout for members that will not answer.
func pingSoon(t *testing.T, p *pinger, host string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	return p.ping(ctx, netip.MustParseAddr(host))
}

// up pings until the member is up: what the neighbour cache knows of a lost address takes a second to be asked again.
func up(t *testing.T, p *pinger, host string) {
	t.Helper()
	testkit.Eventually(t, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return p.ping(ctx, netip.MustParseAddr(host))
	})
}

func TestPing(t *testing.T) {
	for mode, groups := range modes() {
		t.Run(mode, func(t *testing.T) {
			network := newMachines(t)
			allowPingSockets(t, groups)
			p := newPinger()
			t.Cleanup(p.close)
			for _, host := range []string{"10.7.0.2", "fd07::2"} {
				if err := pingSoon(t, p, host); !errors.Is(err, errNoReply) {
					t.Errorf("%s, which nobody has: %v", host, err)
				}
				network.add(host)
				up(t, p, host)
				network.remove(host)
				if err := pingSoon(t, p, host); err == nil {
					t.Errorf("%s is up after it went", host)
				}
				network.add(host)
				up(t, p, host)
			}
			if open := p.raw[0] != nil; open != (mode == "raw") {
				t.Errorf("a raw socket is open: %v", open)
			}
			for number, raw := range p.raw {
				if raw != nil && len(raw.asked) > 0 {
					t.Errorf("%s: %d questions are kept", p.families[number].name, len(raw.asked))
				}
			}
		})
	}
}

// TestPingsAtOnce has more members that nobody finds than one socket's buffer takes requests for, and one that answers.
func TestPingsAtOnce(t *testing.T) {
	for mode, groups := range modes() {
		t.Run(mode, func(t *testing.T) {
			network := newMachines(t)
			allowPingSockets(t, groups)
			p := newPinger()
			t.Cleanup(p.close)
			network.add("10.7.0.2")
			up(t, p, "10.7.0.2")
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			const lost = 1500
			for i := range lost {
				go func() { ended <- p.ping(ctx, netip.AddrFrom4([4]byte{10, 7, byte(1 + i/250), byte(1 + i%250)})) }()
			}
			for range 50 {
				up(t, p, "10.7.0.2")
			}
			cancel()
			for range lost {
				if err := <-ended; err == nil {
					t.Fatal("a member that nobody has is up")
				}
			}
		})
	}
}

// TestForgedReplies has a member that answers, but not what it was asked.
func TestForgedReplies(t *testing.T) {
	forgeries := map[string]struct {
		from  string // the member itself if empty
		forge func(*icmp.Echo)
		up    bool
	}{
		"right":              {forge: func(*icmp.Echo) {}, up: true},
		"another host":       {from: "10.7.0.3", forge: func(*icmp.Echo) {}},
		"another identifier": {forge: func(echo *icmp.Echo) { echo.ID++ }},
		"another sequence":   {forge: func(echo *icmp.Echo) { echo.Seq++ }},
		"another mark":       {forge: func(echo *icmp.Echo) { echo.Data[0]++ }},
		"another number":     {forge: func(echo *icmp.Echo) { echo.Data[payloadSize-1]++ }},
		"shorter":            {forge: func(echo *icmp.Echo) { echo.Data = echo.Data[:payloadSize-1] }},
		"longer":             {forge: func(echo *icmp.Echo) { echo.Data = append(echo.Data, make([]byte, 60000)...) }},
		"empty":              {forge: func(echo *icmp.Echo) { echo.Data = nil }},
	}
	for mode, groups := range modes() {
		t.Run(mode, func(t *testing.T) {
			network := newMachines(t)
			allowPingSockets(t, groups)
			p := newPinger()
			t.Cleanup(p.close)
			network.add("10.7.0.2")
			network.add("10.7.0.3")
			network.sysctl("net/ipv4/icmp_echo_ignore_all", "1")
			of := families()[0]
			var socket *icmp.PacketConn
			network.inside(func() (err error) { socket, err = icmp.ListenPacket(of.raw, "10.7.0.2"); return err })
			t.Cleanup(func() { _ = socket.Close() })
			sockets := map[string]*icmp.PacketConn{"": socket}
			network.inside(func() (err error) { sockets["10.7.0.3"], err = icmp.ListenPacket(of.raw, "10.7.0.3"); return err })
			t.Cleanup(func() { _ = sockets["10.7.0.3"].Close() })
			for name, forgery := range forgeries {
				answered := make(chan error, 1)
				go func() { // answers once
					buffer := make([]byte, 1500)
					for {
						size, from, err := socket.ReadFrom(buffer)
						if err != nil {
							answered <- err
							return
						}
						message, err := icmp.ParseMessage(of.protocol, buffer[:size])
						if err != nil || message.Type != of.request {
							continue
						}
						body, ok := message.Body.(*icmp.Echo)
						if !ok {
							continue
						}
						forgery.forge(body)
						reply, err := (&icmp.Message{Type: of.reply, Body: body}).Marshal(nil)
						if err == nil {
							_, err = sockets[forgery.from].WriteTo(reply, from)
						}
						answered <- err
						return
					}
				}()
				ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
				ended := make(chan error, 1)
				go func() { ended <- p.ping(ctx, netip.MustParseAddr("10.7.0.2")) }()
				if err := <-answered; err != nil {
					t.Fatal(name, err)
				}
				if !forgery.up {
					// The kernel of the amphora has it once another ping through the same queue is answered.
					other := newPinger()
					up(t, other, "127.0.0.1")
					other.close()
					time.AfterFunc(50*time.Millisecond, cancel)
				}
				if err := <-ended; (err == nil) != forgery.up {
					t.Errorf("%s: %v", name, err)
				}
				cancel()
			}
		})
	}
}

// TestUnasked sends replies to which there is no question, and that say nothing to the kernel's filter.
func TestUnasked(t *testing.T) {
	allowPingSockets(t, "1 0")
	p := newPinger()
	t.Cleanup(p.close)
	for _, host := range []string{"127.0.0.1", "::1"} {
		up(t, p, host)
		number := 0
		if strings.Contains(host, ":") {
			number = 1
		}
		raw := p.raw[number]
		for _, size := range []int{0, 4, 8, payloadSize, 100} {
			message := icmp.Message{Type: raw.family.reply, Body: &icmp.Echo{ID: 1, Seq: 2, Data: make([]byte, size)}}
			packet, err := message.Marshal(nil)
			must(t, err)
			must(t, sendRaw(packet, netip.MustParseAddr(host)))
			must(t, sendRaw(packet[:4], netip.MustParseAddr(host)))
		}
		up(t, p, host)
	}
}

// TestMayNotPing runs as a user without capabilities.
func TestMayNotPing(t *testing.T) {
	try := func() string {
		binary, err := os.Open(os.Args[0]) // its directory is root's alone
		must(t, err)
		defer binary.Close()
		command := exec.Command("/proc/self/fd/3")
		command.ExtraFiles = []*os.File{binary}
		command.Dir = "/"
		command.Env = append(os.Environ(), helperEnv+"=may-ping")
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		output, err := command.CombinedOutput()
		if err != nil {
			t.Fatal(err, string(output))
		}
		return string(output)
	}
	if got := try(); strings.Count(got, "ping_group_range, or CAP_NET_RAW") != 2 {
		t.Errorf("not allowed to ping: %s", got)
	}
	allowPingSockets(t, "65534 65534")
	if got := try(); got != "<nil>\n" {
		t.Errorf("allowed to ping: %s", got)
	}
}

// TestRawSocketFails opens another one.
func TestRawSocketFails(t *testing.T) {
	allowPingSockets(t, "1 0")
	p := newPinger()
	t.Cleanup(p.close)
	up(t, p, "127.0.0.1")
	_ = p.raw[0].socket.Close()
	<-p.raw[0].done
	up(t, p, "127.0.0.1")
	if err := p.raw[0].ping(t.Context(), netip.MustParseAddr("127.0.0.1")); err != nil {
		t.Error(err)
	}
}
