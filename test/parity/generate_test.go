package parity

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"

	"github.com/google/uuid"

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

// vip returns some address for the VIP, 0, or an additional one, of IPv6 with that chance in percent: at replaces it.
func (g *generator) vip(number, six int) string { return vip(0, number, g.chance(six), false).String() }

// octet numbers the members of one load balancer: no two of its pools have one in common, so that a member tells its pool.
type octet struct{ next int }

func (g *generator) tree() *model.LoadBalancer {
	lb := &model.LoadBalancer{ID: g.id(), ProjectID: "parity", AdminStateUp: !g.chance(2), VIPAddress: g.vip(0, 25)}
	if g.has["additional_vips"] && g.chance(15) {
		for i := range 1 + g.IntN(maxAdditional) {
			lb.AdditionalVIPs = append(lb.AdditionalVIPs, model.AdditionalVIP{IPAddress: g.vip(1+i, 50), SubnetID: g.id()})
		}
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

const (
	// hasty is a timeout that a test waits for, in milliseconds: above what a busy machine takes for an answer.
	hasty = 2_000
	// plenty is a limit that no test reaches: TestConnectionLimit has what happens above one.
	plenty = 500
	// maxAdditional is how many additional VIPs there are at most.
	maxAdditional = 2
)

// cidrs returns those that a listener of the load balancer can have: of a family of one of its VIPs. Half of the clients are in
// each, or all.
func (g *generator) cidrs(lb *model.LoadBalancer) []string {
	var all []string
	if vips := addressesOf(lb); slices.ContainsFunc(vips, isFour) {
		all = append(all, "192.0.2.0/25", "192.0.2.128/25", "192.0.2.7/32", "0.0.0.0/0", "10.0.0.0/8")
	} else if slices.ContainsFunc(vips, isSix) {
		all = append(all, "2001:db8:c::/124", "2001:db8:c::10/124", "2001:db8:c::7/128", "::/0", "fd00::/8")
	}
	return all
}

// listenerPorts are those that listeners have; the members' are others.
var listenerPorts = []int{80, 81, 443, 8080, 8443}

func (g *generator) listener(lb *model.LoadBalancer, port int) model.Listener {
	protocols := []string{
		model.ProtocolHTTP, model.ProtocolHTTP, model.ProtocolHTTP, model.ProtocolHTTP, model.ProtocolHTTP, model.ProtocolHTTP,
		model.ProtocolTCP, model.ProtocolTCP, model.ProtocolHTTPS, model.ProtocolHTTPS,
	}
	if g.has["TLS"] {
		protocols = append(protocols, slices.Repeat([]string{model.ProtocolTerminatedHTTPS}, 5)...)
	}
	l := model.Listener{
		ID: g.id(), AdminStateUp: !g.chance(5), ProtocolPort: port,
		Protocol:          pick(g, protocols...),
		ConnectionLimit:   pick(g, model.UnlimitedConnections, model.UnlimitedConnections, 0, plenty),
		TimeoutClientData: pick(g, 50_000, 50_000, 0, 30_000), TimeoutMemberData: pick(g, 50_000, 50_000, 0, 60_000),
		TimeoutMemberConnect: pick(g, 5_000, 5_000, 0, 3_000),
	}
	switch g.IntN(16) {
	case 0:
		l.TimeoutMemberData = hasty
	case 1:
		l.TimeoutClientData = hasty
	case 2:
		l.TimeoutClientData, l.TimeoutMemberData = hasty, hasty
	}
	if g.has["allowed_cidrs"] && g.chance(10) {
		for range 1 + g.IntN(3) {
			l.AllowedCIDRs = append(l.AllowedCIDRs, pick(g, g.cidrs(lb)...))
		}
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
	headers := []string{"X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto"}
	if l.Protocol == model.ProtocolTerminatedHTTPS {
		g.listenerTLS(&l)
		headers = append(headers, clientHeaders()...)
	}
	for _, name := range headers {
		if g.has["insert_headers"] && readsHTTP(&l) && g.chance(30) {
			if l.InsertHeaders == nil {
				l.InsertHeaders = map[string]string{}
			}
			l.InsertHeaders[name] = pick(g, "true", "true", "True", "false")
		}
	}
	if g.has["timeout_tcp_inspect"] && g.chance(10) {
		l.TimeoutTCPInspect = 1_000
	}
	if g.has["l7policies"] && readsHTTP(&l) && g.chance(60) {
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
	for _, algorithm := range []string{model.AlgorithmSourceIP, model.AlgorithmSourceIPPort} {
		if g.has["algorithm "+algorithm] {
			algorithms = append(algorithms, algorithm)
		}
	}
	p := model.Pool{
		ID: g.id(), AdminStateUp: !g.chance(7), Protocol: pick(g, protocols...), LBAlgorithm: pick(g, algorithms...),
	}
	if g.chance(30) {
		p.SessionPersistence = g.persistence(p.Protocol)
	}
	dead := g.chance(2)
	if g.has["TLS to members"] && g.chance(15) {
		g.memberTLS(&p)
	}
	greets := !p.TLSEnabled && p.Protocol == model.ProtocolTCP && g.chance(20)
	for range pick(g, 0, 1, 2, 2, 3, 3, 4) {
		m := model.Member{
			ID: g.id(), AdminStateUp: !g.chance(15), Weight: pick(g, 1, 1, 1, 1, 2, 3, 0),
			Address: memberAddress(next.next, g.chance(25)).String(), ProtocolPort: firstMemberPort + g.IntN(memberPorts),
			Backup: g.has["backup"] && g.chance(20),
		}
		switch {
		case dead && g.chance(50):
			m.ProtocolPort = deadPort
		case p.TLSEnabled:
			m.ProtocolPort = tlsPort
			if dead {
				m.ProtocolPort = pick(g, revokedPort, foreignPort)
			}
		case greets:
			m.ProtocolPort = greetingPort
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
