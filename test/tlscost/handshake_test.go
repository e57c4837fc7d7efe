package tlscost

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

const (
	clients  = 8
	rounds   = 30  // turns of each proxy
	perRound = 200 // handshakes
)

// BenchmarkHandshake reports the CPU time of a full handshake, and HAProxy's divided by Envoy's: above 1, Envoy does more of
// them with a core.
func BenchmarkHandshake(b *testing.B) {
	authority := pki.New(b, "CA")
	for _, key := range []struct {
		name        string
		certificate pki.Certificate
	}{
		{"RSA-2048", authority.Issue(pki.Options{Names: []string{"x.example"}, RSA: 2048})},
		{"ECDSA-P256", authority.Issue(pki.Options{Names: []string{"x.example"}})},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			b.Run(key.name+", "+tls.VersionName(version), func(b *testing.B) {
				config := &tls.Config{
					RootCAs: authority.Pool(), ServerName: "x.example", MinVersion: version, MaxVersion: version,
					CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256}, // HAProxy 2.6 knows no others
				}
				compare(b, config, startHAProxy(b, key.certificate), startEnvoy(b, key.certificate))
			})
		}
	}
}

func compare(b *testing.B, config *tls.Config, haproxy, envoy *proxy) {
	b.Helper()
	proxies := []*proxy{haproxy, envoy}
	var ratios []float64
	var spent [2]float64
	for _, p := range proxies {
		shake(b, p, config, perRound)
	}
	for round := range rounds * b.N {
		var cpu [2]float64
		for turn := range proxies {
			i := (turn + round) % len(proxies) // now one is the first, now the other
			before := proxies[i].cpu(b)
			shake(b, proxies[i], config, perRound)
			cpu[i] = float64(proxies[i].cpu(b) - before)
			spent[i] += cpu[i]
		}
		ratios = append(ratios, cpu[0]/cpu[1])
	}
	slices.Sort(ratios)
	handshakes := float64(perRound * rounds * b.N)
	b.ReportMetric(spent[0]/handshakes/1e3, "µs-haproxy")
	b.ReportMetric(spent[1]/handshakes/1e3, "µs-envoy")
	b.ReportMetric(spent[0]/spent[1], "haproxy/envoy")
	b.ReportMetric(ratios[len(ratios)/2], "median")
	b.ReportMetric(0, "ns/op")
}

// shake connects and does a full handshake, again and again.
func shake(b *testing.B, p *proxy, config *tls.Config, handshakes int) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(handshakes))
	var failed atomic.Value
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				if err := once(b.Context(), p.address, config); err != nil {
					failed.Store(err)
					return
				}
			}
		})
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		b.Fatal(err)
	}
}

func once(ctx context.Context, address string, config *tls.Config) error {
	const patience = 30 * time.Second
	plain, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	// Without a FIN the other side has nothing to wait for, and the ports are free again at once.
	defer func() { _ = plain.(*net.TCPConn).SetLinger(0) }() //nolint:forcetypeassert // it is TCP
	connection := tls.Client(plain, config)
	defer connection.Close()
	if err := connection.HandshakeContext(ctx); err != nil {
		return err
	}
	if connection.ConnectionState().DidResume {
		return errors.New("the session was resumed: that is no full handshake")
	}
	return nil
}

func TestOnce(t *testing.T) {
	authority := pki.New(t, "CA")
	certificate := authority.Issue(pki.Options{Names: []string{"x.example"}})
	for _, p := range []*proxy{startHAProxy(t, certificate), startEnvoy(t, certificate)} {
		require.NoError(t, once(t.Context(), p.address, &tls.Config{RootCAs: authority.Pool(), ServerName: "x.example"}))
		require.Positive(t, p.cpu(t))
	}
}
