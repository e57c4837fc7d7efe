package e2e

import (
	"net"
	"strings"
	"testing"
	"time"
)

// TestUDP makes a UDP service by the CLI, beside a TCP service at the same port, and looks where the datagrams go.
func TestUDP(t *testing.T) {
	t.Parallel()
	c := shared
	s := c.populate(t, "e2e-udp", []fields{listener("tcp", "TCP", 53, "tcp")}, []fields{pool("tcp", "TCP", c.members(7))})
	s.cli(t, "loadbalancer listener create --name e2e-udp --protocol UDP --protocol-port 53 [lb]")
	s.look(t)
	s.put(t, "listener", "listeners/"+s.id(t, "listener e2e-udp"), lasting()) // a session that is silent for that long ends
	s.cli(t, "loadbalancer pool create --name e2e-udp --protocol UDP --lb-algorithm ROUND_ROBIN --listener e2e-udp")
	for _, member := range []string{"member1", "member2"} {
		address := c.env["OE_"+strings.ToUpper(member)+"_ADDRESS"]
		s.cli(t, "loadbalancer member create --name "+member+" --address "+address+" --protocol-port 53 e2e-udp")
	}
	s.allActive(t)

	// Each socket is a session.
	spread := map[string]int{}
	var kept net.Conn
	for range 20 {
		kept = c.mustDial(t, "", "udp", s.at(53))
		member, from := tell(t, kept)
		spread[member]++
		if host, _, err := net.SplitHostPort(from); err != nil || host != s.lb.VIPAddress {
			t.Errorf("the member is asked from %s, not from the load balancer", from)
		}
	}
	if spread["member1"] < 5 || spread["member2"] < 5 {
		t.Errorf("20 sessions over two members: %v", spread)
	}
	before, _ := tell(t, kept)
	stays := func(after string) {
		t.Helper()
		for range 5 {
			if member, _ := tell(t, kept); member != before {
				t.Errorf("after %s, a session of %s is on %s", after, before, member)
			}
		}
	}
	stays("nothing")
	s.put(t, "member", s.memberPath(t, "e2e-udp", "member1"), fields{"weight": 7})
	stays("a change of the members")

	if greeting := greet(t, c.mustDial(t, "", "tcp", s.at(53))); !strings.HasPrefix(greeting, "member") {
		t.Errorf("the TCP listener at the same port answers %q", greeting)
	}

	s.cli(t, "loadbalancer pool set --session-persistence type=SOURCE_IP e2e-udp")
	met := map[string]bool{}
	for _, address := range c.addresses() {
		first, _ := tell(t, c.mustDial(t, address, "udp", s.at(53)))
		met[first] = true
		for range 3 {
			if again, _ := tell(t, c.mustDial(t, address, "udp", s.at(53))); again != first {
				t.Errorf("the client %s is on %s, then on %s", address, first, again)
			}
		}
	}
	if len(met) != 2 {
		t.Errorf("%d clients are all on %v", len(c.addresses()), met)
	}

	s.cli(t, "loadbalancer member set --disable e2e-udp member1")
	for _, address := range c.addresses() {
		if member, _ := tell(t, c.mustDial(t, address, "udp", s.at(53))); member != "member2" {
			t.Errorf("the client %s is on %s, which is disabled", address, member)
		}
	}
	s.allActive(t)
}

// tell sends a datagram until there is an answer, for datagrams may be lost: the member's name, and whom it saw.
func tell(t *testing.T, connection net.Conn) (member, from string) {
	t.Helper()
	buffer := make([]byte, 100)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if _, err := connection.Write([]byte("?")); err != nil {
			t.Fatal(err)
		}
		_ = connection.SetReadDeadline(time.Now().Add(time.Second))
		if count, err := connection.Read(buffer); err == nil {
			member, from, _ = strings.Cut(string(buffer[:count]), " ")
			return member, from
		}
	}
	t.Fatalf("%s does not answer", connection.RemoteAddr())
	return "", ""
}
