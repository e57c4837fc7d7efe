package flavorcost

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/quic-go/quic-go/http3"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// BenchmarkHTTP3 reports the CPU time of requests by HTTP/3 and by HTTP/2, both with TLS 1.3 and an ECDSA certificate, at one
// Envoy in turns.
func BenchmarkHTTP3(b *testing.B) {
	for _, c := range []struct {
		name   string
		answer int  // bytes
		anew   bool // a connection for each request
	}{
		{"GET, 1 KiB", 1 << 10, false},
		{"GET, 16 KiB", 16 << 10, false},
		{"GET, 256 KiB", 256 << 10, false},
		{"GET, 1 KiB, a connection each", 1 << 10, true},
	} {
		b.Run(c.name, func(b *testing.B) { compareHTTP3(b, c.answer, c.anew) })
	}
}

// roundTripper is an http.RoundTripper with connections.
type roundTripper interface {
	http.RoundTripper
	CloseIdleConnections()
}

func compareHTTP3(b *testing.B, answer int, anew bool) {
	b.Helper()
	authority := pki.New(b, "CA")
	certificate := authority.Issue(pki.Options{Names: []string{"x.example"}})
	p := launch(b, map[string]any{"http3": true}, members(b, load{answer: answer}), model.Listener{
		Protocol: model.ProtocolTerminatedHTTPS, DefaultTLSContainerRef: "https://barbican/1", DefaultTLSContainer: certificate.Container(),
		ALPNProtocols: []string{"h2"},
	})
	config := &tls.Config{RootCAs: authority.Pool(), ServerName: "x.example", MinVersion: tls.VersionTLS13}
	kinds := []func() roundTripper{
		func() roundTripper { return &http.Transport{TLSClientConfig: config.Clone(), ForceAttemptHTTP2: true} },
		func() roundTripper { return &http3.Transport{TLSClientConfig: config.Clone()} },
	}
	testkit.Eventually(b, func() error {
		for i, kind := range kinds {
			transport := kind()
			if err := once(b.Context(), transport, p, i+2); err != nil {
				return err
			}
			transport.CloseIdleConnections()
		}
		return nil
	})
	kept := [2][]roundTripper{}
	for i, kind := range kinds {
		for range connections {
			transport := kind()
			b.Cleanup(transport.CloseIdleConnections)
			kept[i] = append(kept[i], transport)
		}
	}
	var ratios []float64
	var spent [2]float64
	requests := perRound / 2
	for round := range rounds/2*b.N + 1 {
		var cpu [2]float64
		for turn := range kinds {
			i := (turn + round) % len(kinds)
			before := testkit.CPU(b, p.pid)
			askEach(b, p, kept[i], i+2, requests, anew)
			cpu[i] = float64(testkit.CPU(b, p.pid)-before) / float64(requests)
		}
		if round == 0 {
			continue // connections, caches
		}
		spent[0], spent[1] = spent[0]+cpu[0], spent[1]+cpu[1]
		ratios = append(ratios, cpu[1]/cpu[0])
	}
	slices.Sort(ratios)
	b.ReportMetric(spent[0]/float64(len(ratios))/1e3, "µs-http2")
	b.ReportMetric(spent[1]/float64(len(ratios))/1e3, "µs-http3")
	b.ReportMetric(spent[1]/spent[0], "cpu-ratio")
	b.ReportMetric(ratios[len(ratios)/2], "ratio-median")
	b.ReportMetric(0, "ns/op")
}

// askEach sends requests over all transports at once, one at a time over each.
func askEach(b *testing.B, p *proxy, transports []roundTripper, version, requests int, anew bool) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(requests))
	var failed atomic.Value
	var group sync.WaitGroup
	for _, transport := range transports {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				if err := once(b.Context(), transport, p, version); err != nil {
					failed.Store(err)
					return
				}
				if anew {
					transport.CloseIdleConnections()
				}
			}
		})
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		b.Fatal(err)
	}
}

// once asks for the page and fails if it does not come by a version of HTTP.
func once(ctx context.Context, transport http.RoundTripper, p *proxy, version int) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+p.address+"/", nil)
	if err != nil {
		return err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK || response.ProtoMajor != version {
		return fmt.Errorf("answered %s by %s", response.Status, response.Proto)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}
