package tlscost

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

const (
	// between two rotations there are so many new connections at least
	perRotation = 50
	// settled is the share of the rotations after which memory is to stay as it is: allocators, caches and the tables of
	// connections have their size by then.
	settled = 0.2
	// mayGrow is what it may differ by all the same, in KiB. 800 rotations whose context of TLS stayed would be 9.6 MiB, see
	// BenchmarkKept.
	mayGrow = 6 << 10
)

// BenchmarkRotation replaces a certificate 1,000 times (OE_ROTATIONS) under new and open connections, and reports the growth
// of memory after the first 200. No handshake fails and no connection ends.
func BenchmarkRotation(b *testing.B) {
	rotations := 1000
	if text := os.Getenv("OE_ROTATIONS"); text != "" {
		var err error
		rotations, err = strconv.Atoi(text)
		require.NoError(b, err)
	}
	result := rotate(b, rotations*b.N)
	b.ReportMetric(float64(result.Handshakes), "handshakes")
	b.ReportMetric(float64(result.Handshakes)/result.Took.Seconds(), "handshakes/s")
	b.ReportMetric(float64(result.Resumed), "resumed")
	b.ReportMetric(float64(result.Failed), "failed")
	b.ReportMetric(float64(result.Dropped), "dropped")
	b.ReportMetric(float64(result.Asked), "requests-on-held")
	b.ReportMetric(float64(rotations)/result.Took.Seconds(), "rotations/s")
	for name, memory := range result.memory {
		b.ReportMetric(memory.from/1024, "MiB-"+name)
		b.ReportMetric(memory.growth/1024, "MiB-grown-"+name)
		b.ReportMetric(memory.slope, "KiB/rotation-"+name)
	}
	b.ReportMetric(0, "ns/op")
}

// TestRotation is the same with few rotations, so that what the benchmark says of failures holds with every change.
func TestRotation(t *testing.T) {
	result := rotate(t, 40)
	t.Logf("%+v", result)
	assert.Positive(t, result.Resumed, "nobody came back with a session")
	assert.Positive(t, result.Asked)
	assert.Positive(t, result.Streamed)
}

// BenchmarkKept reports what Envoy keeps for each open connection when all have come by the same certificate, and when each
// has come by its own: the difference is what a rotation costs while a connection from before it lives. A leak of that size
// is what BenchmarkRotation has to see.
func BenchmarkKept(b *testing.B) {
	const connections = 300
	for name, each := range map[string]bool{"one certificate": false, "a certificate each": true} {
		b.Run(name, func(b *testing.B) {
			authority, place := pki.New(b, "CA"), free(b)
			c := startControlled(b)
			_, member := startClients(b, order{Address: place.String(), Authority: authority.Certificate.Raw})
			lb := terminating(place, netip.MustParseAddrPort(member))
			config := &tls.Config{RootCAs: authority.Pool(), ServerName: "x.example"}
			memory := &series{}
			for i := range connections {
				if i == 0 || each {
					certificate := authority.Issue(pki.Options{Names: []string{"x.example"}})
					lb.Listeners[0].DefaultTLSContainerRef, lb.Listeners[0].DefaultTLSContainer = fmt.Sprint("https://barbican/", i), certificate.Container()
					c.serve(b, lb)
				}
				connection, err := (&tls.Dialer{Config: config}).DialContext(b.Context(), "tcp", place.String())
				require.NoError(b, err)
				b.Cleanup(func() { _ = connection.Close() })
				memory.add(i, testkit.Resident(b, c.pid))
			}
			b.ReportMetric(memory.after(connections/5).slope, "KiB/connection")
			b.ReportMetric(0, "ns/op")
		})
	}
}

type rotated struct {
	*report
	memory map[string]trend
}

// rotate fails if a connection does, or if memory grows.
func rotate(tb testing.TB, rotations int) rotated {
	tb.Helper()
	authority, place := pki.New(tb, "CA"), free(tb)
	c := startControlled(tb)
	clients, member := startClients(tb, order{Address: place.String(), Authority: authority.Certificate.Raw})
	lb := terminating(place, netip.MustParseAddrPort(member))
	replace := func(i int) pki.Certificate {
		certificate := authority.Issue(pki.Options{Names: []string{"x.example"}})
		listener := &lb.Listeners[0]
		listener.DefaultTLSContainerRef, listener.DefaultTLSContainer = fmt.Sprintf("https://barbican/%d", i), certificate.Container()
		c.serve(tb, lb)
		return certificate
	}
	replace(0)
	clients.start(tb)

	config := &tls.Config{RootCAs: authority.Pool(), ServerName: "x.example"}
	memory := map[string]*series{"envoy": {}, "envoy-allocated": {}, "controller": {}, "controller-heap": {}}
	for i := 1; i <= rotations; i++ {
		before := clients.latest.Load().Handshakes
		want := replace(i)
		require.True(tb, presented(tb, place.String(), config).Equal(want.Leaf), "after rotation %d a new connection gets another certificate", i)
		now := clients.until(tb, func(r *report) bool { return r.Handshakes >= before+perRotation || r.Failed+r.Dropped > 0 })
		if len(now.Errors) > 0 {
			require.Empty(tb, now.Errors, "after rotation %d; Envoy says: %v", i, c.stats(tb, `^(listener|http)\.l\.`))
		}
		if i%10 == 0 {
			runtime.GC()
			var live runtime.MemStats
			runtime.ReadMemStats(&live)
			memory["envoy"].add(i, testkit.Resident(tb, c.pid))
			memory["envoy-allocated"].add(i, c.allocated(tb))
			memory["controller"].add(i, testkit.Resident(tb, os.Getpid()))
			memory["controller-heap"].add(i, float64(live.HeapAlloc)/1024)
		}
	}
	result := rotated{clients.stop(tb), map[string]trend{}}
	require.Empty(tb, result.Errors)
	require.Zero(tb, result.Failed+result.Dropped)
	for name, s := range memory {
		settling := s.after(int(settled * float64(rotations)))
		result.memory[name] = settling
		if (name == "envoy" || name == "controller") && rotations < 500 {
			continue // what is resident jumps while a process is young
		}
		assert.Less(tb, settling.growth, float64(mayGrow), "KiB that the memory of %s has grown by: %v", name, s)
	}
	tb.Logf("Envoy says: %v", c.stats(tb, `^listener\.l\.ssl\.(handshake|session_reused|connection_error)$`))
	return result
}

// terminating is a load balancer with one TERMINATED_HTTPS listener, without its certificate, and a member.
func terminating(place, member netip.AddrPort) *model.LoadBalancer {
	return &model.LoadBalancer{
		ID: "lb", VIPAddress: place.Addr().String(), AdminStateUp: true, Listeners: []model.Listener{{
			ID: "l", Protocol: model.ProtocolTerminatedHTTPS, ProtocolPort: int(place.Port()), DefaultPoolID: "p", AdminStateUp: true, ConnectionLimit: -1,
			TimeoutClientData: 3_600_000, TimeoutMemberData: 3_600_000, // on a busy machine an open connection may wait for its turn
		}},
		Pools: []model.Pool{{
			ID: "p", Protocol: model.ProtocolHTTP, LBAlgorithm: model.AlgorithmRoundRobin, AdminStateUp: true,
			Members: []model.Member{{ID: "m", Address: member.Addr().String(), ProtocolPort: int(member.Port()), Weight: 1, AdminStateUp: true}},
		}},
	}
}
