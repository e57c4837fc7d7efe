package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// driverAgent is Octavia as the controller sees it: a driver-agent that has its answers ready.
type driverAgent struct {
	mu    sync.Mutex
	trees map[string][]byte
	// active is when the last report came that a load balancer is ACTIVE again.
	active  map[string]time.Time
	reports map[string]int
	changed chan struct{}
	// errors counts the objects that were reported to be in ERROR.
	errors int
	// busy is how long it took from a request to the end of its answer.
	busy time.Duration
}

func startDriverAgent(tb testing.TB, dir string) *driverAgent {
	tb.Helper()
	a := &driverAgent{
		trees: map[string][]byte{}, active: map[string]time.Time{}, reports: map[string]int{}, changed: make(chan struct{}),
	}
	for name, answer := range map[string]func([]byte) []byte{getSocket: a.get, statusSocket: a.status, statsSocket: ok} {
		listener, err := net.Listen("unix", filepath.Join(dir, name))
		require.NoError(tb, err)
		tb.Cleanup(func() { _ = listener.Close() })
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				go a.serve(conn, answer)
			}
		}()
	}
	return a
}

func (a *driverAgent) serve(conn net.Conn, answer func([]byte) []byte) {
	defer conn.Close()
	begin := time.Now()
	reader := bufio.NewReader(conn)
	line, err := reader.ReadString('\n')
	if err != nil {
		return
	}
	size, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return
	}
	request := make([]byte, size)
	if _, err := io.ReadFull(reader, request); err != nil {
		return
	}
	text := answer(request)
	if _, err := fmt.Fprintf(conn, "%d\n", len(text)); err != nil {
		return
	}
	_, _ = conn.Write(text)
	a.mu.Lock()
	a.busy += time.Since(begin)
	a.mu.Unlock()
}

// set makes a tree what Octavia has.
func (a *driverAgent) set(tb testing.TB, tree *model.LoadBalancer) {
	tb.Helper()
	document, err := json.Marshal(tree)
	require.NoError(tb, err)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.trees[tree.ID] = document
}

func (a *driverAgent) get(request []byte) []byte {
	var asked struct{ Object, ID string }
	_ = json.Unmarshal(request, &asked)
	a.mu.Lock()
	defer a.mu.Unlock()
	if tree := a.trees[asked.ID]; tree != nil && asked.Object == "loadbalancers" {
		return tree
	}
	return []byte("{}")
}

func ok([]byte) []byte { return []byte(`{"status_code": 200}`) }

func (a *driverAgent) status(request []byte) []byte {
	var update model.StatusUpdate
	_ = json.Unmarshal(request, &update)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, lb := range update.LoadBalancers {
		if lb.ProvisioningStatus != "" {
			a.active[lb.ID] = time.Now()
			a.reports[lb.ID]++
		}
	}
	for _, records := range [][]model.ObjectStatus{update.LoadBalancers, update.Listeners, update.Pools, update.Members, update.L7Policies} {
		for _, record := range records {
			if record.ProvisioningStatus == model.ProvisioningError {
				a.errors++
			}
		}
	}
	close(a.changed)
	a.changed = make(chan struct{})
	return ok(nil)
}

// done counts the reports on a load balancer.
func (a *driverAgent) done(id string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reports[id]
}

// await waits for the count-th report on a load balancer and returns when it came.
func (a *driverAgent) await(tb testing.TB, id string, count int) time.Time {
	tb.Helper()
	deadline := time.After(time.Minute)
	for {
		a.mu.Lock()
		enough, at, changed := a.reports[id] >= count, a.active[id], a.changed
		a.mu.Unlock()
		if enough {
			return at
		}
		select {
		case <-changed:
		case <-deadline:
			tb.Fatalf("no report %d on load balancer %s", count, id)
		}
	}
}

// spent is how long the agent has been asked so far.
func (a *driverAgent) spent() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.busy
}
