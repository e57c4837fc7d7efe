package reconcile

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// tenants is an Octavia that has every load balancer, and amphorae that, but for one load balancer, never come, whatever ctx says.
type tenants struct {
	*world
	ended chan struct{}

	mu    sync.Mutex
	tried []string
}

const deadProject = "dead"

func (w *tenants) LoadBalancer(_ context.Context, id string) (*model.LoadBalancer, error) {
	return &model.LoadBalancer{ID: id, ProjectID: deadProject, AdminStateUp: true, VIPAddress: "203.0.113.5"}, nil
}

func (w *tenants) Ensure(ctx context.Context, tree *model.LoadBalancer) ([]model.Amphora, error) {
	w.mu.Lock()
	w.tried = append(w.tried, tree.ID)
	dead := tree.ID != lbID
	w.mu.Unlock()
	if dead {
		<-w.ended
		return nil, ctx.Err()
	}
	return w.world.Ensure(ctx, tree)
}

// A tenant with more load balancers than are worked on at once, none of which ever comes to an end, takes half of the places:
// another's change is made all the same. Whose a load balancer is, is known from its first call on.
func TestTenantWhoseWorkNeverEnds(t *testing.T) {
	w := &tenants{ended: make(chan struct{})}
	w.world = start(t, func(o *Options) { o.Octavia, o.Amphorae = w, w })
	t.Cleanup(func() { close(w.ended) }) // before that of start, which waits for the loop
	call := func(id, project string) {
		t.Helper()
		_, err := w.store.AddIntent(t.Context(), model.Intent{
			LoadBalancerID: id, Op: model.OpCreate, Object: model.Ref{Kind: model.KindLoadBalancer, ID: id},
		}, store.Audit{Action: "test", ProjectID: project})
		if err != nil {
			t.Fatal(err)
		}
	}
	tried := func() []string {
		w.mu.Lock()
		defer w.mu.Unlock()
		return slices.Clone(w.tried)
	}
	for i := range 10 {
		call(fmt.Sprintf("%08d-0000-4000-8000-000000000000", i), deadProject)
	}
	testkit.Until(t, "half of the four places are taken", func() bool { return len(tried()) == 2 })
	call(lbID, "other")
	if update := w.next(t); provisioning(update.LoadBalancers) != model.ProvisioningActive {
		t.Errorf("reported: %+v", update)
	}
	if all := tried(); len(all) != 3 {
		t.Errorf("worked on %v, want two of the one tenant and the other's", all)
	}
}
