package bench

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	octavia "github.com/octavia-envoy/octavia-envoy/test/haproxy"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// churn is traffic that goes on while the load balancer changes.
type churn struct {
	addresses []string
	policies  int
	stop      func()
	// drains count the changes of each listener that end its connections by design.
	drains []atomic.Int64

	requests, failed atomic.Int64
	// closed are connections that ended while they were idle or instead of an answer, on which a client has to ask again;
	// renewed are those whose last answer said that it is the last.
	closed, renewed atomic.Int64
	// held are connections that are asked now and then; lost are those of them that ended in either way.
	held, lost atomic.Int64
	// drained are all connections that ended in either way when their listener had been drained, and are in no other count.
	drained atomic.Int64
	first   atomic.Value
}

// client is a connection to a listener that had been drained so many times before.
type client struct {
	*connection
	listener int
	drains   int64
}

func (c *churn) dial(listener int) (*client, error) {
	drains := c.drains[listener].Load()
	conn, err := dial(c.addresses[listener])
	return &client{conn, listener, drains}, err
}

// ended counts a connection that has, and is in the count unless it had to.
func (c *churn) ended(conn *client, count *atomic.Int64) {
	_ = conn.Close()
	if c.drains[conn.listener].Load() > conn.drains {
		count = &c.drained
	}
	count.Add(1)
}

const (
	keptClients, newClients, heldClients = 6, 2, 40
	// heldPause is shorter than the timeout of idle connections.
	heldPause = 5 * time.Second
)

func startChurn(tb testing.TB, addresses []string, policies int) *churn {
	tb.Helper()
	c := &churn{addresses: addresses, policies: policies, drains: make([]atomic.Int64, len(addresses))}
	done := make(chan struct{})
	var group sync.WaitGroup
	ended := func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	}
	for i := range keptClients + newClients {
		group.Go(func() {
			var conn *client
			for k := i; !ended(); k++ {
				conn = c.ask(conn, k)
				if i >= keptClients && conn != nil {
					conn.Close()
					conn = nil
				}
				time.Sleep(2 * time.Millisecond)
			}
			if conn != nil {
				conn.Close()
			}
		})
	}
	for i := range heldClients {
		conn, err := c.dial(i % len(addresses))
		require.NoError(tb, err)
		_, err = conn.get("/")
		require.NoError(tb, err)
		c.held.Add(1)
		group.Go(func() {
			for last := false; !last; {
				select {
				case <-done:
					last = true
				case <-time.After(heldPause):
				}
				if _, err := conn.get("/"); err != nil || conn.last {
					c.ended(conn, &c.lost)
					return
				}
			}
			_ = conn.Close()
		})
	}
	c.stop = sync.OnceFunc(func() { close(done); group.Wait() })
	tb.Cleanup(c.stop)
	return c
}

// ask asks once, on the connection or a new one, and returns the connection if it goes on.
func (c *churn) ask(conn *client, turn int) *client {
	path := "/"
	if c.policies > 0 && turn%3 == 0 {
		path = fmt.Sprintf("/policy%d/", turn%c.policies)
	}
	c.requests.Add(1)
	for {
		fresh := conn == nil
		if fresh {
			var err error
			if conn, err = c.dial(turn % len(c.addresses)); err != nil {
				c.fail(err)
				return nil
			}
		}
		_, err := conn.get(path)
		switch {
		case err == nil && !conn.last:
			return conn
		case err == nil:
			c.ended(conn, &c.renewed)
			return nil
		case !fresh && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)):
			// What every client does when a connection that was idle is gone.
			c.ended(conn, &c.closed)
			conn = nil
		default:
			c.fail(err)
			conn.Close()
			return nil
		}
	}
}

// drain notes that a change ends the connections of its listener.
func (c *churn) drain(m mutation) {
	if m.drains >= 0 {
		c.drains[m.drains].Add(1)
	}
}

func (c *churn) fail(err error) {
	c.failed.Add(1)
	c.first.CompareAndSwap(nil, err.Error())
}

// unconcerned counts the connections that ended though no change had to end them.
func (c *churn) unconcerned() int64 { return c.closed.Load() + c.renewed.Load() + c.lost.Load() }

func (c *churn) String() string {
	text := fmt.Sprintf("%d requests, %d failed; %d connections closed, %d told to close; %d of %d held connections lost; %d drained by design",
		c.requests.Load(), c.failed.Load(), c.closed.Load(), c.renewed.Load(), c.lost.Load(), c.held.Load(), c.drained.Load())
	if first := c.first.Load(); first != nil {
		text += fmt.Sprintf("; the first failure: %v", first)
	}
	return text
}

// mutation is one change of a tree, and the call that says so.
type mutation struct {
	kind, method, path string
	body               map[string]any
	// drains is the index of the listener whose connections it ends by design, see xds/translate/CHANGES.md; -1 for none.
	drains int
}

