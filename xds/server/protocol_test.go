package server

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

func equal(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("-want +got:\n%s", diff)
	}
}

// cluster is a cluster in one of many versions.
func cluster(t *testing.T, name string, version int64) *Resource {
	t.Helper()
	res, err := NewResource(resource.ClusterType,
		&clusterv3.Cluster{Name: name, ConnectTimeout: &durationpb.Duration{Seconds: version}})
	must(t, err)
	return res
}

func endpoints(t *testing.T, name string, version int) *Resource {
	t.Helper()
	res, err := NewResource(resource.EndpointType, &endpointv3.ClusterLoadAssignment{
		ClusterName: name, Endpoints: make([]*endpointv3.LocalityLbEndpoints, version),
	})
	must(t, err)
	return res
}

func key(name string) Key { return Key{resource.ClusterType, name} }

func wait(f *fixture, want map[Key]string, gone ...Key) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return f.Wait(ctx, "n", want, gone)
}

// told waits until the node has asked for a type.
func told(t *testing.T, f *fixture, typeURL string) {
	t.Helper()
	testkit.Until(t, "asked", func() bool { return f.Held("n", typeURL) != nil })
}

func TestNodeIsSilentUntilSet(t *testing.T) {
	f := start(t, nil)
	c := f.connect(t, "n")
	c.ask(resource.ClusterType)
	c.ask(resource.ListenerType)
	told(t, f, resource.ClusterType)
	told(t, f, resource.ListenerType)
	f.Update("n", resource.ListenerType, nil, nil)
	// The first message is about the type that was set, not the one that was asked for first.
	equal(t, c.expect(nil, nil).GetTypeUrl(), resource.ListenerType)
}

func TestOnlyChangesAreSent(t *testing.T) {
	f := start(t, nil)
	a, b := cluster(t, "a", 1), cluster(t, "b", 1)
	f.Update("n", resource.ClusterType, map[string]*Resource{"a": a, "b": b}, nil)
	c := f.connect(t, "n")
	c.ask(resource.ClusterType)
	c.ack(c.expect([]string{"a", "b"}, nil))
	must(t, wait(f, map[Key]string{key("a"): a.Version, key("b"): b.Version}))

	b = cluster(t, "b", 2)
	f.Update("n", resource.ClusterType, map[string]*Resource{"a": a, "b": b}, nil)
	c.ack(c.expect([]string{"b"}, nil))
	must(t, wait(f, map[Key]string{key("b"): b.Version}))

	f.Update("n", resource.ClusterType, nil, []string{"a"})
	c.ack(c.expect(nil, []string{"a"}))
	must(t, wait(f, nil, key("a")))
}

func TestWhatOnlyEnvoyKnowsStaysUntilRemoved(t *testing.T) {
	f := start(t, nil)
	a := cluster(t, "a", 1)
	f.Update("n", resource.ClusterType, map[string]*Resource{"a": a}, nil)
	c := f.connect(t, "n")
	c.send(&discoveryv3.DeltaDiscoveryRequest{
		TypeUrl: resource.ClusterType, InitialResourceVersions: map[string]string{"a": a.Version, "foreign": "7"},
	})
	must(t, wait(f, map[Key]string{key("a"): a.Version}))
	equal(t, f.Held("n", resource.ClusterType), map[string]string{"a": a.Version, "foreign": "7"})
	f.Update("n", resource.ClusterType, map[string]*Resource{"b": cluster(t, "b", 1)}, nil)
	c.ack(c.expect([]string{"b"}, nil))
	f.Update("n", resource.ClusterType, nil, []string{"foreign"})
	c.ack(c.expect(nil, []string{"foreign"}))
	must(t, wait(f, nil, key("foreign")))
}

func TestRemovalOutlivesTheConnection(t *testing.T) {
	f := start(t, nil)
	a := cluster(t, "a", 1)
	f.Update("n", resource.ClusterType, map[string]*Resource{"a": a}, nil)
	c := f.connect(t, "n")
	c.ask(resource.ClusterType)
	c.ack(c.expect([]string{"a"}, nil))
	must(t, wait(f, map[Key]string{key("a"): a.Version}))
	c.close()
	testkit.Until(t, "closed", func() bool { state, _ := f.NodeState("n"); return !state.Connected })
	f.Update("n", resource.ClusterType, nil, []string{"a"})

	again := f.connect(t, "n")
	again.send(&discoveryv3.DeltaDiscoveryRequest{
		TypeUrl: resource.ClusterType, InitialResourceVersions: map[string]string{"a": a.Version},
	})
	again.ack(again.expect(nil, []string{"a"}))
	must(t, wait(f, nil, key("a")))
}

