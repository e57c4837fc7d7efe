package soak

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/google/uuid"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// What a change may do to an object is said by how its name begins: nothing is asked of a bystander, what is played with
// keeps serving its clients, and of an extra nobody is a client.
const (
	bystander = "bystander "
	played    = "played "
	extra     = "extra "
)

// lasting is the name of a member that stays as it is, so that its pool always serves.
const lasting = "lasting"

// Ports of the load balancer. The players' are one above the bystanders'.
const (
	portHTTP, portTLS, portTCP, portUDP, portHTTPS, portPrometheus = 80, 443, 9000, 53, 8443, 9101
	firstExtra, lastExtra                                          = 10_000, 10_009
)

// site is the load balancer's surroundings, and what its objects are made of.
type site struct {
	t      *testing.T
	random *rand.Rand
	pki    *pki.Authority
	// vip is the load balancer's address, guestVIP the other one's.
	vip, guestVIP string
	// web, raw and secure are the ports of members by what they speak: HTTP, echo over TCP and UDP, and HTTPS.
	web, raw, secure []int
	// deliveries are of the datagrams that raw members get.
	deliveries *deliveries
	next       int
}

func newSite(t *testing.T, random *rand.Rand) *site {
	t.Helper()
	s := &site{t: t, random: random, pki: pki.New(t, "CA"), deliveries: &deliveries{underway: map[uint64]struct{}{}}}
	// An address of its own keeps tests that run at the same time from each other's ports.
	net := fmt.Sprintf("127.%d.%d.", 100+os.Getpid()%100, os.Getpid()/100%250)
	s.vip, s.guestVIP = net+"1", net+"2"
	certificate := s.pki.Issue(pki.Options{Names: []string{"x.example"}})
	for range 4 {
		s.web, s.secure = append(s.web, webMember(t, nil)), append(s.secure, webMember(t, &certificate))
		s.raw = append(s.raw, echoMember(t, s.deliveries.arrived))
	}
	return s
}

// id returns an id that was not used before.
func (s *site) id() string {
	var id uuid.UUID
	for i := range id {
		id[i] = byte(s.random.UintN(256))
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id.String()
}

func (s *site) pick(n int) int { return s.random.IntN(n) }

func (s *site) unique(what string) string {
	s.next++
	return fmt.Sprintf("%s%d", what, s.next)
}

// one is one of some things.
func one[T any](s *site, of ...T) T { return of[s.pick(len(of))] }

// ports are those of members for pools of a protocol.
func (s *site) ports(protocol string) []int {
	switch protocol {
	case model.ProtocolHTTP:
		return s.web
	case model.ProtocolHTTPS:
		return s.secure
	}
	return s.raw
}

func (s *site) member(pool *model.Pool, port int) model.Member {
	return model.Member{
		ID: s.id(), PoolID: pool.ID, ProjectID: "soak", Name: s.unique("member "), AdminStateUp: true, Weight: 1, Address: "127.0.0.1", ProtocolPort: port,
	}
}

// pool returns a pool with the first members for its protocol.
func (s *site) pool(lb, name, protocol string, members int) model.Pool {
	p := model.Pool{
		ID: s.id(), LoadBalancerID: lb, ProjectID: "soak", Name: name, AdminStateUp: true, Protocol: protocol,
		LBAlgorithm: model.AlgorithmRoundRobin,
	}
	for i, port := range s.ports(protocol)[:members] {
		p.Members = append(p.Members, s.member(&p, port))
		if i == 0 {
			p.Members[0].Name = lasting
		}
	}
	return p
}

func (s *site) listener(lb, name, protocol string, port int, poolID string) model.Listener {
	l := model.Listener{
		ID: s.id(), LoadBalancerID: lb, ProjectID: "soak", Name: name, AdminStateUp: true, Protocol: protocol, ProtocolPort: port,
		ConnectionLimit: model.UnlimitedConnections, DefaultPoolID: poolID, TimeoutClientData: model.DefaultTimeoutClientData,
		TimeoutMemberConnect: model.DefaultTimeoutMemberConnect, TimeoutMemberData: model.DefaultTimeoutMemberData,
	}
	if protocol == model.ProtocolTerminatedHTTPS {
		s.certify(&l)
		l.TLSVersions, l.ALPNProtocols = []string{"TLSv1.2", "TLSv1.3"}, []string{"h2", "http/1.1"}
	}
	return l
}

// certify gives a listener a new certificate.
func (s *site) certify(l *model.Listener) {
	l.DefaultTLSContainerRef = "https://barbican/v1/containers/" + s.id()
	l.DefaultTLSContainer = s.pki.Issue(pki.Options{Names: []string{"x.example"}}).Container()
}

// monitor returns a health monitor of a type that checks members of the pool.
func (s *site) monitor(p *model.Pool, kind string) *model.HealthMonitor {
	return &model.HealthMonitor{
		ID: s.id(), PoolID: p.ID, ProjectID: "soak", Name: s.unique("monitor "), AdminStateUp: true, Type: kind, Delay: 2, Timeout: 2, MaxRetries: 1,
		MaxRetriesDown: 3, HTTPMethod: "GET", URLPath: "/", ExpectedCodes: "200",
	}
}

// base is the load balancer that the soak begins with, and to which it comes back.
func (s *site) base() *model.LoadBalancer {
	lb := &model.LoadBalancer{
		ID: s.id(), ProjectID: "soak", Name: "soak", AdminStateUp: true, VIPAddress: s.vip, VIPPortID: s.id(), VIPSubnetID: s.id(),
		VIPNetworkID: s.id(), Flavor: map[string]any{"http3": true},
	}
	for i, role := range []string{bystander, played} {
		add := func(protocol string, port int, pool *model.Pool) {
			id := ""
			if pool != nil {
				id = pool.ID
			}
			lb.Listeners = append(lb.Listeners, s.listener(lb.ID, role+protocol, protocol, port+i, id))
		}
		web, raw, datagrams := s.pool(lb.ID, role+"web", model.ProtocolHTTP, 2), s.pool(lb.ID, role+"raw", model.ProtocolTCP, 2),
			s.pool(lb.ID, role+"datagrams", model.ProtocolUDP, 2)
		secure, other := s.pool(lb.ID, role+"secure", model.ProtocolHTTPS, 2), s.pool(lb.ID, role+"other", model.ProtocolHTTP, 2)
		if role == bystander {
			web.HealthMonitor, raw.HealthMonitor = s.monitor(&web, model.HealthMonitorHTTP), s.monitor(&raw, model.HealthMonitorPing)
		}
		add(model.ProtocolHTTP, portHTTP, &web)
		add(model.ProtocolTerminatedHTTPS, portTLS, &web)
		add(model.ProtocolTCP, portTCP, &raw)
		add(model.ProtocolUDP, portUDP, &datagrams)
		add(model.ProtocolHTTPS, portHTTPS, &secure)
		add(model.ProtocolPrometheus, portPrometheus, nil)
		lb.Pools = append(lb.Pools, web, raw, datagrams, secure, other)
	}
	lb.Sort()
	return lb
}
