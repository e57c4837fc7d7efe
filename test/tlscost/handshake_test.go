package tlscost

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/test/pki"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
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
				compare(b, only(authority, version), startHAProxy(b, key.certificate), startEnvoy(b, key.certificate))
			})
		}
	}
}

// BenchmarkWithoutIFMA is RSA again, with an OpenSSL that thinks that the processor has no AVX-512 IFMA. Its RSA of 2048 bits
// uses these instructions where there are some, and BoringSSL's does not: of the rest of the handshake it changes nothing.
func BenchmarkWithoutIFMA(b *testing.B) {
	if processor, err := os.ReadFile("/proc/cpuinfo"); err == nil && !strings.Contains(string(processor), "avx512ifma") {
		b.Skip("the processor has none")
	}
	authority := pki.New(b, "CA")
	certificate := authority.Issue(pki.Options{Names: []string{"x.example"}, RSA: 2048})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		b.Run(tls.VersionName(version), func(b *testing.B) {
			// See OPENSSL_ia32cap(3): bit 21 of the second word.
			compare(b, only(authority, version), startHAProxy(b, certificate, "OPENSSL_ia32cap=:~0x200000"), startEnvoy(b, certificate))
		})
	}
}

// BenchmarkParts reports what a part of the listener costs of a handshake: Envoy's CPU time with it, divided by that
// without. The same twice says how far that is to be trusted.
func BenchmarkParts(b *testing.B) {
	authority := pki.New(b, "CA")
	certificate := authority.Issue(pki.Options{Names: []string{"x.example"}})
	for _, part := range []struct {
		name    string
		without func(*listenerv3.Listener)
	}{
		{"the same twice", func(*listenerv3.Listener) {}},
		{"TLS inspector", func(l *listenerv3.Listener) { l.ListenerFilters = nil }},
	} {
		b.Run(part.name, func(b *testing.B) {
			without := startEnvoy(b, certificate, func(r *translate.Resources) { part.without(r.Listeners["l"]) })
			ratios, spent := turns(b, only(authority, tls.VersionTLS13), startEnvoy(b, certificate), without)
			b.ReportMetric(spent[1], "µs-without")
			b.ReportMetric(spent[0], "µs-with")
			b.ReportMetric(spent[0]/spent[1], "with/without")
			b.ReportMetric(ratios[len(ratios)/2], "median")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// only is a client of one version.
func only(authority *pki.Authority, version uint16) *tls.Config {
	return &tls.Config{
		RootCAs: authority.Pool(), ServerName: "x.example", MinVersion: version, MaxVersion: version,
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256}, // HAProxy 2.6 knows no others
	}
}

func compare(b *testing.B, config *tls.Config, haproxy, envoy *proxy) {
	b.Helper()
	ratios, spent := turns(b, config, haproxy, envoy)
	b.ReportMetric(spent[0], "µs-haproxy")
	b.ReportMetric(spent[1], "µs-envoy")
	b.ReportMetric(spent[0]/spent[1], "haproxy/envoy")
	b.ReportMetric(ratios[len(ratios)/2], "median")
	b.ReportMetric(0, "ns/op")
}

// turns has two proxies do handshakes in turns. It returns the ratios of the turns' CPU time, the first's by the second's and
// sorted, and what each has spent on a handshake, in µs.
func turns(b *testing.B, config *tls.Config, proxies ...*proxy) (ratios []float64, spent [2]float64) {
	b.Helper()
	for _, p := range proxies {
		shake(b, p, config, perRound)
	}
	for round := range rounds * b.N {
		var cpu [2]float64
		for turn := range proxies {
			i := (turn + round) % len(proxies) // now one is the first, now the other
			before := testkit.CPU(b, proxies[i].pid)
			shake(b, proxies[i], config, perRound)
			cpu[i] = float64(testkit.CPU(b, proxies[i].pid) - before)
			spent[i] += cpu[i] / float64(perRound*rounds*b.N) / 1e3
		}
		ratios = append(ratios, cpu[0]/cpu[1])
	}
	slices.Sort(ratios)
	return ratios, spent
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
		require.Positive(t, testkit.CPU(t, p.pid))
	}
}