// mutate changes something at random; of what drains a listener only if it may.
func mutate(random *rand.Rand, tree *model.LoadBalancer, backends []netip.AddrPort, turn int, drains bool) mutation {
	pool := &tree.Pools[random.IntN(len(tree.Pools))]
	index := random.IntN(len(tree.Listeners))
	listener := &tree.Listeners[index]
	put := func(kind, path string, body map[string]any) mutation {
		return mutation{kind: kind, method: http.MethodPut, path: path, body: body, drains: -1}
	}
	putListener := func(field string, value any) mutation {
		return put(listener.Protocol+" listener "+field, "/v1/listeners/"+listener.ID, map[string]any{"listener_id": listener.ID, field: value})
	}
	anotherPool := func(protocol string) string {
		all := slices.DeleteFunc(slices.Clone(tree.Pools), func(p model.Pool) bool { return p.Protocol != protocol })
		return all[random.IntN(len(all))].ID
	}
	kinds := 8
	if drains {
		kinds = 11
	}
	switch random.IntN(kinds) {
	case 0, 1:
		member := &pool.Members[random.IntN(len(pool.Members))]
		member.Weight = 1 + (member.Weight+random.IntN(98))%100
		return put("member", "/v1/pools/"+pool.ID+"/members/"+member.ID, map[string]any{"member_id": member.ID, "weight": member.Weight})
	case 2:
		member := pool.Members[0]
		backend := backends[random.IntN(len(backends))]
		member.ID, member.Address, member.ProtocolPort = id(kindMember, 0xfffe, turn), backend.Addr().String(), int(backend.Port())
		pool.Members = []model.Member{member}
		return put("members", "/v1/pools/"+pool.ID+"/members", map[string]any{"members": pool.Members})
	case 3:
		pool.LBAlgorithm = map[string]string{
			model.AlgorithmRoundRobin: model.AlgorithmLeastConnections, model.AlgorithmLeastConnections: model.AlgorithmRoundRobin,
		}[pool.LBAlgorithm]
		return put("pool", "/v1/pools/"+pool.ID, map[string]any{"pool_id": pool.ID, "lb_algorithm": pool.LBAlgorithm})
	case 4:
		policy := &tree.Listeners[0].L7Policies[random.IntN(len(tree.Listeners[0].L7Policies))]
		policy.RedirectPoolID = anotherPool(model.ProtocolHTTP)
		return put("policy", "/v1/l7policies/"+policy.ID,
			map[string]any{"l7policy_id": policy.ID, "listener_id": policy.ListenerID, "redirect_pool_id": policy.RedirectPoolID})
	case 5:
		if listener.Protocol == model.ProtocolTCP { // whose timeout_member_data drains
			listener.TimeoutMemberConnect = 4_000 + random.IntN(1000)
			return putListener("timeout_member_connect", listener.TimeoutMemberConnect)
		}
		listener.TimeoutMemberData = 50_000 + random.IntN(10_000)
		return putListener("timeout_member_data", listener.TimeoutMemberData)
	case 6:
		if listener.Protocol == model.ProtocolTCP {
			listener.AllowedCIDRs = []string{"127.0.0.0/8", fmt.Sprintf("10.%d.0.0/16", random.IntN(256))}
			return putListener("allowed_cidrs", listener.AllowedCIDRs)
		}
		listener.InsertHeaders = map[string]string{"X-Forwarded-For": strconv.FormatBool(listener.InsertHeaders["X-Forwarded-For"] != "true")}
		return putListener("insert_headers", listener.InsertHeaders)
	case 7:
		listener.DefaultPoolID = anotherPool(listener.Protocol)
		return putListener("default_pool_id", listener.DefaultPoolID)
	case 8:
		listener.ConnectionLimit = 10_000 + turn
		m := putListener("connection_limit", listener.ConnectionLimit)
		m.drains = index
		return m
	default:
		listener.TimeoutClientData = 50_000 + turn
		m := putListener("timeout_client_data", listener.TimeoutClientData)
		m.drains = index
		return m
	}
}

// churned is what came of many changes.
type churned struct {
	traffic                           *churn
	changes                           int
	took                              time.Duration
	before, after                     float64 // MiB, of all processes
	controllerBefore, controllerAfter float64
	kinds                             map[string]int
}

func churnShape(tb testing.TB) (shape, []netip.AddrPort) {
	tb.Helper()
	var backends []netip.AddrPort
	for range 4 {
		backends = append(backends, startBackend(tb, "ok"))
	}
	return shape{Listeners: 6, TCP: 2, Members: 2, Policies: 4, Backends: backends, Port: freePorts(tb, 6)}, backends
}

func (s shape) addresses() []string {
	var all []string
	for i := range s.Listeners {
		all = append(all, fmt.Sprintf("127.0.0.1:%d", s.Port+i))
	}
	return all
}

