package translate

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// TestADSConfigSource pins the bytes: Envoy keys the providers of secrets by them. This test must never be changed.
func TestADSConfigSource(t *testing.T) {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(ADSConfigSource())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := hex.EncodeToString(data), "2202080f30021a00"; got != want {
		t.Errorf("the config source is %s, want %s for ever", got, want)
	}
}

// TestWhatAChangeTouches holds the promise that a change pushes nothing else: each is one edit of the same tree.
func TestWhatAChangeTouches(t *testing.T) {
	base := func() *model.LoadBalancer {
		return decodeTree(t, []byte(`{"loadbalancer_id": "lb", "vip_address": "192.0.2.10",
			"listeners": [
				{"listener_id": "web", "protocol": "HTTP", "protocol_port": 80, "default_pool_id": "blue"},
				{"listener_id": "db", "protocol": "TCP", "protocol_port": 3306, "default_pool_id": "blue"}],
			"pools": [
				{"pool_id": "blue", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN",
				 "members": [{"member_id": "m1", "address": "198.51.100.1", "protocol_port": 80}]},
				{"pool_id": "green", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": []},
				{"pool_id": "least", "protocol": "HTTP", "lb_algorithm": "LEAST_CONNECTIONS", "members": []},
				{"pool_id": "watched", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "healthmonitor": {"healthmonitor_id": "hm", "type": "TCP",
				 "delay": 5, "timeout": 3, "max_retries": 2}, "members": [{"member_id": "m9", "address": "198.51.100.9", "protocol_port": 80}]}]}`))
	}
	watch := func(lb *model.LoadBalancer) *model.LoadBalancer { // by the HTTP listener
		lb.Listeners[0].DefaultPoolID = "watched"
		return lb
	}
	t.Run("monitored", func(t *testing.T) {
		for name, test := range map[string]struct {
			change func(*model.Pool)
			want   []string
		}{
			"a member more": {func(p *model.Pool) {
				p.Members = append(p.Members, model.Member{ID: "m2", Address: "198.51.100.2", ProtocolPort: 80, Weight: 1, AdminStateUp: true})
			}, []string{"changed watched@"}},
			"a weight":           {func(p *model.Pool) { p.Members[0].Weight = 0 }, []string{"changed watched@"}},
			"a place to monitor": {func(p *model.Pool) { p.Members[0].MonitorPort = 8081 }, []string{"changed watched@"}},
			"a pool down":        {func(p *model.Pool) { p.AdminStateUp = false }, []string{"changed watched@"}},
			"words":              {func(p *model.Pool) { p.HealthMonitor.Name = "other" }, nil},
			"a delay":            {func(p *model.Pool) { p.HealthMonitor.Delay = 6 }, []string{"changed watched", "gone watched@", "new watched@"}},
			"a monitor down":     {func(p *model.Pool) { p.HealthMonitor.AdminStateUp = false }, []string{"changed watched", "gone watched@", "new watched@"}},
			"no monitor":         {func(p *model.Pool) { p.HealthMonitor = nil }, []string{"changed watched", "gone watched@", "new watched@"}},
		} {
			tree := watch(base())
			test.change(&tree.Pools[3])
			want := map[string]bool{}
			for _, line := range test.want {
				want[line] = true
			}
			if diff := cmp.Diff(want, changes(translated(t, watch(base())), translated(t, tree))); diff != "" {
				t.Errorf("%s: -want +got:\n%s", name, diff)
			}
		}
	})
	for name, test := range map[string]struct {
		change func(*model.LoadBalancer)
		want   []string
	}{
		"nothing": {func(*model.LoadBalancer) {}, nil},
		"order and words": {func(lb *model.LoadBalancer) {
			lb.Name, lb.Pools[0], lb.Pools[1] = "other", lb.Pools[1], lb.Pools[0]
			lb.Listeners[0], lb.Listeners[1] = lb.Listeners[1], lb.Listeners[0]
		}, nil},
		"a member more": {func(lb *model.LoadBalancer) {
			lb.Pools[0].Members = append(lb.Pools[0].Members,
				model.Member{ID: "m2", Address: "198.51.100.2", ProtocolPort: 80, Weight: 1, AdminStateUp: true})
		}, []string{"changed blue@", "changed tcp:db@"}},
		"a weight": {func(lb *model.LoadBalancer) { lb.Pools[0].Members[0].Weight = 0 }, []string{"changed blue@", "changed tcp:db@"}},
		"a place to monitor": {func(lb *model.LoadBalancer) {
			lb.Pools[0].Members[0].MonitorPort = 8081
		}, []string{"changed blue@", "changed tcp:db@"}},
		"a monitor": {func(lb *model.LoadBalancer) {
			monitor := *lb.Pools[3].HealthMonitor
			lb.Pools[0].HealthMonitor = &monitor
		}, []string{
			"changed blue", "gone blue@", "new blue@", "changed tcp:db", "gone tcp:db@", "new tcp:db@",
		}},
		"HTTP: a monitored pool": {func(lb *model.LoadBalancer) { watch(lb) }, []string{"changed web", "new watched", "new watched@"}},
		"TCP: a monitored pool": {
			func(lb *model.LoadBalancer) { lb.Listeners[1].DefaultPoolID = "watched" },
			[]string{"changed tcp:db", "gone tcp:db@", "new tcp:db@"},
		},
		"an additional VIP": {func(lb *model.LoadBalancer) {
			lb.AdditionalVIPs = []model.AdditionalVIP{{IPAddress: "2001:db8::10"}}
		}, []string{"changed web", "changed db"}},
		"a pool down":  {func(lb *model.LoadBalancer) { lb.Pools[0].AdminStateUp = false }, []string{"changed blue@", "changed tcp:db@"}},
		"HTTP: a pool": {func(lb *model.LoadBalancer) { lb.Listeners[0].DefaultPoolID = "green" }, []string{"changed web"}},
		"HTTP: no pool": {
			func(lb *model.LoadBalancer) { lb.Listeners[0].DefaultPoolID = "" },
			[]string{"changed web"},
		},
		"HTTP: headers": {func(lb *model.LoadBalancer) {
			lb.Listeners[0].InsertHeaders = map[string]string{"X-Forwarded-For": "true"}
		}, []string{"changed web"}},
		"HTTP: a policy": {func(lb *model.LoadBalancer) {
			lb.Listeners[0].L7Policies = []model.L7Policy{rejects("a")}
		}, []string{"changed web"}},
		"HTTP: a policy to a pool": {func(lb *model.LoadBalancer) {
			elsewhere := rejects("a")
			elsewhere.Action, elsewhere.RedirectPoolID = model.L7ActionRedirectToPool, "green"
			lb.Listeners[0].L7Policies = []model.L7Policy{elsewhere}
		}, []string{"changed web"}},
		"HTTP: a policy that is down": {func(lb *model.LoadBalancer) {
			down := rejects("a")
			down.AdminStateUp = false
			lb.Listeners[0].L7Policies = []model.L7Policy{down}
		}, nil},
		"TCP: a pool":  {func(lb *model.LoadBalancer) { lb.Listeners[1].DefaultPoolID = "green" }, []string{"changed tcp:db@"}},
		"TCP: no pool": {func(lb *model.LoadBalancer) { lb.Listeners[1].DefaultPoolID = "" }, []string{"changed tcp:db@"}},
		"PROMETHEUS": {func(lb *model.LoadBalancer) { // the endpoints get the ids of their members, and nothing else changes
			lb.Listeners = append(lb.Listeners, model.Listener{
				ID: "metrics", Protocol: model.ProtocolPrometheus, ProtocolPort: 8088, AdminStateUp: true,
			})
		}, []string{"new metrics", "changed blue@", "changed tcp:db@"}},
		"a listener down": {func(lb *model.LoadBalancer) { lb.Listeners[1].AdminStateUp = false }, []string{"gone db"}},
		"an algorithm": {
			func(lb *model.LoadBalancer) { lb.Pools[1].LBAlgorithm = "LEAST_CONNECTIONS" },
			[]string{"changed green", "gone green@", "new green@"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tree := base()
			test.change(tree)
			got := changes(translated(t, base()), translated(t, tree))
			want := map[string]bool{}
			for _, line := range test.want {
				want[line] = true
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func rejects(id string) model.L7Policy {
	return model.L7Policy{ID: id, AdminStateUp: true, Action: model.L7ActionReject, Position: 1, Rules: []model.L7Rule{{
		ID: "r", AdminStateUp: true, Type: model.L7TypePath, CompareType: model.L7CompareRegex, Value: "^/a",
	}}}
}

// changes lists the names that differ, those of endpoints without their hash.
func changes(old, changed *Resources) map[string]bool {
	all := map[string]bool{}
	for _, typeURL := range TypeURLs() {
		before, after := old.All(typeURL), changed.All(typeURL)
		for name, message := range before {
			switch other, ok := after[name]; {
			case !ok:
				all["gone "+withoutHash(name)] = true
			case !proto.Equal(message, other):
				all["changed "+withoutHash(name)] = true
			}
		}
		for name := range after {
			if _, ok := before[name]; !ok {
				all["new "+withoutHash(name)] = true
			}
		}
	}
	return all
}

func withoutHash(name string) string {
	if at := strings.IndexByte(name, '@'); at >= 0 {
		return name[:at+1]
	}
	return name
}

func translated(t *testing.T, tree *model.LoadBalancer) *Resources {
	t.Helper()
	res, err := LoadBalancer(tree)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestOwners(t *testing.T) {
	res, err := LoadBalancer(readTree(t, "testdata/two-listeners"))
	if err != nil {
		t.Fatal(err)
	}
	res2, err := LoadBalancer(readTree(t, "testdata/tcp-no-pool"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]model.Ref{}
	for _, owners := range []map[Key]model.Ref{res.Owners, res2.Owners} {
		for key, owner := range owners {
			got[key.TypeURL[strings.LastIndexByte(key.TypeURL, '.')+1:]+" "+withoutHash(key.Name)+" "+owner.ID] = owner
		}
	}
	listener := func(id string) model.Ref { return model.Ref{Kind: model.KindListener, ID: id} }
	pool := func(id string) model.Ref { return model.Ref{Kind: model.KindPool, ID: id} }
	want := map[string]model.Ref{
		"Listener web web": listener("web"), "RouteConfiguration web web": listener("web"), "Listener db db": listener("db"),
		"Cluster blue blue": pool("blue"), "ClusterLoadAssignment blue@ blue": pool("blue"),
		"Cluster tcp:db green": pool("green"), "ClusterLoadAssignment tcp:db@ green": pool("green"),
		"Cluster green green": pool("green"), "ClusterLoadAssignment green@ green": pool("green"),
		"Cluster tcp:db db": listener("db"), "ClusterLoadAssignment tcp:db@ db": listener("db"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNothing(t *testing.T) {
	res, err := LoadBalancer(nil)
	if res == nil || len(Problems(err)) != 1 {
		t.Errorf("got %v and %v", res, err)
	}
	if problems := Problems(nil); problems != nil {
		t.Errorf("got %v", problems)
	}
	if got := res.All("other"); got != nil {
		t.Errorf("an unknown type has resources: %v", got)
	}
}

// TestCheck breaks good resources in every way that the translation must not.
func TestCheck(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(*Resources)
		want  string
	}{
		"route gone":     {func(r *Resources) { delete(r.Routes, "web") }, "listener web: web: it uses the route configuration"},
		"cluster gone":   {func(r *Resources) { delete(r.Clusters, "blue") }, `listener web: web: it leads to the cluster "blue"`},
		"TCP cluster":    {func(r *Resources) { delete(r.Clusters, "tcp:db") }, `listener db: db: it uses the cluster "tcp:db"`},
		"endpoints gone": {func(r *Resources) { clear(r.Endpoints) }, `pool blue: blue: its endpoints are "blue@`},
		"listener gone":  {func(r *Resources) { delete(r.Listeners, "web") }, "listener web: web: no listener uses it"},
		"no owner": {
			func(r *Resources) { delete(r.Owners, Key{resourcev3.ClusterType, "blue"}) },
			"blue: it has no owner",
		},
		"owner of nothing": {
			func(r *Resources) { r.Owners[Key{resourcev3.ClusterType, "x"}] = model.Ref{Kind: "pool", ID: "x"} },
			"pool x: x: it has an owner and is not there",
		},
	} {
		t.Run(name, func(t *testing.T) {
			res := translated(t, readTree(t, "testdata/two-listeners"))
			if problems := check(res); len(problems) > 0 {
				t.Fatalf("good resources have %v", problems)
			}
			test.spoil(res)
			var all []error
			for _, problem := range check(res) {
				all = append(all, problem)
			}
			if err := errors.Join(all...); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// TestEnvoysOwnRules shows that what Envoy's rules refuse is found before it is sent, inside an Any too.
func TestEnvoysOwnRules(t *testing.T) {
	bad := &endpointv3.ClusterLoadAssignment{}
	problem := refused(model.Ref{Kind: model.KindPool, ID: "blue"}, bad.ValidateAll())
	if problem.Field != "ClusterName" || !strings.Contains(problem.Error(), "pool blue: ClusterName: ") {
		t.Errorf("got %v", problem)
	}
	if _, err := pack(&corev3.Pipe{}); err == nil {
		t.Error("a pipe without a path was packed")
	}
}

func TestYAML(t *testing.T) {
	text, err := YAML(translated(t, readTree(t, "testdata/http-listener")))
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, part := range []string{"---\n# clusters.yaml\n- ", "---\n# endpoints.yaml\n- ", "---\n# listeners.yaml\n- ", "---\n# routes.yaml\n- "} {
		next := strings.Index(text[at:], part)
		if next < 0 {
			t.Fatalf("no %q after byte %d of\n%s", part, at, text)
		}
		at += next
	}
}

func TestYAMLHidesKeys(t *testing.T) {
	res := NewResources()
	res.Secrets["s"] = &tlsv3.Secret{Name: "s", Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
		PrivateKey: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: "hush"}},
	}}}
	text, err := YAML(res)
	if err != nil || strings.Contains(text, "hush") || !strings.Contains(text, "name: s") {
		t.Errorf("got %q, %v", text, err)
	}
}

// TestStaticLeavesTheResourcesAlone guards the publisher, which sends what a caller may also have rendered.
func TestStaticLeavesTheResourcesAlone(t *testing.T) {
	res := translated(t, readTree(t, "testdata/two-listeners"))
	before, err := YAML(res)
	if err != nil {
		t.Fatal(err)
	}
	static, err := Static(res)
	if err != nil {
		t.Fatal(err)
	}
	if after, err := YAML(res); err != nil || after != before {
		t.Errorf("the resources changed: %v\n%s", err, cmp.Diff(before, after))
	}
	document, err := protojson.Marshal(static)
	if err != nil || strings.Contains(string(document), `"ads"`) {
		t.Errorf("it still asks a controller: %v", err)
	}
	clear(res.Endpoints)
	if _, err := Static(res); err == nil {
		t.Error("a cluster without endpoints is no error")
	}
	clear(res.Clusters)
	clear(res.Routes)
	if _, err := Static(res); err == nil {
		t.Error("a listener without routes is no error")
	}
}