func TestSubscribedAgainIsSentAgain(t *testing.T) {
	f := start(t, nil)
	f.Update("n", resource.EndpointType, map[string]*Resource{"a": endpoints(t, "a", 1), "b": endpoints(t, "b", 1)}, nil)
	c := f.connect(t, "n")
	c.ask(resource.EndpointType, "a")
	c.ack(c.expect([]string{"a"}, nil))
	c.ask(resource.EndpointType, "a")
	c.ack(c.expect([]string{"a"}, nil))
	// Unsubscribed, changes are not told; subscribed once more, they are.
	c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.EndpointType, ResourceNamesUnsubscribe: []string{"a"}})
	c.ask(resource.EndpointType, "b")
	c.ack(c.expect([]string{"b"}, nil))
	f.Update("n", resource.EndpointType, map[string]*Resource{"a": endpoints(t, "a", 2), "b": endpoints(t, "b", 2)}, nil)
	c.ack(c.expect([]string{"b"}, nil))
	c.ask(resource.EndpointType, "a")
	c.ack(c.expect([]string{"a"}, nil))
}

// A changed cluster waits for its endpoints, which Envoy does not ask for when it has them under that name already.
func TestEndpointsFollowTheirChangedCluster(t *testing.T) {
	f := start(t, nil)
	withEDS := func(version int64) *Resource {
		res, err := NewResource(resource.ClusterType, &clusterv3.Cluster{
			Name: "a", ConnectTimeout: &durationpb.Duration{Seconds: version},
			ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		})
		must(t, err)
		return res
	}
	f.Update("n", resource.EndpointType, map[string]*Resource{"a": endpoints(t, "a", 1)}, nil)
	f.Update("n", resource.ClusterType, map[string]*Resource{"a": withEDS(1)}, nil)
	c := f.connect(t, "n")
	c.ask(resource.ClusterType)
	c.ack(c.expect([]string{"a"}, nil))
	c.ask(resource.EndpointType, "a")
	c.ack(c.expect([]string{"a"}, nil))
	testkit.Until(t, "acknowledged", func() bool { return len(f.Held("n", resource.EndpointType)) == 1 })
	f.Update("n", resource.ClusterType, map[string]*Resource{"a": withEDS(2)}, nil)
	equal(t, c.expect([]string{"a"}, nil).GetTypeUrl(), resource.ClusterType)
	equal(t, c.expect([]string{"a"}, nil).GetTypeUrl(), resource.EndpointType)
}

func TestRefusedIsRevertedAndTriedAgainOnce(t *testing.T) {
	f := start(t, nil)
	good, bad, other := cluster(t, "a", 1), cluster(t, "a", 2), cluster(t, "b", 1)
	f.Update("n", resource.ClusterType, map[string]*Resource{"a": good}, nil)
	c := f.connect(t, "n")
	c.ask(resource.ClusterType)
	c.ack(c.expect([]string{"a"}, nil))
	must(t, wait(f, map[Key]string{key("a"): good.Version}))

	for range 2 {
		f.Update("n", resource.ClusterType, map[string]*Resource{"a": bad, "b": other}, nil)
		resp, err := c.stream.Recv()
		must(t, err)
		c.nack(resp, "Error adding/updating cluster(s) a: no good, really")
		if len(resp.GetResources()) > 1 {
			c.ack(c.expect([]string{"b"}, nil))
		}
		err = wait(f, map[Key]string{key("a"): bad.Version, key("b"): other.Version})
		var nack *NACKError
		if !errors.As(err, &nack) {
			t.Fatalf("got %v, want a NACK", err)
		}
		equal(t, nack.Rejected, map[Key]string{key("a"): "no good, really"})
		equal(t, f.Revert("n", key("a")), false)
		// The former version follows, and the bad one does not.
		resp = c.expect([]string{"a"}, nil)
		equal(t, resp.GetResources()[0].GetVersion(), good.Version)
		c.ack(resp)
		state, _ := f.NodeState("n")
		equal(t, state.Resources[0].Rejected.Text, "no good, really")
	}
	better := cluster(t, "a", 3)
	f.Update("n", resource.ClusterType, map[string]*Resource{"a": better}, nil)
	c.ack(c.expect([]string{"a"}, nil))
	must(t, wait(f, map[Key]string{key("a"): better.Version}))
	equal(t, len(f.Rejections("n")), 0)
}

