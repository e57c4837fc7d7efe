package translate

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// TestTranslatorIsFresh changes trees at random, some of them in place and some back to what they were: whatever was before, what
// a Translator returns is what a first translation does. Each sequence is of two cases that take turns under one id.
func TestTranslatorIsFresh(t *testing.T) {
	dirs := cases(t)
	var trees []*model.LoadBalancer
	for _, dir := range dirs {
		tree := readTree(t, dir)
		tree.ID = "lb"
		trees = append(trees, tree)
	}
	reused := 0
	for i := 0; i < len(dirs); i += 2 {
		t.Run(dirs[i], func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(i), 7)) // the same every time
			translator := &Translator{most: 1 << 30, known: map[string]*remembered{}}
			tree := cloned(trees[i])
			for range 25 {
				if random.IntN(3) == 0 {
					tree = cloned(trees[(i+random.IntN(2))%len(trees)])
				}
				for range random.IntN(3) {
					change(tree, random)
				}
				before := translator.before("lb")
				reused += same(t, translator, tree, before)
				if t.Failed() {
					return
				}
			}
		})
	}
	if reused < 500 {
		t.Errorf("only %d parts were taken from before: this tests nothing", reused)
	}
}

// FuzzTranslator is the same with hostile values.
func FuzzTranslator(f *testing.F) {
	var trees []*model.LoadBalancer
	for _, dir := range cases(f) {
		trees = append(trees, readTree(f, dir))
	}
	for i := 0; i < len(trees); i += 4 {
		f.Add(uint16(i), uint64(i))
	}
	f.Fuzz(func(t *testing.T, first uint16, seed uint64) {
		m := &mutator{rand.New(rand.NewPCG(seed, 1))} // it shall be the same every time
		translator := &Translator{most: 1 << 30, known: map[string]*remembered{}}
		tree := cloned(trees[int(first)%len(trees)])
		for range 6 {
			m.mutate(reflect.ValueOf(tree).Elem())
			tree.ID = "lb"
			same(t, translator, tree, translator.before("lb"))
		}
	})
}

// same holds a Translator's result against a fresh one, and returns how many parts it took from before.
func same(t *testing.T, translator *Translator, tree *model.LoadBalancer, before parts) int {
	t.Helper()
	got, errGot := translator.LoadBalancer(tree)
	want, errWant := LoadBalancer(tree)
	if diff := cmp.Diff(marshalled(t, want), marshalled(t, got)); diff != "" {
		t.Errorf("other resources than at first: %s", diff)
	}
	if diff := cmp.Diff(want.Owners, got.Owners); diff != "" {
		t.Errorf("other owners: %s", diff)
	}
	if diff := cmp.Diff(want.Notes, got.Notes); diff != "" {
		t.Errorf("other notes: %s", diff)
	}
	if diff := cmp.Diff(Problems(errWant), Problems(errGot)); diff != "" {
		t.Errorf("other problems: %s", diff)
	}
	for key := range got.Owners {
		wire, err := got.Wire(key)
		if err != nil {
			t.Fatal(err)
		}
		bytes, err := cache.MarshalResource(want.message(key))
		if err != nil {
			t.Fatal(err)
		}
		if string(wire.Bytes) != string(bytes) || wire.Version != cache.HashResource(bytes) {
			t.Errorf("%s is sent as something else", key)
		}
	}
	for _, problem := range check(got) {
		t.Errorf("not whole: %v", problem)
	}
	reused := 0
	for ref, part := range translator.before(tree.ID) {
		if before[ref] == part {
			reused++
		}
	}
	return reused
}

