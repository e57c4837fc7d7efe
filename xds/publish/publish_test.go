package publish

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/octavia-envoy/octavia-envoy/xds/server"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

const node = "n"

// resources is a listener whose route leads to a pool, in one of many versions of the pool's cluster.
func resources(t *testing.T, pool string, members int, version int64) *translate.Resources {
	t.Helper()
	hcm, err := anypb.New(&hcmv3.HttpConnectionManager{
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{RouteConfigName: "l"}},
	})
	must(t, err)
	r := translate.NewResources()
	r.Listeners["l"] = &listenerv3.Listener{Name: "l", FilterChains: []*listenerv3.FilterChain{{
		Filters: []*listenerv3.Filter{{ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: hcm}}},
	}}}
	r.Routes["l"] = &routev3.RouteConfiguration{Name: "l", VirtualHosts: []*routev3.VirtualHost{{
		Routes: []*routev3.Route{{Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: pool},
		}}}},
	}}}
	r.Clusters[pool] = &clusterv3.Cluster{
		Name: pool, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig: &clusterv3.Cluster_EdsClusterConfig{ServiceName: pool + "@"},
		ConnectTimeout:   &durationpb.Duration{Seconds: version},
	}
	r.Endpoints[pool+"@"] = &endpointv3.ClusterLoadAssignment{
		ClusterName: pool + "@", Endpoints: make([]*endpointv3.LocalityLbEndpoints, members),
	}
	return r
}

func check(t *testing.T, got, want []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("-want +got:\n%s", diff)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestPhasesOfANewPool(t *testing.T) {
	f := newFake()
	p := New(f, f, nil)
	_, err := p.Publish(t.Context(), node, resources(t, "a", 1, 1))
	must(t, err)
	f.log = nil
	_, err = p.Publish(t.Context(), node, resources(t, "b", 1, 1))
	must(t, err)
	check(t, f.log, []string{
		"set endpoint b@", "set cluster b", "wait cluster b", "wait endpoint b@", "warm",
		"set route l", "wait route l",
		"remove cluster a", "wait for the end of cluster a", "remove endpoint a@",
	})
}

func TestFirstPublishSpeaksOfEveryType(t *testing.T) {
	f := newFake()
	_, err := New(f, f, nil).Publish(t.Context(), node, translate.NewResources())
	must(t, err)
	check(t, f.log, []string{"set secret", "set endpoint", "set cluster", "warm", "set route", "set listener", "wait to be told"})
}

func TestMemberTakesNoPhases(t *testing.T) {
	f := newFake()
	p := New(f, f, nil)
	_, err := p.Publish(t.Context(), node, resources(t, "a", 1, 1))
	must(t, err)
	f.log = nil
	_, err = p.Publish(t.Context(), node, resources(t, "a", 2, 1))
	must(t, err)
	check(t, f.log, []string{"set endpoint a@", "wait endpoint a@"})
}

func TestRestoredNodeIsOnlyWaitedFor(t *testing.T) {
	f := newFake()
	p := New(f, f, nil)
	must(t, p.Restore(node, resources(t, "a", 1, 1)))
	f.log = nil
	f.held[server.Key{TypeURL: resource.ClusterType, Name: "foreign"}] = "1"
	_, err := p.Publish(t.Context(), node, resources(t, "a", 1, 1))
	must(t, err)
	check(t, f.log, []string{
		"wait cluster a", "wait endpoint a@", "warm", "wait listener l", "wait route l",
		"wait to be told", "remove cluster foreign", "wait for the end of cluster foreign",
	})
}

func TestRefusedRouteKeepsItsPool(t *testing.T) {
	synctest.Test(t, refusedRouteKeepsItsPool)
}

func refusedRouteKeepsItsPool(t *testing.T) {
	f := newFake()
	p := New(f, f, nil)
	_, err := p.Publish(t.Context(), node, resources(t, "a", 1, 1))
	must(t, err)
	f.refuse = server.Key{TypeURL: resource.RouteType, Name: "l"}
	result, err := p.Publish(t.Context(), node, resources(t, "b", 1, 1))
	must(t, err)
	if diff := cmp.Diff(map[translate.Key]string{translate.Key(f.refuse): "no"}, result.Rejected); diff != "" {
		t.Fatal(diff)
	}
	check(t, f.names(resource.ClusterType), []string{"a", "b"})
	check(t, f.names(resource.EndpointType), []string{"a@", "b@"})
	f.refuse = server.Key{}
	time.Sleep(retryAfter)
	_, err = p.Publish(t.Context(), node, resources(t, "b", 1, 1))
	must(t, err)
	check(t, f.names(resource.ClusterType), []string{"b"})
	check(t, f.names(resource.EndpointType), []string{"b@"})
}

// Nobody asks for the endpoints of a refused cluster: waiting for them would never end.
func TestRefusedClusterIsNotWaitedFor(t *testing.T) {
	f := newFake()
	f.refuse = server.Key{TypeURL: resource.ClusterType, Name: "a"}
	result, err := New(f, f, nil).Publish(t.Context(), node, resources(t, "a", 1, 1))
	must(t, err)
	if len(result.Rejected) != 1 || slices.Contains(f.log, "wait endpoint a@") {
		t.Fatal(result, f.log)
	}
}

func TestRejectionGoesWithItsResource(t *testing.T) {
	f := newFake()
	p := New(f, f, nil)
	f.refuse = server.Key{TypeURL: resource.ListenerType, Name: "l"}
	_, err := p.Publish(t.Context(), node, resources(t, "a", 1, 1))
	must(t, err)
	if len(f.refused) != 1 {
		t.Fatalf("refused: %v", f.refused)
	}
	_, err = p.Publish(t.Context(), node, translate.NewResources())
	must(t, err)
	if len(f.refused) > 0 {
		t.Fatalf("still shown as refused: %v", f.refused)
	}
}

// Envoy takes no second listener at an address, so the former one goes in the same message.
func TestListenerGoesWithItsAddress(t *testing.T) {
	f := newFake()
	p := New(f, f, nil)
	at := func(port uint32, also ...uint32) *listenerv3.Listener {
		address := func(port uint32) *corev3.Address {
			return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
				Address: "192.0.2.1", Protocol: corev3.SocketAddress_UDP, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
			}}}
		}
		listener := &listenerv3.Listener{Address: address(port)}
		for _, port := range also {
			listener.AdditionalAddresses = append(listener.AdditionalAddresses, &listenerv3.AdditionalAddress{Address: address(port)})
		}
		return listener
	}
	publish := func(listeners map[string]*listenerv3.Listener) {
		want := translate.NewResources()
		for name, listener := range listeners {
			listener.Name, want.Listeners[name] = name, listener
		}
		f.log = nil
		_, err := p.Publish(t.Context(), node, want)
		must(t, err)
	}
	publish(map[string]*listenerv3.Listener{"a": at(1, 2), "b": at(3), "c": at(4)})
	publish(map[string]*listenerv3.Listener{"c": at(4), "d": at(5, 2)})
	check(t, f.log, []string{
		"set and remove listener d a", "wait listener d", "warm", "remove listener b", "wait for the end of listener b",
	})
}

