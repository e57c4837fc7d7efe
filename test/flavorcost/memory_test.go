package flavorcost

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// BenchmarkBuffers reports the memory that Envoy has for each client that has asked for much and reads nothing.
func BenchmarkBuffers(b *testing.B) {
	const clients = 50
	for _, flavor := range []map[string]any{nil, {"buffer_bytes": 1 << 16}, {"buffer_bytes": 2 << 20}} {
		b.Run(fmt.Sprint(flavor), func(b *testing.B) {
			var written atomic.Int64
			p := start(b, flavor, endless(b, &written))
			before := testkit.Resident(b, p.pid)
			for range clients {
				connection, err := net.Dial("tcp", p.address)
				require.NoError(b, err)
				b.Cleanup(func() { _ = connection.Close() })
				_, err = fmt.Fprintf(connection, "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
				require.NoError(b, err)
			}
			for last := int64(-1); last != written.Load(); time.Sleep(time.Second) { // until nothing more fits anywhere
				last = written.Load()
			}
			b.ReportMetric((testkit.Resident(b, p.pid)-before)/clients/1024, "MiB/client")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// endless is a member whose answer at /endless has no end.
func endless(b *testing.B, written *atomic.Int64) netip.AddrPort {
	b.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, _ *http.Request) {
		for chunk := make([]byte, 1<<16); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
			written.Add(int64(len(chunk)))
		}
	})
	return serve(b, &http.Server{Handler: mux})
}