// Envoy uses what is good in a message that it refuses, but says after a reconnection that it has what it had before: only
// what is in a message that it accepts is noted. So that is sent once more, and removals too.
func TestGoodPartOfARefusalIsSentAgain(t *testing.T) {
	f := start(t, nil)
	f.Update("n", resource.ClusterType, map[string]*Resource{"a": cluster(t, "a", 1), "gone": cluster(t, "gone", 1)}, nil)
	c := f.connect(t, "n")
	c.ask(resource.ClusterType)
	c.ack(c.expect([]string{"a", "gone"}, nil))
	testkit.Until(t, "acknowledged", func() bool { return len(f.Held("n", resource.ClusterType)) == 2 })

	better := cluster(t, "a", 2)
	f.Update("n", resource.ClusterType, map[string]*Resource{"a": better, "b": cluster(t, "b", 1)}, []string{"gone"})
	c.nack(c.expect([]string{"a", "b"}, []string{"gone"}), "Error adding/updating cluster(s) b: no good")
	again := c.expect([]string{"a"}, []string{"gone"})
	equal(t, again.GetResources()[0].GetVersion(), better.Version)
	c.ack(again)
	must(t, wait(f, map[Key]string{key("a"): better.Version}, key("gone")))
	equal(t, f.Held("n", resource.ClusterType), map[string]string{"a": better.Version})
}

func TestRefusedNewcomerIsForgotten(t *testing.T) {
	f := start(t, nil)
	bad := cluster(t, "a", 1)
	f.Update("n", resource.ClusterType, map[string]*Resource{"a": bad}, nil)
	c := f.connect(t, "n")
	for i := range 2 {
		if i == 0 {
			c.ask(resource.ClusterType)
		} else {
			// The same once more is sent once more.
			f.Update("n", resource.ClusterType, map[string]*Resource{"a": bad}, nil)
		}
		c.nack(c.expect([]string{"a"}, nil), "a: bad") // One resource only: whatever the text.
		if err := wait(f, map[Key]string{key("a"): bad.Version}); err == nil {
			t.Fatal("no NACK")
		}
		equal(t, f.Revert("n", key("a")), false)
		equal(t, f.Versions("n", resource.ClusterType), map[string]string{})
	}
	// Removed for good, and back with the same content.
	f.Update("n", resource.ClusterType, nil, []string{"a"})
	must(t, wait(f, nil, key("a")))
	f.Update("n", resource.ClusterType, map[string]*Resource{"a": bad}, nil)
	c.ack(c.expect([]string{"a"}, nil))
	must(t, wait(f, map[Key]string{key("a"): bad.Version}))
}

func TestRefusedWithUnknownFormerVersionStays(t *testing.T) {
	f := start(t, nil)
	bad := cluster(t, "a", 2)
	f.Update("n", resource.ClusterType, map[string]*Resource{"a": bad}, nil)
	c := f.connect(t, "n")
	c.send(&discoveryv3.DeltaDiscoveryRequest{
		TypeUrl: resource.ClusterType, InitialResourceVersions: map[string]string{"a": "from a former controller"},
	})
	c.nack(c.expect([]string{"a"}, nil), "bad")
	if err := wait(f, map[Key]string{key("a"): bad.Version}); err == nil {
		t.Fatal("no NACK")
	}
	equal(t, f.Revert("n", key("a")), true)
	equal(t, f.Versions("n", resource.ClusterType), map[string]string{"a": bad.Version})
}

