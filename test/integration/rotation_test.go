package integration

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// TestRotation replaces a listener's certificate again and again under new and open connections: every handshake succeeds,
// with one of the certificates, new ones get the new one as soon as it is acknowledged, and no open connection ends.
// OE_ROTATIONS says how often; 1,000 by hand.
func TestRotation(t *testing.T) {
	rotations := 40
	if text := os.Getenv("OE_ROTATIONS"); text != "" {
		var err error
		rotations, err = strconv.Atoi(text)
		must(t, err)
	}
	ca, authority := testkit.NewAuthority(t), pki.New(t, "CA")
	gate := &warming{}
	c := startController(t, ca, gate, "", nil)
	gate.envoy = startEnvoy(t, ca, "amphora", "amphora", c.address)

	l := listener(t, "l", "p")
	l.Protocol, l.DefaultTLSContainerRef = model.ProtocolTerminatedHTTPS, "https://barbican/0"
	members := pool("p", member(t, "m"))
	rotate := func(i int) pki.Certificate {
		certificate := authority.Issue(pki.Options{Names: []string{"x.example", "rotation-" + strconv.Itoa(i)}})
		l.DefaultTLSContainerRef, l.DefaultTLSContainer = fmt.Sprintf("https://barbican/%d", i), certificate.Container()
		c.accepted("amphora", translated(t, []model.Listener{l}, members))
		return certificate
	}
	rotate(0)
	config := &tls.Config{RootCAs: authority.Pool(), ServerName: "x.example"}
	address := fmt.Sprintf("127.0.0.1:%d", l.ProtocolPort)
	open := dialTLS(t, address, config)
	before := c.sent()

	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	var handshakes, failures atomic.Int64
	for range 8 {
		running.Go(func() {
			for ctx.Err() == nil {
				handshakes.Add(1)
				if err := askOnce(address, config); err != nil {
					failures.Add(1)
					t.Errorf("a new connection: %v", err)
				}
			}
		})
	}
	for i := 1; i <= rotations; i++ {
		want := rotate(i)
		fresh := dialTLS(t, address, config)
		if got := fresh.ConnectionState().PeerCertificates[0]; !got.Equal(want.Leaf) {
			t.Errorf("after rotation %d a new connection gets %v", i, got.DNSNames)
		}
		_ = fresh.Close()
		if err := ask(open); err != nil {
			t.Fatalf("the open connection, after rotation %d: %v", i, err)
		}
	}
	stop()
	running.Wait()
	t.Logf("%d rotations, %d handshakes, %d failed", rotations, handshakes.Load(), failures.Load())
	if handshakes.Load() == 0 {
		t.Error("nobody connected meanwhile")
	}
	if diff := cmp.Diff(map[string]float64{"secret": float64(rotations)}, since(before, c.sent())); diff != "" {
		t.Errorf("what was sent (-want +got):\n%s", diff)
	}
}

func dialTLS(t *testing.T, address string, config *tls.Config) *tls.Conn {
	t.Helper()
	connection, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", address)
	must(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	return connection.(*tls.Conn) //nolint:forcetypeassert // a tls.Dialer's
}

// askOnce connects, does a whole handshake and asks for a page.
func askOnce(address string, config *tls.Config) error {
	plain, err := net.DialTimeout("tcp", address, testkit.Patience)
	if err != nil {
		return err
	}
	connection := tls.Client(plain, config)
	defer connection.Close()
	return ask(connection)
}

// ask asks for a page on a connection and leaves it open.
func ask(connection *tls.Conn) error {
	if err := connection.SetDeadline(time.Now().Add(testkit.Patience)); err != nil {
		return err
	}
	if _, err := io.WriteString(connection, "GET / HTTP/1.1\r\nHost: x.example\r\n\r\n"); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, err := connection.Read(answer)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 200") {
		return fmt.Errorf("it answers %q", answer[:min(n, 60)])
	}
	return nil
}
