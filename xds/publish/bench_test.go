package publish

import (
	"context"
	"crypto/tls"
	"fmt"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/xds/server"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// obedient is the real server with an Envoy that has taken everything, at once and for nothing.
type obedient struct{ *server.Server }

func (o obedient) Wait(context.Context, string, map[server.Key]string, []server.Key) error {
	return nil
}

func (o obedient) WaitTold(context.Context, string, ...string) error { return nil }

func (o obedient) Held(node, typeURL string) map[string]string { return o.Versions(node, typeURL) }

// BenchmarkPublish is what one change costs from the tree to the server, by the size of the load balancer.
func BenchmarkPublish(b *testing.B) {
	for _, shape := range []struct{ listeners, pools, members int }{
		{1, 1, 2}, {50, 50, 2}, {500, 500, 2}, // a listener's timeout
		{1, 10, 10}, {1, 1000, 10}, {1, 1, 10_000}, // a member's weight
	} {
		b.Run(fmt.Sprintf("listeners=%d,pools=%d,members=%d", shape.listeners, shape.pools, shape.members), func(b *testing.B) {
			tree := treeOf(shape.listeners, shape.pools, shape.members)
			srv, err := server.New(server.Options{TLS: &tls.Config{}})
			if err != nil {
				b.Fatal(err)
			}
			p, translator := New(obedient{srv}, nil, nil), translate.NewTranslator()
			publish := func() {
				resources, err := translator.LoadBalancer(tree)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := p.Publish(b.Context(), node, resources); err != nil {
					b.Fatal(err)
				}
			}
			publish()
			b.ReportAllocs()
			turn := 0
			for b.Loop() {
				turn++
				if shape.listeners == shape.pools && shape.members == 2 {
					tree.Listeners[shape.listeners-1].TimeoutMemberData = 50_000 + turn%100
				} else {
					tree.Pools[shape.pools-1].Members[0].Weight = 1 + turn%100
				}
				publish()
			}
		})
	}
}

// treeOf has listeners that share out the pools among them: the first as their default, all others by policies of the first.
func treeOf(listeners, pools, members int) *model.LoadBalancer {
	lb := &model.LoadBalancer{ID: "lb", VIPAddress: "192.0.2.10", AdminStateUp: true}
	for i := range listeners {
		lb.Listeners = append(lb.Listeners, model.Listener{
			ID: fmt.Sprintf("listener-%d", i), Protocol: "HTTP", ProtocolPort: 1000 + i, AdminStateUp: true, ConnectionLimit: -1,
			DefaultPoolID: fmt.Sprintf("pool-%d", i),
		})
	}
	for i := range pools {
		pool := model.Pool{ID: fmt.Sprintf("pool-%d", i), Protocol: "HTTP", LBAlgorithm: "ROUND_ROBIN", AdminStateUp: true}
		for k := range members {
			pool.Members = append(pool.Members, model.Member{
				ID: fmt.Sprintf("member-%d-%d", i, k), Address: fmt.Sprintf("10.%d.%d.%d", i/250, k/250, k%250+1), ProtocolPort: 8080 + i,
				Weight: 1, AdminStateUp: true,
			})
		}
		lb.Pools = append(lb.Pools, pool)
		if i < listeners {
			continue
		}
		lb.Listeners[0].L7Policies = append(lb.Listeners[0].L7Policies, model.L7Policy{
			ID: fmt.Sprintf("policy-%d", i), AdminStateUp: true, Action: "REDIRECT_TO_POOL", Position: i, RedirectPoolID: pool.ID,
			Rules: []model.L7Rule{{ID: "rule", AdminStateUp: true, Type: "PATH", CompareType: "STARTS_WITH", Value: fmt.Sprintf("/%d/", i)}},
		})
	}
	return lb
}
