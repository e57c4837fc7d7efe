package integration

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// slowPath is answered late, so that a cluster with a health check on it warms for a while.
const slowPath = "/slow"

// member starts an HTTP server that answers with its name, and returns it as a member of a pool.
func member(t *testing.T, name string) model.Member {
	t.Helper()
	return handled(t, name, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == slowPath {
			time.Sleep(200 * time.Millisecond)
		}
		fmt.Fprint(w, name)
	})
}

// handled is a member whose requests are handled by the test.
func handled(t *testing.T, name string, handle http.HandlerFunc) model.Member {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	address := server.Listener.Addr().(*net.TCPAddr)
	return model.Member{
		ID: name, Name: name, AdminStateUp: true, Weight: 1, Address: "127.0.0.1", ProtocolPort: address.Port,
	}
}

func pool(id string, members ...model.Member) model.Pool {
	return model.Pool{
		ID: id, AdminStateUp: true, Protocol: model.ProtocolHTTP, LBAlgorithm: model.AlgorithmRoundRobin, Members: members,
	}
}

func listener(t *testing.T, id, poolID string) model.Listener {
	t.Helper()
	return model.Listener{
		ID: id, AdminStateUp: true, Protocol: model.ProtocolHTTP, ProtocolPort: freePort(t), DefaultPoolID: poolID,
		ConnectionLimit: model.UnlimitedConnections, TimeoutClientData: model.DefaultTimeoutClientData,
		TimeoutMemberConnect: model.DefaultTimeoutMemberConnect, TimeoutMemberData: model.DefaultTimeoutMemberData,
	}
}

// translated is the load balancer of these parts in Envoy's words.
func translated(t *testing.T, listeners []model.Listener, pools ...model.Pool) *translate.Resources {
	t.Helper()
	resources, err := translate.LoadBalancer(&model.LoadBalancer{
		ID: "lb", AdminStateUp: true, VIPAddress: "127.0.0.1", Listeners: listeners, Pools: pools,
	})
	must(t, err)
	return resources
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// fetch requests a listener once: status (0 for no answer) and body.
func fetch(ctx context.Context, client *http.Client, l model.Listener) (int, string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", l.ProtocolPort), nil)
	if err != nil {
		return 0, err.Error()
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(body)
}

// serves fails the test unless the listener's next request is answered by the member.
func serves(t *testing.T, l model.Listener, name string) {
	t.Helper()
	client := newClient(t)
	if code, body := fetch(t.Context(), client, l); code != http.StatusOK || body != name {
		t.Fatalf("listener %s answered %d %q, want %q", l.ID, code, body, name)
	}
}

func newClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

// load is traffic in the background.
type load struct {
	total, failed atomic.Int64
	first         atomic.Value
	stop          func()
}

// startLoad sends requests to the listener from several clients until it is stopped.
func startLoad(t *testing.T, l model.Listener) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	traffic := &load{}
	var group sync.WaitGroup
	for range 4 {
		client := newClient(t)
		group.Go(func() {
			for ctx.Err() == nil {
				traffic.total.Add(1)
				if code, body := fetch(context.WithoutCancel(ctx), client, l); code != http.StatusOK {
					traffic.failed.Add(1)
					traffic.first.CompareAndSwap(nil, fmt.Sprintf("%d %q", code, body))
				}
			}
		})
	}
	traffic.stop = func() { cancel(); group.Wait() }
	t.Cleanup(traffic.stop)
	return traffic
}

// more waits for so many further requests.
func (l *load) more(t *testing.T, requests int64) {
	t.Helper()
	until := l.total.Load() + requests
	testkit.Until(t, "traffic goes on", func() bool { return l.total.Load() >= until })
}

// lossless lets the load go on a little, stops it, and fails the test if a request was lost.
func (l *load) lossless(t *testing.T) {
	t.Helper()
	l.more(t, 25)
	l.stop()
	t.Logf("%d requests, %d failed", l.total.Load(), l.failed.Load())
	if l.failed.Load() > 0 {
		t.Fatalf("%d of %d requests failed, the first with %v", l.failed.Load(), l.total.Load(), l.first.Load())
	}
}
