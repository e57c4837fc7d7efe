package integration

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// TestSoak changes a load balancer at random, in every way that its traffic is not concerned by, under traffic of every kind:
// through the store, reconciler, publisher and xDS servers of two controllers, between which the amphora moves, one of which
// restarts at times. Afterwards nothing was lost, what Envoy holds is a fresh translation of the tree, and neither the memory
// of Envoy nor that of the controllers nor their goroutines have grown.
//
// OE_SOAK says how long, an hour by hand: OE_SOAK=1h go test -timeout 0 -run TestSoak -v ./test/integration. OE_SOAK_SEED repeats a run.
func TestSoak(t *testing.T) {
	long, seed := 30*time.Second, uint64(time.Now().UnixNano())
	if text := os.Getenv("OE_SOAK"); text != "" {
		var err error
		long, err = time.ParseDuration(text)
		must(t, err)
	}
	if text := os.Getenv("OE_SOAK_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		must(t, err)
	}
	t.Logf("OE_SOAK_SEED=%d", seed)
	s := startStack(t)
	w := &warming{}
	first := s.controller(w)
	s.controller(w)
	way := startRelay(t, first.address)
	w.envoy = startEnvoy(t, s.ca, "lb", "lb", way.address())

	k := newSoak(t, s, way, w.envoy, rand.New(rand.NewPCG(seed, 1)))
	s.change(k.tree)
	s.active("lb")
	before := copied(k.tree)
	traffic := k.traffic()
	traffic.going()

	begin, changes := time.Now(), 0
	var at0 usage
	for warmUp := true; time.Since(begin) < long; changes++ {
		if warmUp && time.Since(begin) > long/4 {
			// Compared at the same configuration, after each kind of change has happened.
			warmUp = false
			k.tree = copied(before)
			s.change(k.tree)
			s.active("lb")
			traffic.going()
			at0 = k.usage()
		}
		k.step()
		s.change(k.tree)
		if k.random.IntN(3) > 0 { // otherwise the next one comes while this is under way
			s.active("lb")
		}
	}
	s.active("lb")
	t.Logf("%d changes in %s: %v", changes, time.Since(begin).Round(time.Second), k.done)
	k.equal()
	k.tree = copied(before)
	s.change(k.tree)
	s.active("lb")
	k.equal()
	traffic.going()
	k.flat(at0, k.usage())
	traffic.lossless()
	for what, n := range map[string]int{
		"resources that Envoy gave up waiting for": w.envoy.fetchTimeouts(),
		"refused listeners":                        w.envoy.stat("listener_manager.lds.update_rejected"),
		"refused clusters":                         w.envoy.stat("cluster_manager.cds.update_rejected"),
	} {
		if n > 0 {
			t.Errorf("%d %s", n, what)
		}
	}
}

// soak is the load balancer of a soak and what it may be changed to.
type soak struct {
	t      *testing.T
	stack  *stack
	way    *relay
	envoy  *envoy
	random *rand.Rand
	pki    *pki.Authority
	tree   *model.LoadBalancer
	// web are members for HTTP, raw those for TCP and UDP.
	web, raw []model.Member
	// done counts the changes by kind.
	done map[string]int
	next int
}

func newSoak(t *testing.T, s *stack, way *relay, e *envoy, random *rand.Rand) *soak {
	t.Helper()
	k := &soak{t: t, stack: s, way: way, envoy: e, random: random, pki: pki.New(t, "CA"), done: map[string]int{}}
	for i := range 4 {
		k.web = append(k.web, upgrading(t, "web"+strconv.Itoa(i)))
		k.raw = append(k.raw, echoing(t, "raw"+strconv.Itoa(i)))
	}
	of := func(id string, protocol string, members ...model.Member) model.Pool {
		p := pool(id, members...)
		p.Protocol = protocol
		return p
	}
	listen := func(id, protocol, poolID string) model.Listener {
		l := listener(t, id, poolID)
		l.Protocol = protocol
		return l
	}
	secured := listen("tls", model.ProtocolTerminatedHTTPS, "web-a")
	secured.DefaultTLSContainerRef = "https://barbican/0"
	secured.DefaultTLSContainer = k.pki.Issue(pki.Options{Names: []string{"x.example"}}).Container()
	k.tree = loadBalancer(
		[]model.Listener{
			listen("web", model.ProtocolHTTP, "web-a"), secured, listen("db", model.ProtocolTCP, "tcp"), listen("dns", model.ProtocolUDP, "udp"),
		},
		of("web-a", model.ProtocolHTTP, k.web[0], k.web[1]), of("web-b", model.ProtocolHTTP, k.web[2], k.web[3]),
		of("tcp", model.ProtocolTCP, k.raw[0], k.raw[1]), of("udp", model.ProtocolUDP, k.raw[2], k.raw[3]),
	)
	return k
}

