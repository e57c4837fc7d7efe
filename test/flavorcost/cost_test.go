package flavorcost

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// load is what both Envoys are asked.
type load struct {
	method   string
	body     []byte // of the request
	answer   int    // bytes of the answer
	encoding string // Accept-Encoding
}

const (
	connections = 16   // of clients, at once
	rounds      = 40   // turns of each Envoy
	perRound    = 1000 // requests
)

func BenchmarkCost(b *testing.B) {
	small := load{method: http.MethodGet, answer: 1 << 10}
	medium := load{method: http.MethodGet, answer: 16 << 10}
	upload := load{method: http.MethodPost, body: bytes.Repeat([]byte("x"), 16<<10), answer: 1 << 10}
	accepting := func(l load, encoding string) load { l.encoding = encoding; return l }

	cases := []struct {
		name, flavor string
		load         load
	}{
		{"the same twice", `{}`, small},
		{"access_log", `{"access_log": true}`, small},
		{"request_id keep", `{"request_id": "keep"}`, small},
		{"request_id replace", `{"request_id": "replace"}`, small},
		{"member_http 2", `{"member_http": {"version": "2"}}`, small},
		{"member_http 2, 16 KiB answers", `{"member_http": {"version": "2"}}`, medium},
		{"retries", `{"retries": {"retry_on": ["reset", "5xx"], "attempts": 2}}`, small},
		{"retries, 16 KiB POST", `{"retries": {"retry_on": ["reset", "5xx"], "attempts": 2}}`, upload},
		{"outlier_detection", `{"outlier_detection": {"consecutive_5xx": 5}}`, small},
		{"compression not asked for", `{"compression": {"algorithms": ["gzip", "brotli", "zstd"]}}`, small},
	}
	for _, algorithm := range []struct{ name, encoding string }{{"gzip", "gzip"}, {"brotli", "br"}, {"zstd", "zstd"}} {
		flavor := `{"compression": {"algorithms": ["` + algorithm.name + `"]}}`
		cases = append(cases, struct {
			name, flavor string
			load         load
		}{algorithm.name, flavor, accepting(small, algorithm.encoding)}, struct {
			name, flavor string
			load         load
		}{algorithm.name + ", 16 KiB answers", flavor, accepting(medium, algorithm.encoding)})
	}
	files, err := filepath.Glob("../../driver/flavor/profiles/*.json")
	require.NoError(b, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(b, err)
		cases = append(cases, struct {
			name, flavor string
			load         load
		}{"profile " + strings.TrimSuffix(filepath.Base(file), ".json"), string(text), small})
	}
	for _, c := range cases {
		b.Run(c.name, func(b *testing.B) {
			var flavor map[string]any
			require.NoError(b, json.Unmarshal([]byte(c.flavor), &flavor))
			compare(b, flavor, c.load)
		})
	}
}

// compare reports what a flavor costs against none.
func compare(b *testing.B, flavor map[string]any, l load) {
	b.Helper()
	member := members(b, l)
	proxies := []*proxy{start(b, nil, member), start(b, flavor, member)}
	var ratios []float64
	sent := [2]int64{}
	spent := [2]float64{}
	for _, p := range proxies { // connections, caches, the member's own
		ask(b, p, l, 500)
	}
	for round := range rounds * b.N {
		var cpu [2]float64
		for turn := range proxies {
			i := (turn + round) % len(proxies) // now one is the first, now the other
			before := testkit.CPU(b, proxies[i].pid)
			sent[i] += ask(b, proxies[i], l, perRound)
			cpu[i] = float64(testkit.CPU(b, proxies[i].pid) - before)
			spent[i] += cpu[i]
		}
		ratios = append(ratios, cpu[1]/cpu[0])
	}
	slices.Sort(ratios)
	requests := float64(perRound * rounds * b.N)
	b.ReportMetric(spent[0]/requests/1e3, "µs-without")
	b.ReportMetric(spent[1]/requests/1e3, "µs-with")
	b.ReportMetric(spent[1]/spent[0], "cpu-ratio")
	b.ReportMetric(ratios[len(ratios)/2], "ratio-median")
	b.ReportMetric(float64(sent[1])/float64(sent[0]), "bytes-ratio")
	b.ReportMetric(0, "ns/op")
}

// ask sends requests over some connections and returns the number of bytes in the bodies of the answers.
func ask(b *testing.B, p *proxy, l load, requests int) int64 {
	b.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var left, received atomic.Int64
	left.Store(int64(requests))
	var failed atomic.Value
	var group sync.WaitGroup
	for range connections {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				request, err := http.NewRequestWithContext(b.Context(), l.method, "http://"+p.address+"/", bytes.NewReader(l.body))
				if err != nil {
					failed.Store(err)
					return
				}
				if l.encoding != "" {
					request.Header.Set("Accept-Encoding", l.encoding)
				}
				response, err := client.Do(request)
				if err != nil {
					failed.Store(err)
					return
				}
				count, err := io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				if err != nil || response.StatusCode != http.StatusOK {
					failed.Store(fmt.Errorf("%s: %w", response.Status, err))
				}
				received.Add(count)
			}
		})
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		b.Fatal(err)
	}
	return received.Load()
}

// members is a server that speaks HTTP/1.1 and HTTP/2 without TLS and answers JSON.
func members(b *testing.B, l load) netip.AddrPort {
	b.Helper()
	answer := document(l.answer)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
		_, _ = w.Write(answer)
	})}
	return serve(b, server)
}

func serve(b *testing.B, server *http.Server) netip.AddrPort {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	go func() { _ = server.Serve(listener) }()
	b.Cleanup(func() { _ = server.Close() })
	return netip.MustParseAddrPort(listener.Addr().String())
}

// document is JSON as an API answers it, some of it random.
func document(size int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	var text bytes.Buffer
	text.WriteString("[")
	for i := 0; text.Len() < size; i++ {
		fmt.Fprintf(&text, `{"id": "%016x%016x", "name": "server-%d", "status": "ACTIVE", "address": "192.0.2.%d", "weight": %d},`,
			random.Uint64(), random.Uint64(), i, random.IntN(256), random.IntN(100))
	}
	return text.Bytes()[:size]
}
