package bench

import (
	"fmt"
	"net/netip"
	"runtime"
	"runtime/debug"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// shape is what a load balancer is made of. All programs make the same one of the same shape and number.
type shape struct {
	// Listeners have a pool each, which has Members.
	Listeners, Members int
	// TCP is how many of the listeners, the last ones, are TCP with a TCP pool; the others are HTTP.
	TCP int
	// Pools are further pools that nothing refers to but the policies, one a pool, of the first listener.
	Policies int
	// Project is whose it is; "bench" when it is empty.
	Project string
	// Port is that of the first listener, the others have those that follow; 0 is 8000.
	Port int
	// VIP is 127.0.0.1 when it is empty.
	VIP string
	// Backends are the addresses of the members, which share them; without any they have addresses that nobody has.
	Backends []netip.AddrPort
	// Last, if it is set, is where each pool's last member is, the only one with a weight.
	Last netip.AddrPort
}

// The kinds of objects in ids.
const (
	kindLoadBalancer = iota + 1
	kindListener
	kindPool
	kindMember
	kindPolicy
	kindRule
)

// id names an object of a load balancer.
func id(kind, loadBalancer, index int) string {
	return fmt.Sprintf("%08x-0000-4000-8000-%04x%08x", loadBalancer, kind, index)
}

func loadBalancerID(number int) string { return id(kindLoadBalancer, number, 0) }

// amphoraOf names the one amphora of a load balancer.
func amphoraOf(loadBalancer string) string { return "a" + loadBalancer[1:] }

// tree makes the number-th load balancer.
func (s shape) tree(number int) *model.LoadBalancer {
	lb := &model.LoadBalancer{ID: loadBalancerID(number), Name: "bench", ProjectID: "bench", AdminStateUp: true, VIPAddress: "127.0.0.1"}
	if s.VIP != "" {
		lb.VIPAddress = s.VIP
	}
	if s.Project != "" {
		lb.ProjectID = s.Project
	}
	port := 8000
	if s.Port != 0 {
		port = s.Port
	}
	protocol := func(i int) string {
		if i < s.Listeners && i >= s.Listeners-s.TCP {
			return model.ProtocolTCP
		}
		return model.ProtocolHTTP
	}
	for i := range s.Listeners {
		lb.Listeners = append(lb.Listeners, model.Listener{
			ID: id(kindListener, number, i), LoadBalancerID: lb.ID, ProjectID: "bench", AdminStateUp: true,
			Protocol: protocol(i), ProtocolPort: port + i, ConnectionLimit: model.UnlimitedConnections,
			DefaultPoolID:     id(kindPool, number, i),
			TimeoutClientData: model.DefaultTimeoutClientData, TimeoutMemberConnect: model.DefaultTimeoutMemberConnect,
			TimeoutMemberData: model.DefaultTimeoutMemberData,
		})
	}
	for i := range s.Listeners + s.Policies {
		pool := model.Pool{
			ID: id(kindPool, number, i), LoadBalancerID: lb.ID, ProjectID: "bench", AdminStateUp: true,
			Protocol: protocol(i), LBAlgorithm: model.AlgorithmRoundRobin,
		}
		for k := range s.Members {
			pool.Members = append(pool.Members, s.member(number, i*s.Members+k, pool.ID))
		}
		if s.Last.IsValid() {
			last := len(pool.Members) - 1
			for k := range last {
				pool.Members[k].Weight = 0
			}
			pool.Members[last].Address, pool.Members[last].ProtocolPort = s.Last.Addr().String(), int(s.Last.Port())
		}
		lb.Pools = append(lb.Pools, pool)
	}
	for i := range s.Policies {
		lb.Listeners[0].L7Policies = append(lb.Listeners[0].L7Policies, s.policy(number, i, lb.Listeners[0].ID))
	}
	return lb
}

func (s shape) member(number, index int, pool string) model.Member {
	member := model.Member{
		ID: id(kindMember, number, index), PoolID: pool, ProjectID: "bench", AdminStateUp: true, Weight: 1,
		Address: netip.AddrFrom4([4]byte{10, byte(index >> 16), byte(index >> 8), byte(index)}).String(), ProtocolPort: 8080,
	}
	if len(s.Backends) > 0 {
		backend := s.Backends[index%len(s.Backends)]
		member.Address, member.ProtocolPort = backend.Addr().String(), int(backend.Port())
	}
	return member
}

func (s shape) policy(number, index int, listener string) model.L7Policy {
	policy := model.L7Policy{
		ID: id(kindPolicy, number, index), ListenerID: listener, ProjectID: "bench", AdminStateUp: true,
		Action: model.L7ActionRedirectToPool, Position: index + 1, RedirectPoolID: id(kindPool, number, s.Listeners+index),
		RedirectHTTPCode: model.DefaultRedirectHTTPCode,
	}
	policy.Rules = []model.L7Rule{{
		ID: id(kindRule, number, index), L7PolicyID: policy.ID, ProjectID: "bench", AdminStateUp: true,
		Type: model.L7TypePath, CompareType: model.L7CompareStartsWith, Value: fmt.Sprintf("/policy%d/", index),
	}}
	return policy
}

// memory is what this process has in use, in MiB, after what it does not need is gone.
func memory() answer {
	debug.FreeOSMemory()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return answer{Values: map[string]float64{
		"heap": float64(stats.HeapAlloc) / (1 << 20), "stacks": float64(stats.StackInuse) / (1 << 20),
		"goroutines": float64(runtime.NumGoroutine()),
	}}
}