// change makes one of the changes that users make.
func change(lb *model.LoadBalancer, random *rand.Rand) {
	listener, pool := anyOf(random, lb.Listeners), anyOf(random, lb.Pools)
	switch random.IntN(16) {
	case 0:
		lb.AdminStateUp = !lb.AdminStateUp
	case 1:
		lb.VIPAddress = []string{"192.0.2.1", "2001:db8::1", "none"}[random.IntN(3)]
	case 2:
		random.Shuffle(len(lb.Listeners), func(i, j int) { lb.Listeners[i], lb.Listeners[j] = lb.Listeners[j], lb.Listeners[i] })
		random.Shuffle(len(lb.Pools), func(i, j int) { lb.Pools[i], lb.Pools[j] = lb.Pools[j], lb.Pools[i] })
	case 3:
		more := model.Listener{ID: "more", Protocol: []string{"PROMETHEUS", "UDP", "TCP"}[random.IntN(3)], ProtocolPort: 443 + random.IntN(2), AdminStateUp: true}
		lb.Listeners = append(lb.Listeners, more)
	case 4:
		if pool != nil {
			again := *pool
			again.LBAlgorithm = model.AlgorithmSourceIP
			lb.Pools = append(lb.Pools, again)
		}
	case 5:
		if pool != nil {
			i := random.IntN(len(lb.Pools))
			lb.Pools = slices.Delete(lb.Pools, i, i+1)
		}
	case 6:
		lb.Flavor = []map[string]any{nil, {"http3": true}, {"access_log": true}, {"outlier_detection": map[string]any{"consecutive_5xx": 3}}, {"?": 1}}[random.IntN(5)]
	case 7, 8, 9, 10:
		if listener != nil {
			changeListener(lb, listener, random)
		}
	default:
		if pool != nil {
			changePool(pool, random)
		}
	}
}

func changeListener(lb *model.LoadBalancer, listener *model.Listener, random *rand.Rand) {
	switch random.IntN(6) {
	case 0:
		listener.AdminStateUp = !listener.AdminStateUp
	case 1:
		listener.TimeoutMemberConnect = []int{5000, 0, 777, -1}[random.IntN(4)]
	case 2:
		listener.ProtocolPort = []int{80, 443, 0, 8080}[random.IntN(4)]
	case 3:
		if other := anyOf(random, lb.Pools); other != nil {
			listener.DefaultPoolID = other.ID
		}
	case 4:
		listener.Protocol = []string{"HTTP", "TCP", "UDP", "SCTP"}[random.IntN(4)]
	default:
		if listener.DefaultTLSContainer != nil {
			listener.DefaultTLSContainer.OCSPResponse = []byte{byte(random.IntN(3))} // in place, as staples are
		}
	}
}

func changePool(pool *model.Pool, random *rand.Rand) {
	switch random.IntN(7) {
	case 0:
		pool.AdminStateUp = !pool.AdminStateUp
	case 1:
		pool.LBAlgorithm = []string{"ROUND_ROBIN", "SOURCE_IP", "SOURCE_IP_PORT", "?"}[random.IntN(4)]
	case 2:
		pool.SessionPersistence = &model.SessionPersistence{Type: []string{"HTTP_COOKIE", "SOURCE_IP"}[random.IntN(2)]}
	case 3:
		number := random.IntN(4)
		pool.Members = append(pool.Members, model.Member{
			ID: fmt.Sprintf("m%d", number), Address: "192.0.2.9", ProtocolPort: 1000 + number, Weight: 1, AdminStateUp: true,
		})
	case 4:
		if len(pool.Members) > 0 {
			pool.Members = pool.Members[1:]
		}
	case 5:
		pool.HealthMonitor = []*model.HealthMonitor{nil, {
			ID: "monitor", Type: "TCP", Delay: 5, Timeout: 3, MaxRetries: 3, MaxRetriesDown: 3, AdminStateUp: true,
		}}[random.IntN(2)]
	default:
		if member := anyOf(random, pool.Members); member != nil {
			member.Weight = random.IntN(4)
		}
	}
}

func anyOf[T any](random *rand.Rand, all []T) *T {
	if len(all) == 0 {
		return nil
	}
	return &all[random.IntN(len(all))]
}

// cloned returns a copy that shares nothing.
func cloned(lb *model.LoadBalancer) *model.LoadBalancer {
	return deep(reflect.ValueOf(lb)).Interface().(*model.LoadBalancer)
}

func deep(v reflect.Value) reflect.Value {
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			c.Set(reflect.New(v.Type().Elem()))
			c.Elem().Set(deep(v.Elem()))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			c.Field(i).Set(deep(v.Field(i)))
		}
	case reflect.Slice:
		if !v.IsNil() {
			c.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
			for i := range v.Len() {
				c.Index(i).Set(deep(v.Index(i)))
			}
		}
	}
	return c
}

