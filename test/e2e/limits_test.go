package e2e

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

// TestTimeouts has clients and members that say nothing. When they are cut off is not measured, but that they are.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	c := shared
	s := c.populate(t, "e2e-timeouts", []fields{listener("web", "HTTP", 80, "web"), listener("tcp", "TCP", 7, "tcp")},
		[]fields{pool("web", "HTTP", []fields{c.member(1, 80)}), pool("tcp", "TCP", []fields{c.member(1, 7)})})
	for _, name := range []string{"web", "tcp"} {
		s.cli(t, "loadbalancer listener set --timeout-client-data 1000 --timeout-member-data 1000 [listener "+name+"]")
	}
	client := c.client(t)
	client.Timeout = patience
	if response, body := c.ask(t, client, "http://"+s.at(80)+"/slow?for=10m"); response.StatusCode != http.StatusGatewayTimeout {
		t.Errorf("a silent member is answered for by %s: %s", response.Status, body)
	}
	if response, _ := c.ask(t, client, "http://"+s.at(80)+"/slow?for=100ms"); response.StatusCode != http.StatusOK {
		t.Errorf("a member that takes its time is answered for by %s", response.Status)
	}

	kept := c.mustDial(t, "", "tcp", s.at(80))
	if _, err := io.WriteString(kept, "GET / HTTP/1.1\r\nHost: e2e\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(kept)
	_ = kept.SetReadDeadline(time.Now().Add(patience))
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	if rest, err := io.ReadAll(reader); !closedBy(err) {
		t.Errorf("an idle HTTP connection stays open: read %q, error %v", rest, err)
	}

	idle := c.mustDial(t, "", "tcp", s.at(7))
	greet(t, idle)
	if rest, err := io.ReadAll(idle); !closedBy(err) {
		t.Errorf("an idle TCP connection stays open: read %q, error %v", rest, err)
	}
	s.allActive(t)
}

// closedBy reports whether reading to the end found one, and not the deadline.
func closedBy(err error) bool { return !errors.Is(err, os.ErrDeadlineExceeded) }

// TestConnectionLimit opens more connections than a listener takes.
func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	c := shared
	s := c.populate(t, "e2e-limit", []fields{listener("tcp", "TCP", 7, "tcp", lasting())}, []fields{pool("tcp", "TCP", c.members(7))})
	s.cli(t, "loadbalancer listener set --connection-limit 2 [listener tcp]")
	// greeted connects; a connection above the limit is closed without a greeting.
	greeted := func() (net.Conn, bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		connection, err := c.dial(ctx, "", "tcp", s.at(7))
		if err != nil {
			return nil, false
		}
		t.Cleanup(func() { _ = connection.Close() })
		_ = connection.SetReadDeadline(time.Now().Add(patience))
		_, err = bufio.NewReader(connection).ReadString('\n')
		if !closedBy(err) {
			t.Fatal("a connection is neither served nor closed")
		}
		return connection, err == nil
	}
	first, served := greeted()
	if _, second := greeted(); !served || !second {
		t.Fatalf("of 2 connections that are allowed, served are: %v, %v", served, second)
	}
	for range 5 {
		if _, third := greeted(); third {
			t.Error("a third connection is served")
		}
	}
	_ = first.Close()
	eventually(t, patience, func() error {
		if _, again := greeted(); !again {
			return errors.New("with one of two connections closed, no other is served")
		}
		return nil
	})
	s.put(t, "listener", "listeners/"+s.id(t, "listener tcp"), fields{"connection_limit": -1})
	for range 5 {
		if _, more := greeted(); !more {
			t.Error("without a limit, a connection is refused")
		}
	}
	s.allActive(t)
}

// TestBackupMembers has a backup member that is asked when there is no other.
func TestBackupMembers(t *testing.T) {
	t.Parallel()
	c := shared
	s := c.populate(t, "e2e-backup", []fields{listener("web", "HTTP", 80, "web")},
		[]fields{pool("web", "HTTP", []fields{c.member(1, 80)})})
	s.cli(t, "loadbalancer member create --name spare --enable-backup --address "+c.env["OE_MEMBER2_ADDRESS"]+" --protocol-port 80 [pool web]")
	c.answers(t, s.at(80), "/", "200 member1")
	s.look(t)
	s.put(t, "member", s.memberPath(t, "web", "member1"), fields{"admin_state_up": false})
	c.answers(t, s.at(80), "/", "200 member2")
	s.put(t, "member", s.memberPath(t, "web", "member1"), fields{"admin_state_up": true})
	c.answers(t, s.at(80), "/", "200 member1")
	s.allActive(t)
}