func TestInterruptedPublishIsContinued(t *testing.T) {
	f := newFake()
	p := New(f, f, nil)
	_, err := p.Publish(t.Context(), node, resources(t, "a", 1, 1))
	must(t, err)
	f.deaf = true
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := p.Publish(ctx, node, resources(t, "b", 1, 1)); !errors.Is(err, context.DeadlineExceeded) ||
		!strings.Contains(err.Error(), "widen") {
		t.Fatal(err)
	}
	f.deaf, f.log = false, nil
	_, err = p.Publish(t.Context(), node, resources(t, "b", 1, 1))
	must(t, err)
	check(t, f.log[:3], []string{"wait cluster b", "wait endpoint b@", "warm"})
	check(t, f.names(resource.ClusterType), []string{"b"})
}

func TestNewestWins(t *testing.T) {
	f := newFake()
	p := New(f, f, nil)
	_, err := p.Publish(t.Context(), node, resources(t, "a", 1, 1))
	must(t, err)
	f.deaf = true
	f.waiting = make(chan struct{}, 1)
	older := make(chan error, 1)
	go func() {
		_, err := p.Publish(context.Background(), node, resources(t, "b", 1, 1))
		older <- err
	}()
	<-f.waiting
	newer := make(chan error, 1)
	go func() {
		_, err := p.Publish(context.Background(), node, resources(t, "c", 1, 1))
		newer <- err
	}()
	if err := <-older; !errors.Is(err, ErrSuperseded) {
		t.Fatal(err)
	}
	<-f.waiting
	p.Remove(node)
	if err := <-newer; !errors.Is(err, server.ErrRemoved) {
		t.Fatal(err)
	}
	if len(p.nodes) != 0 {
		t.Fatal("something is left")
	}
}

// fake is a server whose Envoy takes everything at once, but for what it shall refuse or is deaf to.
type fake struct {
	// mu is for tests that look at the resources while somebody publishes.
	mu      sync.Mutex
	log     []string
	have    map[server.Key]*server.Resource
	good    map[server.Key]*server.Resource
	held    map[server.Key]string
	types   map[string]bool
	refused map[server.Key]server.Rejection
	refuse  server.Key
	deaf    bool
	waiting chan struct{}
	// deafTo is a kind that it does not answer about, "the end" of anything, or "pause": it has taken the clusters, with their
	// endpoints, and does not answer about them because another one warms; takes is the time of each answer.
	deafTo   string
	takes    time.Duration
	refusals int
}

func newFake() *fake {
	return &fake{
		have: map[server.Key]*server.Resource{}, good: map[server.Key]*server.Resource{}, held: map[server.Key]string{},
		types: map[string]bool{}, refused: map[server.Key]server.Rejection{},
	}
}

