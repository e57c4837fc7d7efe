package parity

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/google/uuid"
	"sigs.k8s.io/yaml"

	"github.com/octavia-envoy/octavia-envoy/driver/capabilities"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// generator makes load balancers and exchanges. The same seed makes the same ones, as long as the capabilities are the same.
type generator struct {
	*rand.Rand
	// has are the features that the capabilities accept.
	has map[string]bool
}

// newGenerator seeds a generator. number tells those of one run apart.
func newGenerator(seed, number uint64) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, number)), has: accepted()}
}

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func pick[T any](g *generator, all ...T) T { return all[g.IntN(len(all))] }

func (g *generator) id() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], g.Uint64())
	binary.BigEndian.PutUint64(b[8:], g.Uint64())
	id, _ := uuid.FromBytes(b[:])
	return id.String()
}

// loadBalancer returns one that the capabilities accept.
func (g *generator) loadBalancer() *model.LoadBalancer {
	for {
		if lb := g.tree(); len(capabilities.Check(lb)) == 0 {
			return lb
		}
	}
}

// octet numbers the members of one load balancer: no two of its pools have one in common, so that a member tells its pool.
type octet struct{ next int }

func (g *generator) tree() *model.LoadBalancer {
	lb := &model.LoadBalancer{ID: g.id(), ProjectID: "parity", AdminStateUp: !g.chance(2), VIPAddress: "198.51.100.1"}
	if g.chance(25) {
		lb.VIPAddress = "2001:db8:a::1"
	}
	next := &octet{}
	for range 1 + g.IntN(3) {
		lb.Pools = append(lb.Pools, g.pool(lb, next))
	}
	ports := g.Perm(len(listenerPorts))
	for i := range 1 + g.IntN(3) {
		lb.Listeners = append(lb.Listeners, g.listener(lb, listenerPorts[ports[i]]))
	}
	return lb
}

// listenerPorts are those that listeners have; the members' are others.
var listenerPorts = []int{80, 81, 443, 8080, 8443}

func (g *generator) listener(lb *model.LoadBalancer, port int) model.Listener {
	l := model.Listener{
		ID: g.id(), LoadBalancerID: lb.ID, AdminStateUp: !g.chance(5), ProtocolPort: port,
		Protocol:          pick(g, model.ProtocolHTTP, model.ProtocolHTTP, model.ProtocolHTTP, model.ProtocolTCP, model.ProtocolHTTPS),
		ConnectionLimit:   model.UnlimitedConnections,
		TimeoutClientData: pick(g, 50_000, 50_000, 0, 30_000), TimeoutMemberData: pick(g, 50_000, 50_000, 0, 60_000),
		TimeoutMemberConnect: pick(g, 5_000, 5_000, 0, 3_000),
	}
	var usable []string
	for i := range lb.Pools {
		if capabilities.CanServe(l.Protocol, lb.Pools[i].Protocol) {
			usable = append(usable, lb.Pools[i].ID)
		}
	}
	if len(usable) > 0 && !g.chance(5) {
		l.DefaultPoolID = pick(g, usable...)
	}
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto"} {
		if g.has["insert_headers"] && l.Protocol == model.ProtocolHTTP && g.chance(30) {
			if l.InsertHeaders == nil {
				l.InsertHeaders = map[string]string{}
			}
			l.InsertHeaders[name] = pick(g, "true", "true", "True", "false")
		}
	}
	if g.has["timeout_tcp_inspect"] && g.chance(10) {
		l.TimeoutTCPInspect = 1_000
	}
	if g.has["l7policies"] && l.Protocol == model.ProtocolHTTP && g.chance(60) {
		for position := range 1 + g.IntN(4) {
			l.L7Policies = append(l.L7Policies, g.policy(lb, &l, position+1))
		}
	}
	return l
}

func (g *generator) pool(lb *model.LoadBalancer, next *octet) model.Pool {
	protocols := []string{model.ProtocolHTTP, model.ProtocolHTTP, model.ProtocolHTTP, model.ProtocolTCP, model.ProtocolHTTPS}
	algorithms := []string{model.AlgorithmRoundRobin, model.AlgorithmLeastConnections}
	for _, protocol := range []string{model.ProtocolProxy, model.ProtocolProxyV2} {
		if g.has["protocol "+protocol] {
			protocols = append(protocols, protocol)
		}
	}
	if g.has["algorithm SOURCE_IP"] {
		algorithms = append(algorithms, model.AlgorithmSourceIP)
	}
	p := model.Pool{
		ID: g.id(), LoadBalancerID: lb.ID, AdminStateUp: !g.chance(7), Protocol: pick(g, protocols...), LBAlgorithm: pick(g, algorithms...),
	}
	if g.chance(30) {
		p.SessionPersistence = g.persistence(p.Protocol)
	}
	dead := g.chance(2)
	for range pick(g, 0, 1, 2, 2, 3, 3, 4) {
		m := model.Member{
			ID: g.id(), PoolID: p.ID, AdminStateUp: !g.chance(15), Weight: pick(g, 1, 1, 1, 1, 2, 3, 0),
			Address: memberAddress(next.next, g.chance(25)).String(), ProtocolPort: firstMemberPort + g.IntN(memberPorts),
			Backup: g.has["backup"] && g.chance(20),
		}
		if dead && g.chance(50) {
			m.ProtocolPort = deadPort
		}
		next.next++
		p.Members = append(p.Members, m)
	}
	return p
}

func (g *generator) persistence(protocol string) *model.SessionPersistence {
	var kinds []string
	for _, kind := range []string{"SOURCE_IP", "HTTP_COOKIE", "APP_COOKIE"} {
		if g.has["persistence "+kind] && (kind == "SOURCE_IP" || protocol == model.ProtocolHTTP) {
			kinds = append(kinds, kind)
		}
	}
	if len(kinds) == 0 {
		return nil
	}
	s := &model.SessionPersistence{Type: pick(g, kinds...)}
	if s.Type == "APP_COOKIE" {
		s.CookieName = appCookie
	}
	return s
}

// treeYAML prints a load balancer for a reader: without what is not set.
func treeYAML(lb *model.LoadBalancer) string {
	text, err := yaml.Marshal(lb)
	if err != nil {
		return fmt.Sprint(err)
	}
	lines := slices.DeleteFunc(strings.SplitAfter(string(text), "\n"), func(line string) bool {
		line = strings.TrimRight(line, "\n")
		return strings.HasSuffix(line, ": null") || strings.HasSuffix(line, `: ""`) || strings.HasSuffix(line, "_id: 0") || line == ""
	})
	return strings.Join(lines, "")
}