func (k *soak) traffic() *crowd {
	traffic := startCrowd(k.t)
	config := &tls.Config{RootCAs: k.pki.Pool(), ServerName: "x.example"}
	traffic.join("HTTP requests", 3, requests(k.tree.Listeners[0], nil))
	traffic.join("WebSockets", 4, webSockets(k.tree.Listeners[0]))
	traffic.join("HTTPS requests", 2, requests(k.tree.Listeners[1], config))
	traffic.join("TLS handshakes", 1, handshakes(k.tree.Listeners[1], config))
	traffic.join("long TCP connections", 4, echoes("tcp", k.tree.Listeners[2], true))
	traffic.join("new TCP connections", 2, echoes("tcp", k.tree.Listeners[2], false))
	traffic.join("UDP sessions", 2, echoes("udp", k.tree.Listeners[3], true))
	traffic.join("UDP datagrams", 1, echoes("udp", k.tree.Listeners[3], false))
	return traffic
}

// step changes the tree, or the world around it, in one way.
func (k *soak) step() {
	k.tree = copied(k.tree)
	ways := k.ways()
	names := make([]string, 0, len(ways))
	for name := range ways {
		names = append(names, name)
	}
	slices.Sort(names)
	name := names[k.random.IntN(len(names))]
	ways[name]()
	k.done[name]++
}

func (k *soak) pick(n int) int { return k.random.IntN(n) }

// unique is an id that was not used before.
func (k *soak) unique(kind string) string {
	k.next++
	return fmt.Sprintf("%s-%d", kind, k.next)
}

// withPermanent adds the member that never leaves the pool while it is monitored.
func (k *soak) withPermanent(pool int, members []model.Member) []model.Member {
	permanent := k.web[2*pool]
	return append(slices.DeleteFunc(slices.Clone(members), func(m model.Member) bool { return m.ID == permanent.ID }), permanent)
}

func (k *soak) ways() map[string]func() {
	web, secured := &k.tree.Listeners[0], &k.tree.Listeners[1]
	httpPool := func() *model.Pool { return &k.tree.Pools[k.pick(2)] }
	return map[string]func(){
		"members": func() {
			i := k.pick(4)
			members := k.web
			if i >= 2 {
				members = k.raw
			}
			members = slices.Clone(members)
			k.random.Shuffle(len(members), func(a, b int) { members[a], members[b] = members[b], members[a] })
			chosen := members[:1+k.pick(len(members))]
			if k.tree.Pools[i].HealthMonitor != nil {
				// All of a monitored pool at once are none until the first check of the new ones has ended.
				chosen = k.withPermanent(i, chosen)
			}
			k.tree.Pools[i].Members = chosen
		},
		"weights": func() {
			members := k.tree.Pools[k.pick(4)].Members
			for i := range members {
				members[i].Weight = 1 + k.pick(256)
			}
		},
		"default pool":     func() { web.DefaultPoolID = k.tree.Pools[k.pick(2)].ID },
		"default pool TLS": func() { secured.DefaultPoolID = k.tree.Pools[k.pick(2)].ID },
		"certificate": func() {
			secured.DefaultTLSContainerRef = "https://barbican/" + k.unique("certificate")
			secured.DefaultTLSContainer = k.pki.Issue(pki.Options{Names: []string{"x.example"}}).Container()
		},
		"policy": func() {
			web.L7Policies = append(web.L7Policies, model.L7Policy{
				ID: k.unique("policy"), ListenerID: web.ID, AdminStateUp: true, Action: model.L7ActionReject, Position: len(web.L7Policies) + 1,
				Rules: []model.L7Rule{{ID: k.unique("rule"), AdminStateUp: true, Type: "PATH", CompareType: "STARTS_WITH", Value: "/never"}},
			})
		},
		"no policies": func() { web.L7Policies = nil },
		"monitor": func() {
			i := k.pick(2)
			p := &k.tree.Pools[i]
			if p.HealthMonitor != nil {
				p.HealthMonitor = nil
				return
			}
			p.Members = k.withPermanent(i, p.Members)
			p.HealthMonitor = monitored(*p, 5).HealthMonitor
			p.HealthMonitor.ID = k.unique("monitor")
		},
		"algorithm": func() {
			algorithms := []string{model.AlgorithmRoundRobin, model.AlgorithmLeastConnections, model.AlgorithmSourceIP}
			httpPool().LBAlgorithm = algorithms[k.pick(len(algorithms))]
		},
		"persistence": func() {
			kinds := []*model.SessionPersistence{nil, {Type: "HTTP_COOKIE"}, {Type: "SOURCE_IP"}, {Type: "APP_COOKIE", CookieName: "c"}}
			httpPool().SessionPersistence = kinds[k.pick(len(kinds))]
		},
		"allowed CIDRs": func() {
			if web.AllowedCIDRs == nil {
				web.AllowedCIDRs = []string{"127.0.0.0/8"}
			} else {
				web.AllowedCIDRs = nil
			}
		},
		"pool and listener": func() {
			p, l := pool(k.unique("pool"), k.web[k.pick(len(k.web))]), listener(k.t, k.unique("listener"), "")
			l.DefaultPoolID = p.ID
			k.tree.Pools, k.tree.Listeners = append(k.tree.Pools, p), append(k.tree.Listeners, l)
		},
		"one listener less": func() {
			if n := len(k.tree.Listeners); n > 4 {
				i := 4 + k.pick(n-4)
				k.tree.Listeners = slices.Delete(k.tree.Listeners, i, i+1)
			}
		},
		"one pool less": func() {
			if n := len(k.tree.Pools); n > 4 {
				i := 4 + k.pick(n-4)
				id := k.tree.Pools[i].ID
				k.tree.Pools = slices.Delete(k.tree.Pools, i, i+1)
				for j := range k.tree.Listeners {
					if k.tree.Listeners[j].DefaultPoolID == id {
						k.tree.Listeners[j].DefaultPoolID = ""
					}
				}
			}
		},
		"names":              func() { k.tree.Name = k.unique("name") },
		"another controller": func() { k.way.lead(k.stack.replicas[k.pick(len(k.stack.replicas))].address) },
	}
}