func (f *fake) note(words ...string) {
	f.log = append(f.log, strings.TrimSpace(strings.Join(words, " ")))
}

func (f *fake) Update(_, typeURL string, set map[string]*server.Resource, remove []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.types[typeURL] = true
	if len(remove) > 0 && len(set) > 0 {
		f.note("set and remove", server.Kind(typeURL), strings.Join(slices.Sorted(maps.Keys(set)), ","), strings.Join(remove, ","))
	} else if len(remove) > 0 {
		f.note("remove", server.Kind(typeURL), strings.Join(remove, ","))
	} else {
		f.note("set", server.Kind(typeURL), strings.Join(slices.Sorted(maps.Keys(set)), ","))
	}
	for name, res := range set {
		key := server.Key{TypeURL: typeURL, Name: name}
		delete(f.refused, key)
		f.good[key], f.have[key] = f.have[key], res
		// A cluster that is not taken asks for no endpoints, either.
		untaken := f.deafTo == "cluster" && (typeURL == resource.ClusterType || typeURL == resource.EndpointType)
		paused := f.deafTo == "pause" && typeURL == resource.ClusterType
		if !f.deaf && !untaken && !paused {
			f.held[key] = res.Version
		}
	}
	for _, name := range remove {
		delete(f.have, server.Key{TypeURL: typeURL, Name: name})
		delete(f.held, server.Key{TypeURL: typeURL, Name: name})
		delete(f.refused, server.Key{TypeURL: typeURL, Name: name})
	}
}

func (f *fake) Revert(_ string, key server.Key) bool {
	if f.have[key] = f.good[key]; f.have[key] == nil {
		delete(f.have, key)
	}
	return false
}

func (f *fake) Resource(_ string, key server.Key) *server.Resource {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.have[key]
}

func (f *fake) Versions(_, typeURL string) map[string]string {
	if !f.types[typeURL] {
		return nil
	}
	versions := map[string]string{}
	for key, res := range f.have {
		if key.TypeURL == typeURL {
			versions[key.Name] = res.Version
		}
	}
	return versions
}

func (f *fake) names(typeURL string) []string {
	return slices.Sorted(maps.Keys(f.Versions(node, typeURL)))
}

func (f *fake) Held(_, typeURL string) map[string]string {
	held := map[string]string{}
	for key, version := range f.held {
		if key.TypeURL == typeURL {
			held[key.Name] = version
		}
	}
	return held
}

func (f *fake) Rejections(string) map[server.Key]server.Rejection { return maps.Clone(f.refused) }

func (f *fake) Wait(ctx context.Context, _ string, want map[server.Key]string, gone []server.Key) error {
	if f.deaf {
		if f.waiting != nil {
			f.waiting <- struct{}{}
		}
		<-ctx.Done()
		return context.Cause(ctx)
	}
	if f.takes > 0 {
		select {
		case <-time.After(f.takes):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for key := range want {
		if kind := server.Kind(key.TypeURL); kind == f.deafTo || kind == "cluster" && f.deafTo == "pause" {
			<-ctx.Done()
			return context.Cause(ctx)
		}
	}
	if f.deafTo == "the end" && len(gone) > 0 {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	for key := range want {
		f.note("wait", key.String())
	}
	for _, key := range gone {
		f.note("wait for the end of", key.String())
	}
	if version, waited := want[f.refuse]; waited {
		f.refused[f.refuse] = server.Rejection{Version: version, Text: "no", At: time.Now()}
		f.refusals++
		return &server.NACKError{Rejected: map[server.Key]string{f.refuse: "no"}}
	}
	return nil
}

func (f *fake) WaitTold(context.Context, string, ...string) error {
	f.note("wait to be told")
	return nil
}

func (f *fake) Adopt(node, typeURL string, all map[string]*server.Resource) {
	for key := range f.have {
		if key.TypeURL == typeURL && all[key.Name] == nil {
			delete(f.have, key)
		}
	}
	f.Update(node, typeURL, all, nil)
}

func (f *fake) RemoveNode(string) {}

func (f *fake) Warm(context.Context, string) error {
	f.note("warm")
	return nil
}

func TestPhasesAreMeasured(t *testing.T) {
	f := newFake()
	p := New(f, f, nil)
	registry := prometheus.NewRegistry()
	p.Metrics = NewMetrics(registry)
	_, err := p.Publish(t.Context(), node, resources(t, "a", 1, 1))
	must(t, err)
	families, err := registry.Gather()
	must(t, err)
	counts := map[string]uint64{}
	for _, metric := range families[0].GetMetric() {
		counts[metric.GetLabel()[0].GetValue()] = metric.GetHistogram().GetSampleCount()
	}
	if diff := cmp.Diff(map[string]uint64{"widen": 1, "warm": 2, "shift": 1, "narrow": 1, "relieve": 0}, counts); diff != "" {
		t.Errorf("measured (-want +got):\n%s", diff)
	}
}