// TestTranslatorForgets what is gone, what was used longest ago, and what has become too small to be worth it.
func TestTranslatorForgets(t *testing.T) {
	translator := &Translator{worth: 3, most: 10, known: map[string]*remembered{}}
	translate := func(id string, members int, want ...string) {
		t.Helper()
		lb := large(members) // and a listener, and a pool
		lb.ID = id
		if _, err := translator.LoadBalancer(lb); err != nil {
			t.Fatal(err)
		}
		known, size := []string{}, 0
		for id, one := range translator.known {
			known, size = append(known, id), size+one.size
		}
		slices.Sort(known)
		if !slices.Equal(known, want) || size != translator.size {
			t.Errorf("got %v of %d objects and not %d, want %v", known, translator.size, size, want)
		}
	}
	translate("a", 1, "a")
	translate("b", 2, "a", "b")
	translate("a", 2, "a", "b")
	translate("c", 1, "a", "c")
	translate("a", 0, "c")
	translate("d", 9, "c")
	translator.Forget("c")
	translate("d", 0)
}

// TestFingerprintSeesEveryField changes each value in a tree that has all of them, alone.
func TestFingerprintSeesEveryField(t *testing.T) {
	var lb model.LoadBalancer
	full(reflect.ValueOf(&lb).Elem())
	lb.Flavor, lb.AvailabilityZone = map[string]any{"a": []any{1.5, nil, map[string]any{"b": true}}}, "az"
	first, count := fingerprintOf(lb), 0
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		zero := func() {
			count++
			was := reflect.New(v.Type()).Elem()
			was.Set(v)
			v.SetZero()
			if fingerprintOf(lb) == first {
				t.Errorf("%s is not seen", path)
			}
			v.Set(was)
		}
		zero()
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				walk(path+"."+v.Type().Field(i).Name, v.Field(i))
			}
		case reflect.Pointer:
			walk(path, v.Elem())
		case reflect.Slice:
			walk(path, v.Index(0))
		}
	}
	walk("LoadBalancer", reflect.ValueOf(&lb).Elem())
	if count < 100 || fingerprintOf(lb) != first {
		t.Errorf("%d values, and another fingerprint of the same tree", count)
	}
	if fingerprintOf("a", "bc") == fingerprintOf("ab", "c") || fingerprintOf([]string{}) == fingerprintOf([]string(nil)) {
		t.Error("what differs has one fingerprint")
	}
}

// full gives everything in a value some content.
func full(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for _, field := range v.Fields() {
			full(field)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		full(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		full(v.Index(0))
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(1)
	case reflect.Uint8:
		v.SetUint(1)
	case reflect.Float64:
		v.SetFloat(1)
	case reflect.Map:
		if v.Type().Elem().Kind() == reflect.String {
			v.Set(reflect.ValueOf(map[string]string{"k": "v"}))
		}
	}
}

// TestReferencesAreAll holds what is known of references against all that is written in the resources of every case: whoever waits
// for a secret or routes until Envoy has them relies on it.
func TestReferencesAreAll(t *testing.T) {
	found := 0
	for _, dir := range cases(t) {
		res, _ := LoadBalancer(readTree(t, dir))
		for _, typeURL := range []string{resourcev3.ListenerType, resourcev3.ClusterType} {
			for name, message := range res.All(typeURL) {
				want := map[Key]bool{}
				err := protorange.Range(message.ProtoReflect(), func(at protopath.Values) error {
					inner, ok := at.Index(-1).Value.Interface().(protoreflect.Message)
					if !ok {
						return nil
					}
					switch inner := inner.Interface().(type) {
					case *hcmv3.Rds:
						want[Key{resourcev3.RouteType, inner.GetRouteConfigName()}] = true
					case *tlsv3.SdsSecretConfig:
						want[Key{resourcev3.SecretType, inner.GetName()}] = true
					case *clusterv3.Cluster_EdsClusterConfig:
						want[Key{resourcev3.EndpointType, inner.GetServiceName()}] = true
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				got := map[Key]bool{}
				for _, key := range res.Named(Key{typeURL, name}) {
					if key.TypeURL != resourcev3.ClusterType {
						got[key] = true
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s: %s: %s", dir, name, diff)
				}
				found += len(want)
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d references", found)
	}
}

// TestTranslatorSeesPortsOfUDP takes the port of HTTP/3 from a listener that is as it was.
func TestTranslatorSeesPortsOfUDP(t *testing.T) {
	tree, translator := readTree(t, "testdata/flavor-http3"), &Translator{most: 1 << 30, known: map[string]*remembered{}}
	same(t, translator, tree, nil)
	for i := range tree.Listeners {
		tree.Listeners = append(tree.Listeners, model.Listener{
			ID: fmt.Sprintf("udp-%d", i), Protocol: "UDP", ProtocolPort: tree.Listeners[i].ProtocolPort, AdminStateUp: true,
		})
	}
	same(t, translator, tree, nil)
}
