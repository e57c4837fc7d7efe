package translate

import (
	"fmt"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// BenchmarkLoadBalancer translates one HTTP listener and one pool of so many members.
func BenchmarkLoadBalancer(b *testing.B) {
	for _, members := range []int{1, 10, 100, 10_000} {
		b.Run(fmt.Sprintf("members=%d", members), func(b *testing.B) {
			tree := large(members)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := LoadBalancer(tree); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFlavor is the same with a flavor that asks for most.
func BenchmarkFlavor(b *testing.B) {
	tree := large(100)
	tree.Flavor = map[string]any{
		"member_http": map[string]any{"version": "2"}, "request_id": "keep", "access_log": true,
		"compression": map[string]any{"algorithms": []any{"zstd", "brotli", "gzip"}},
		"retries":     map[string]any{"retry_on": []any{"5xx"}, "attempts": 2},
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := LoadBalancer(tree); err != nil {
			b.Fatal(err)
		}
	}
}

func large(members int) *model.LoadBalancer {
	tree := &model.LoadBalancer{
		ID: "lb", VIPAddress: "192.0.2.10", AdminStateUp: true,
		Listeners: []model.Listener{{
			ID: "web", Protocol: "HTTP", ProtocolPort: 80, DefaultPoolID: "blue", AdminStateUp: true, ConnectionLimit: -1,
		}},
		Pools: []model.Pool{{ID: "blue", Protocol: "HTTP", LBAlgorithm: "ROUND_ROBIN", AdminStateUp: true}},
	}
	for i := range members {
		tree.Pools[0].Members = append(tree.Pools[0].Members, model.Member{
			ID: fmt.Sprintf("member-%d", i), Address: fmt.Sprintf("10.0.%d.%d", i/250, i%250+1), ProtocolPort: 8080, Weight: 1, AdminStateUp: true,
		})
	}
	return tree
}