// churnOurs makes changes one after the other, each when Octavia knows that the one before is in effect.
func churnOurs(tb testing.TB, changes int, drains bool) churned {
	tb.Helper()
	s, backends := churnShape(tb)
	site, envoy := startOurs(tb, s, 0, nil)
	tree := s.tree(0)
	random := rand.New(rand.NewPCG(7, 7)) // the same changes each time
	r := churned{changes: changes, kinds: map[string]int{}, traffic: startChurn(tb, s.addresses(), s.Policies)}
	begin := time.Now()
	for turn := range changes {
		if turn == changes/10 { // after caches and pools of memory have grown
			r.before = resident(tb, envoy.pid)
			r.controllerBefore = resident(tb, site.program.pid)
		}
		m := mutate(random, tree, backends, turn, drains)
		r.kinds[m.kind]++
		site.agent.set(tb, tree)
		reports := site.agent.done(tree.ID)
		r.traffic.drain(m)
		site.call(tb, m.method, m.path, m.body)
		site.agent.await(tb, tree.ID, reports+1)
		r.traffic.drain(m) // who came meanwhile may have come to the old one
	}
	r.took = time.Since(begin)
	site.agent.mu.Lock()
	require.Zero(tb, site.agent.errors, "no change is refused")
	site.agent.mu.Unlock()
	r.after = resident(tb, envoy.pid)
	r.controllerAfter = resident(tb, site.program.pid)
	r.traffic.stop()
	return r
}

// churnHAProxy makes the same changes by rendering and reloading.
func churnHAProxy(tb testing.TB, changes int) churned {
	tb.Helper()
	s, backends := churnShape(tb)
	tree := s.tree(0)
	h := startHAProxy(tb, octavia.StartRenderer(tb), tree, false)
	for _, address := range s.addresses() {
		answers(tb, address, "ok")
	}
	random := rand.New(rand.NewPCG(7, 7)) // the same changes each time
	r := churned{changes: changes, kinds: map[string]int{}, traffic: startChurn(tb, s.addresses(), s.Policies)}
	r.before = h.resident(tb)
	begin := time.Now()
	for turn := range changes {
		r.kinds[mutate(random, tree, backends, turn, false).kind]++
		before := h.processes(tb)
		h.write(tb, tree)
		h.reload(tb)
		// Until there is a new worker: a signal that comes earlier would not be one of its own, and finds a master that is not ready.
		testkit.Until(tb, "a new worker", func() bool {
			return slices.ContainsFunc(h.processes(tb), func(pid int) bool { return !slices.Contains(before, pid) })
		})
	}
	r.took = time.Since(begin)
	r.after = h.resident(tb)
	r.traffic.stop()
	return r
}

func (h *haproxy) resident(tb testing.TB) float64 {
	tb.Helper()
	var total float64
	for _, pid := range h.processes(tb) {
		// Not resident(): a worker may have ended meanwhile, and has no memory then.
		var size, pages float64
		if statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid)); err == nil {
			_, err = fmt.Sscan(string(statm), &size, &pages)
			require.NoError(tb, err)
		}
		total += pages * float64(os.Getpagesize()) / (1 << 20)
	}
	return total
}

func (r *churned) show(tb testing.TB, name string) {
	tb.Helper()
	tb.Logf("\n%s: %d changes in %.1f s, %.1f ms each: %v\n%s\nmemory %.0f → %.0f MiB; of the controller %.0f → %.0f MiB", name, r.changes,
		r.took.Seconds(), milliseconds(r.took)/float64(r.changes), r.kinds, r.traffic, r.before, r.after, r.controllerBefore, r.controllerAfter)
}

// BenchmarkChurn is goal 3: what many changes do to traffic and memory.
func BenchmarkChurn(b *testing.B) {
	ours := churnOurs(b, 1000*b.N, false)
	ours.show(b, "ours")
	draining := churnOurs(b, 1000*b.N, true)
	draining.show(b, "ours, with changes that drain")
	// Each of its changes keeps a process as long as its connections live: not so many of them.
	theirs := churnHAProxy(b, 100)
	theirs.show(b, "HAProxy")
	b.ReportMetric(float64(ours.traffic.failed.Load()), "failed")
	b.ReportMetric(float64(ours.traffic.unconcerned()), "lost")
	b.ReportMetric(float64(draining.traffic.failed.Load()), "failed-draining")
	b.ReportMetric(float64(draining.traffic.unconcerned()), "lost-draining")
	b.ReportMetric(ours.after/ours.before, "memory-growth")
	b.ReportMetric(theirs.after/theirs.before, "memory-growth-HAProxy")
	b.ReportMetric(milliseconds(theirs.took)/float64(theirs.changes)/(milliseconds(ours.took)/float64(ours.changes)), "time-ratio")
	b.ReportMetric(0, "ns/op")
}

func TestChurn(t *testing.T) {
	for _, drains := range []bool{false, true} {
		ours := churnOurs(t, 30, drains)
		ours.show(t, fmt.Sprintf("ours, draining: %t", drains))
		require.Positive(t, ours.traffic.requests.Load())
		require.Zero(t, ours.traffic.failed.Load(), ours.traffic.String())
		require.Zero(t, ours.traffic.unconcerned(), ours.traffic.String())
	}
	theirs := churnHAProxy(t, 2)
	theirs.show(t, "HAProxy")
}