// usage is what must not grow.
type usage struct {
	goroutines  int
	heap, envoy int
}

func (k *soak) usage() usage {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return usage{
		goroutines: runtime.NumGoroutine(), heap: int(stats.HeapAlloc),
		envoy: k.envoy.stat("server.memory_allocated"),
	}
}

// flat fails the test if something has grown by more than noise: connections of clients that come and go, and caches of
// allocators, are a few goroutines and megabytes.
func (k *soak) flat(before, after usage) {
	k.t.Helper()
	const megabyte = 1 << 20
	k.t.Logf("goroutines %d → %d, heap %.1f → %.1f MB, Envoy %.1f → %.1f MB", before.goroutines, after.goroutines,
		float64(before.heap)/megabyte, float64(after.heap)/megabyte, float64(before.envoy)/megabyte, float64(after.envoy)/megabyte)
	if after.goroutines > before.goroutines+40 {
		stacks := make([]byte, 1<<20)
		k.t.Errorf("goroutines have grown:\n%s", stacks[:runtime.Stack(stacks, true)])
	}
	if after.heap > before.heap+before.heap/4+8*megabyte {
		k.t.Error("the controllers' memory has grown")
	}
	// What drains is held until it has. Of two moments at the same configuration Envoy's figure differs by up to 13 MB; what
	// grows with the changes shows in a long run.
	testkit.Until(k.t, "Envoy's memory is what it was", func() bool {
		return k.envoy.stat("server.memory_allocated") <= before.envoy+24*megabyte
	})
	testkit.Until(k.t, "one stream", func() bool {
		streams := 0.0
		for _, r := range k.stack.replicas {
			streams += r.gauge("octavia_envoy_xds_streams")
		}
		return streams == 1
	})
}

// equal fails the test unless what Envoy holds becomes what the tree is translated to.
func (k *soak) equal() {
	k.t.Helper()
	resources, err := translate.LoadBalancer(copied(k.tree))
	must(k.t, err)
	testkit.Eventually(k.t, func() error {
		for _, r := range k.stack.replicas {
			if !r.connected("lb") {
				continue
			}
			diff, err := k.envoy.holds(r.controller, "lb", resources)
			if err != nil {
				return err
			}
			if diff != "" {
				return fmt.Errorf("what Envoy holds (-want +got):\n%s", diff)
			}
			return nil
		}
		return errors.New("not connected")
	})
}
