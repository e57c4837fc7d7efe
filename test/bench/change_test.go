package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// site is a running controller and what is around it.
type site struct {
	dir     string
	program *program
	address string
	agent   *driverAgent
	calls   *http.Client
	started answer
}

// startSite runs a controller with load balancers that were there before it.
func startSite(tb testing.TB, dsn, adminSocket string, populate ...order) *site {
	tb.Helper()
	s := &site{dir: testkit.SocketDir(tb)}
	s.agent = startDriverAgent(tb, s.dir)
	s.program = startProgram(tb, "controller", settings{Dir: s.dir, DSN: dsn, Admin: adminSocket})
	for _, o := range populate {
		o.Do = "populate"
		s.program.do(tb, o)
	}
	s.started = s.program.do(tb, order{Do: "serve"})
	s.address = s.started.Address
	s.calls = unixClient(tb, filepath.Join(s.dir, apiSocket))
	return s
}

func unixClient(tb testing.TB, socket string) *http.Client {
	tb.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	tb.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// call makes a call as the shim does, and returns when it was accepted.
func (s *site) call(tb testing.TB, method, path string, body any) time.Time {
	tb.Helper()
	return call(tb, s.calls, method, path, body)
}

func call(tb testing.TB, client *http.Client, method, path string, body any) time.Time {
	tb.Helper()
	var document io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		require.NoError(tb, err)
		document = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(tb.Context(), method, "http://api"+path, document)
	require.NoError(tb, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Openstack-Request-Id", "req-bench")
	response, err := client.Do(request)
	require.NoError(tb, err)
	accepted := time.Now()
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(tb, err)
	require.Equal(tb, http.StatusAccepted, response.StatusCode, string(text))
	return accepted
}

// subject is a load balancer whose changes are measured.
type subject struct {
	name  string
	shape shape
	// change changes the tree and makes the call that says so, and is known to have come when a resource of the type has.
	change  func(tb testing.TB, s *site, tree *model.LoadBalancer, turn int) time.Time
	typeURL string

	tree  *model.LoadBalancer
	envoy *fakeEnvoy
	costs []cost
}

// cost is what one change has cost.
type cost struct {
	// accept is the call itself, live from its end to the arrival at Envoy, done to the report to Octavia.
	accept, live, done, cpu, agent time.Duration
	bytes, resources               int64
}

// changeMember gives the last member another weight.
func changeMember(tb testing.TB, s *site, tree *model.LoadBalancer, turn int) time.Time {
	tb.Helper()
	pool := &tree.Pools[len(tree.Pools)-1]
	member := &pool.Members[len(pool.Members)-1]
	member.Weight = 2 + turn%200
	s.agent.set(tb, tree)
	return s.call(tb, http.MethodPut, "/v1/pools/"+pool.ID+"/members/"+member.ID, map[string]any{"member_id": member.ID, "weight": member.Weight})
}

// changeListener gives the last listener another timeout.
func changeListener(tb testing.TB, s *site, tree *model.LoadBalancer, turn int) time.Time {
	tb.Helper()
	listener := &tree.Listeners[len(tree.Listeners)-1]
	listener.TimeoutMemberData = 50_000 + 1000*(1+turn%100)
	s.agent.set(tb, tree)
	return s.call(tb, http.MethodPut, "/v1/listeners/"+listener.ID,
		map[string]any{"listener_id": listener.ID, "timeout_member_data": listener.TimeoutMemberData})
}

// measureChanges changes each subject once a turn, and fills their costs.
func measureChanges(tb testing.TB, name, dsn string, turns int, subjects []*subject) {
	tb.Helper()
	var populate []order
	for i, each := range subjects {
		each.tree = each.shape.tree(i)
		populate = append(populate, order{Shape: each.shape, First: i, Count: 1})
	}
	s := startSite(tb, dsn, "", populate...)
	ca := authority(tb, s.dir)
	for _, each := range subjects {
		s.agent.set(tb, each.tree)
		each.envoy = startFakeEnvoy(tb, ca, s.address, amphoraOf(each.tree.ID))
	}
	testkit.Until(tb, "all are in sync", func() bool { return s.program.do(tb, order{Do: "synced"}).Count == 0 })
	s.profile(tb, "profile", "change-"+name+".cpu")
	defer s.profile(tb, "profile", "")
	for turn := range turns + 2 {
		for k := range subjects {
			each := subjects[(turn+k)%len(subjects)]
			c := s.measure(tb, each, turn)
			if turn >= 2 { // connections, caches
				each.costs = append(each.costs, c)
			}
		}
	}
}

func (s *site) measure(tb testing.TB, each *subject, turn int) cost {
	tb.Helper()
	before, got, reports := each.envoy.totals(), each.envoy.got(each.typeURL), s.agent.done(each.tree.ID)
	spent, used, begin := s.agent.spent(), testkit.CPU(tb, s.program.pid), time.Now()
	accepted := each.change(tb, s, each.tree, turn)
	live := each.envoy.await(tb, each.typeURL, got+1)
	done := s.agent.await(tb, each.tree.ID, reports+1)
	after := each.envoy.totals()
	return cost{
		accept: accepted.Sub(begin), live: live.Sub(accepted), done: done.Sub(accepted),
		cpu: testkit.CPU(tb, s.program.pid) - used, agent: s.agent.spent() - spent,
		bytes: after.Bytes - before.Bytes, resources: after.Resources - before.Resources,
	}
}

// median of what of is of each.
func median[T any](all []T, of func(T) float64) float64 {
	var values []float64
	for _, each := range all {
		values = append(values, of(each))
	}
	slices.Sort(values)
	if len(values) == 0 {
		return 0
	}
	return values[len(values)/2]
}

func milliseconds(d time.Duration) float64 { return float64(d) / 1e6 }

// show prints a table of the subjects, the first of which the others are held against.
func show(tb testing.TB, subjects []*subject) {
	tb.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "%-34s %9s %9s %9s %9s %9s %9s   ratio of cpu, live, bytes\n", "", "accept ms", "live ms", "done ms", "agent ms", "CPU ms", "bytes")
	columns := func(each *subject) []float64 {
		return []float64{
			median(each.costs, func(c cost) float64 { return milliseconds(c.accept) }),
			median(each.costs, func(c cost) float64 { return milliseconds(c.live) }),
			median(each.costs, func(c cost) float64 { return milliseconds(c.done) }),
			median(each.costs, func(c cost) float64 { return milliseconds(c.agent) }),
			median(each.costs, func(c cost) float64 { return milliseconds(c.cpu) }),
			median(each.costs, func(c cost) float64 { return float64(c.bytes) }),
		}
	}
	base := columns(subjects[0])
	for _, each := range subjects {
		c := columns(each)
		fmt.Fprintf(&text, "%-34s %9.2f %9.2f %9.2f %9.2f %9.2f %9.0f   %.2f %.2f %.2f\n",
			each.name, c[0], c[1], c[2], c[3], c[4], c[5], c[4]/base[4], c[1]/base[1], c[5]/base[5])
	}
	tb.Logf("\n%s", text.String())
}

// memberSubjects are load balancers of ever more members, in one pool and in many.
func memberSubjects(sizes []int) []*subject {
	one := func(name string, s shape) *subject {
		return &subject{name: name, shape: s, change: changeMember, typeURL: resource.EndpointType}
	}
	smallest := shape{Listeners: 1, Members: sizes[0]}
	subjects := []*subject{one(fmt.Sprintf("%d members", sizes[0]), smallest), one("the same twice", smallest)}
	for _, size := range sizes[1:] {
		subjects = append(subjects, one(fmt.Sprintf("%d members", size), shape{Listeners: 1, Members: size}))
	}
	last := sizes[len(sizes)-1]
	return append(subjects, one(fmt.Sprintf("%d members, %d to a pool", last, sizes[0]),
		shape{Listeners: 1, Members: sizes[0], Policies: last/sizes[0] - 1}))
}

// listenerSubjects are load balancers of ever more listeners with a pool each.
func listenerSubjects(sizes []int) []*subject {
	var subjects []*subject
	for i, size := range append([]int{sizes[0]}, sizes...) {
		name := fmt.Sprintf("%d listeners", size)
		if i == 1 {
			name = "the same twice"
		}
		subjects = append(subjects, &subject{
			name: name, shape: shape{Listeners: size, Members: 2}, change: changeListener, typeURL: resource.RouteType,
		})
	}
	return subjects
}

// BenchmarkChange is goal 1: what a change costs as the load balancer grows.
func BenchmarkChange(b *testing.B) {
	for _, c := range []struct {
		name     string
		subjects []*subject
	}{
		{"member", memberSubjects([]int{10, 1000, 10_000})},
		{"listener", listenerSubjects([]int{1, 50, 500})},
	} {
		b.Run(c.name, func(b *testing.B) {
			measureChanges(b, c.name, storetest.SQLite(b), 40*b.N, c.subjects)
			show(b, c.subjects)
			first, last := c.subjects[0], c.subjects[len(c.subjects)-1]
			if c.name == "member" {
				last = c.subjects[len(c.subjects)-2]
			}
			ratio := func(of func(cost) float64) float64 { return median(last.costs, of) / median(first.costs, of) }
			b.ReportMetric(ratio(func(c cost) float64 { return float64(c.cpu) }), "cpu-ratio")
			b.ReportMetric(ratio(func(c cost) float64 { return float64(c.live) }), "live-ratio")
			b.ReportMetric(ratio(func(c cost) float64 { return float64(c.bytes) }), "bytes-ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func TestChange(t *testing.T) {
	subjects := append(memberSubjects([]int{2, 6}), listenerSubjects([]int{1, 3})...)
	measureChanges(t, "test", storetest.SQLite(t), 2, subjects)
	for _, each := range subjects {
		require.Len(t, each.costs, 2)
		for _, c := range each.costs {
			require.Positive(t, c.cpu)
			require.Positive(t, c.bytes)
			require.EqualValues(t, 1, c.resources, "%s: only what changed is sent", each.name)
		}
	}
	show(t, subjects)
}
