package model

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Whatever is done with a copy, the load balancer that it is of stays as it is.
func TestCopy(t *testing.T) {
	build := func() *LoadBalancer {
		return &LoadBalancer{
			Listeners: []Listener{{
				ID: "l", SNIContainerRefs: []string{"ref"}, SNIContainers: []*TLSContainer{{ID: "1"}},
				DefaultTLSContainerRef: "ref", ClientCATLSContainerRef: "ref",
				L7Policies: []L7Policy{{ID: "p", Rules: []L7Rule{{ID: "r"}}}},
			}},
			Pools: []Pool{{ID: "p", Members: []Member{{ID: "m"}}, HealthMonitor: &HealthMonitor{ID: "h"}, TLSContainerRef: "ref"}},
		}
	}
	original := build()
	tree := original.Copy()
	if diff := cmp.Diff(original, tree); diff != "" {
		t.Fatal(diff)
	}
	for _, secret := range tree.Secrets() {
		secret.SetCertificate(&TLSContainer{ID: "other"})
		secret.SetPEM("other")
	}
	listener, pool := &tree.Listeners[0], &tree.Pools[0]
	listener.L7Policies[0].Rules[0].ID, listener.L7Policies[0].ID, listener.ID = "other", "other", "other"
	pool.Members[0].ID, pool.HealthMonitor.ID, pool.ID = "other", "other", "other"
	if diff := cmp.Diff(build(), original); diff != "" {
		t.Errorf("the original has changed (-want +got):\n%s", diff)
	}
}