func TestUnnamedRefusalIsTakenApart(t *testing.T) {
	f := start(t, nil)
	c := f.connect(t, "n")
	set, want := map[string]*Resource{}, map[Key]string{}
	for _, name := range []string{"a", "b", "c"} {
		set[name] = endpoints(t, name, 1)
		want[Key{resource.EndpointType, name}] = set[name].Version
	}
	c.ask(resource.EndpointType, "a", "b", "c")
	told(t, f, resource.EndpointType)
	f.Update("n", resource.EndpointType, set, nil)
	c.nack(c.expect([]string{"a", "b", "c"}, nil), "something")
	c.ack(c.expect([]string{"a"}, nil))
	c.nack(c.expect([]string{"b"}, nil), "something")
	c.ack(c.expect([]string{"c"}, nil))
	var nack *NACKError
	if err := wait(f, want); !errors.As(err, &nack) {
		t.Fatalf("got %v, want a NACK", err)
	}
	equal(t, nack.Rejected, map[Key]string{{resource.EndpointType, "b"}: "something"})
}

func TestOldStreamDoesNotSpeakForTheNode(t *testing.T) {
	f := start(t, nil)
	a := cluster(t, "a", 1)
	f.Update("n", resource.ClusterType, map[string]*Resource{"a": a}, nil)
	old := f.connect(t, "n")
	old.ask(resource.ClusterType)
	resp := old.expect([]string{"a"}, nil)
	fresh := f.connect(t, "n")
	fresh.ask(resource.ClusterType)
	other := fresh.expect([]string{"a"}, nil)
	old.ack(resp)
	old.close()
	fresh.ack(other)
	must(t, wait(f, map[Key]string{key("a"): a.Version}))
	testkit.Until(t, "the old stream is gone", func() bool {
		n := f.nodes.get("n")
		n.mu.Lock()
		defer n.mu.Unlock()
		return len(n.streams) == 1
	})
	state, _ := f.NodeState("n")
	equal(t, state.Connected, true)
}

func TestWaitSaysWhatIsMissing(t *testing.T) {
	f := start(t, nil)
	a := cluster(t, "a", 1)
	f.Update("n", resource.ClusterType, map[string]*Resource{"a": a}, nil)
	ctx, cancel := context.WithCancelCause(context.Background())
	cause := errors.New("enough")
	cancel(cause)
	err := f.Wait(ctx, "n", map[Key]string{key("a"): a.Version}, nil)
	if !errors.Is(err, cause) || !strings.Contains(err.Error(), "cluster a not acknowledged by amphora n: not connected") {
		t.Fatal(err)
	}
	if err := f.Wait(ctx, "stranger", nil, nil); !errors.Is(err, ErrUnknownNode) {
		t.Fatal(err)
	}
}

func TestNothingIsLeftOfANode(t *testing.T) {
	f := start(t, nil)
	stranger := f.connect(t, "stranger")
	stranger.ask(resource.ClusterType)
	testkit.Until(t, "known", func() bool { return len(f.Nodes()) == 1 })
	stranger.close()
	testkit.Until(t, "forgotten", func() bool { return len(f.Nodes()) == 0 })

	f.Update("n", resource.ClusterType, map[string]*Resource{"a": cluster(t, "a", 1)}, nil)
	c := f.connect(t, "n")
	c.ask(resource.ClusterType)
	c.expect([]string{"a"}, nil)
	waiting := make(chan error, 1)
	go func() { waiting <- f.Wait(context.Background(), "n", map[Key]string{key("b"): "1"}, nil) }()
	f.RemoveNode("n")
	if err := <-waiting; !errors.Is(err, ErrRemoved) && !errors.Is(err, ErrUnknownNode) {
		t.Fatal(err)
	}
	c.close()
	testkit.Until(t, "forgotten", func() bool { return len(f.Nodes()) == 0 })
}

func TestNodeIsTheCertificates(t *testing.T) {
	f := start(t, nil)
	f.Update("victim", resource.ClusterType, map[string]*Resource{"secret": cluster(t, "secret", 1)}, nil)
	f.Update("n", resource.ClusterType, map[string]*Resource{"own": cluster(t, "own", 1)}, nil)
	c := f.connect(t, "n")
	c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.ClusterType, Node: &corev3.Node{Id: "victim"}})
	c.ack(c.expect([]string{"own"}, nil))
}

func TestVersionIsOfTheContent(t *testing.T) {
	equal(t, cluster(t, "a", 1).Version, cluster(t, "a", 1).Version)
	if cluster(t, "a", 1).Version == cluster(t, "a", 2).Version {
		t.Fatal("two contents, one version")
	}
}
