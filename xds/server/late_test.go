package server

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"golang.org/x/sync/errgroup"

	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// Envoy acknowledges no cluster while one warms. What would end that has to reach it nevertheless, be it another version or
// the removal; and its answers have to count in the order of the messages.
func TestNewsReachAnEnvoyThatDoesNotAnswer(t *testing.T) {
	for name, correction := range map[string]func(f *fixture) (set []string, removed []string){
		"another version": func(f *fixture) ([]string, []string) {
			f.Update("n", resource.ClusterType, map[string]*Resource{"a": cluster(t, "a", 2)}, nil)
			return []string{"a"}, nil
		},
		"removal": func(f *fixture) ([]string, []string) {
			f.Update("n", resource.ClusterType, nil, []string{"a"})
			return nil, []string{"a"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, nil)
			f.Update("n", resource.ClusterType, map[string]*Resource{"a": cluster(t, "a", 1)}, nil)
			c := f.connect(t, "n")
			c.ask(resource.ClusterType)
			unanswered := c.expect([]string{"a"}, nil)
			set, removed := correction(f)
			second := c.expect(set, removed)
			c.ack(unanswered)
			c.ack(second)
			if len(set) > 0 {
				must(t, wait(f, map[Key]string{key("a"): cluster(t, "a", 2).Version}))
			} else {
				must(t, wait(f, nil, key("a")))
			}
			// And as ever afterwards.
			f.Update("n", resource.ClusterType, map[string]*Resource{"b": cluster(t, "b", 1)}, nil)
			c.ack(c.expect([]string{"b"}, nil))
		})
	}
}

// Changes that come faster than Envoy answers become one message: their number is bounded by time.
func TestManyChangesAreFewMessages(t *testing.T) {
	f := start(t, nil)
	f.Update("n", resource.ClusterType, map[string]*Resource{"a": cluster(t, "a", 0)}, nil)
	c := f.connect(t, "n")
	c.ask(resource.ClusterType)
	first := c.expect([]string{"a"}, nil)
	const changes = 1000
	for version := range int64(changes) {
		f.Update("n", resource.ClusterType, map[string]*Resource{"a": cluster(t, "a", version+1)}, nil)
	}
	c.ack(first)
	last := c.expect([]string{"a"}, nil)
	equal(t, last.GetResources()[0].GetVersion(), cluster(t, "a", changes).Version)
	c.ack(last)
	must(t, wait(f, map[Key]string{key("a"): cluster(t, "a", changes).Version}))
}

// big is endpoints of about so many bytes.
func big(t *testing.T, name string, bytes int) *Resource {
	t.Helper()
	res, err := NewResource(resource.EndpointType, &endpointv3.ClusterLoadAssignment{
		ClusterName: name, NamedEndpoints: map[string]*endpointv3.Endpoint{strings.Repeat("x", bytes): {}},
	})
	must(t, err)
	return res
}

// What is more than a message holds comes in several, all of it, and in the newest version. One resource that is larger than
// gRPC takes by default comes alone.
func TestLargeUpdatesComeInParts(t *testing.T) {
	f := start(t, nil)
	c := f.connect(t, "n")
	set, want, names := map[string]*Resource{}, map[Key]string{}, []string{}
	for i := range 20 {
		name := fmt.Sprintf("e%02d", i)
		set[name] = big(t, name, softLimit/4)
		if i == 7 {
			set[name] = big(t, name, 2*softLimit)
		}
		want[Key{resource.EndpointType, name}] = set[name].Version
		names = append(names, name)
	}
	c.ask(resource.EndpointType, names...)
	told(t, f, resource.EndpointType)
	f.Update("n", resource.EndpointType, set, nil)
	got, messages := 0, 0
	for got < len(set) {
		resp, err := c.stream.Recv()
		must(t, err)
		got, messages = got+len(resp.GetResources()), messages+1
		c.ack(resp)
	}
	must(t, wait(f, want))
	if got != len(set) || messages < 5 {
		t.Fatalf("%d resources in %d messages", got, messages)
	}
}

// An Envoy that reads nothing costs one message a type however much there is to tell, and delays nobody.
func TestEnvoyThatDoesNotRead(t *testing.T) {
	f := start(t, nil)
	stuck, other := f.connect(t, "n"), f.connect(t, "other")
	names := []string{"a", "b"}
	for _, c := range []*client{stuck, other} {
		c.ask(resource.EndpointType, names...)
	}
	told(t, f, resource.EndpointType)
	testkit.Until(t, "the other asked", func() bool { return f.Held("other", resource.EndpointType) != nil })
	heap := func() uint64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	// More than the flow control's window: the message cannot leave.
	f.Update("n", resource.EndpointType, map[string]*Resource{"a": big(t, "a", 1<<20)}, nil)
	before := heap()
	for i := range 40 {
		f.Update("n", resource.EndpointType, map[string]*Resource{"b": big(t, "b", 1<<20+i)}, nil)
	}
	if after := heap(); after > before+20<<20 {
		t.Errorf("the heap went from %d to %d MB", before>>20, after>>20)
	}
	a := endpoints(t, "a", 1)
	f.Update("other", resource.EndpointType, map[string]*Resource{"a": a}, nil)
	other.ack(other.expect([]string{"a"}, nil))
	// When it reads again, it gets the newest, once.
	stuck.ack(stuck.expect([]string{"a"}, nil))
	resp := stuck.expect([]string{"b"}, nil)
	stuck.ack(resp)
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	must(t, f.Wait(ctx, "n", map[Key]string{{resource.EndpointType, "b"}: big(t, "b", 1<<20+39).Version}, nil))
}

// Amphorae come and go by the thousand: nothing of them stays, neither in the server nor as goroutines.
func TestThousandAmphoraeLeaveNothing(t *testing.T) {
	f := start(t, nil)
	const amphorae, atOnce = 1000, 50
	a := cluster(t, "a", 1)
	visit := func(node string, removedFirst bool) error {
		conn := f.dial(t, "octavia-envoy://amphora/"+node)
		defer func() { _ = conn.Close() }()
		ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
		defer cancel()
		stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
		if err != nil {
			return err
		}
		f.Update(node, resource.ClusterType, map[string]*Resource{"a": a}, nil)
		if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.ClusterType}); err != nil {
			return err
		}
		if _, err := stream.Recv(); err != nil {
			return err
		}
		// It leaves a message without an answer, and news that are looked after.
		f.Update(node, resource.ClusterType, nil, []string{"a"})
		if removedFirst {
			f.RemoveNode(node)
			return nil
		}
		cancel()
		defer f.RemoveNode(node)
		return conn.Close()
	}
	before := runtime.NumGoroutine()
	for round := range amphorae / atOnce {
		var group errgroup.Group
		for i := range atOnce {
			group.Go(func() error { return visit(fmt.Sprintf("n-%d-%d", round, i), i%2 == 0) })
		}
		must(t, group.Wait())
	}
	testkit.Until(t, "all are forgotten", func() bool { return len(f.Nodes()) == 0 })
	testkit.Until(t, "their goroutines have ended", func() bool { return runtime.NumGoroutine() <= before+5 })
}
