package status_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
)

// realAgent is a client of a real octavia-driver-agent. OE_DRIVER_AGENT_RUN names the folder of its octavia-status.sock,
// octavia-stats.sock and octavia-get.sock; without it the tests that need one are skipped.
func realAgent(t *testing.T) *status.Agent {
	t.Helper()
	run := os.Getenv("OE_DRIVER_AGENT_RUN")
	if run == "" {
		t.Skip("OE_DRIVER_AGENT_RUN is not set: this needs a real driver-agent")
	}
	return &status.Agent{
		StatusSocket: filepath.Join(run, "octavia-status.sock"),
		StatsSocket:  filepath.Join(run, "octavia-stats.sock"),
		GetSocket:    filepath.Join(run, "octavia-get.sock"),
	}
}

// TestRealAgentOnUnknownObjects pins the answers that Agent and Sender understand. A new Octavia may word them otherwise:
// then this fails, and not the first load balancer that is deleted twice.
func TestRealAgentOnUnknownObjects(t *testing.T) {
	agent := realAgent(t)
	id := uuid.NewString()
	if err := agent.Barrier(t.Context(), id, model.OperatingOffline); err != nil {
		t.Errorf("barrier: %v", err)
	}
	if _, err := agent.LoadBalancer(t.Context(), id); !errors.Is(err, status.ErrGone) {
		t.Errorf("load balancer: %v", err)
	}
	for _, kind := range []model.Kind{
		model.KindListener, model.KindPool, model.KindMember, model.KindHealthMonitor, model.KindL7Policy, model.KindL7Rule,
	} {
		if _, err := agent.LoadBalancerOf(t.Context(), model.Ref{Kind: kind, ID: id}, ""); !errors.Is(err, status.ErrGone) {
			t.Errorf("load balancer of an unknown %s: %v", kind, err)
		}
		gone := model.StatusUpdate{}
		*gone.Records(kind) = []model.ObjectStatus{{ID: id, ProvisioningStatus: model.ProvisioningDeleted}}
		if err := agent.Update(t.Context(), gone); err != nil {
			t.Errorf("DELETED of an unknown %s: %v", kind, err)
		}
	}
	for _, kind := range []model.Kind{model.KindListener, model.KindL7Policy, model.KindL7Rule} {
		update := model.StatusUpdate{}
		*update.Records(kind) = []model.ObjectStatus{{ID: id, ProvisioningStatus: model.ProvisioningActive}}
		var refused *status.RecordError
		err := agent.Update(t.Context(), update)
		if !errors.As(err, &refused) || refused.Kind != kind || refused.ID != id || !strings.HasSuffix(refused.Fault, "not found.") {
			t.Errorf("ACTIVE of an unknown %s: %v", kind, err)
		}
	}
	var refused *status.RecordError
	if err := agent.Update(t.Context(), deleted(id)); !errors.As(err, &refused) || !strings.Contains(refused.Fault, "'vip'") {
		t.Errorf("DELETED of an unknown load balancer: %v", err)
	}
}

// TestRealAgentReportsAndReads needs a load balancer, too, and leaves it ACTIVE: OE_DRIVER_AGENT_LB is its id.
func TestRealAgentReportsAndReads(t *testing.T) {
	agent := realAgent(t)
	id := os.Getenv("OE_DRIVER_AGENT_LB")
	if id == "" {
		t.Skip("OE_DRIVER_AGENT_LB is not set")
	}
	if err := agent.Barrier(t.Context(), id, ""); err != nil {
		t.Fatal(err)
	}
	tree, err := agent.LoadBalancer(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	plan := status.NewPlan(tree, []model.Intent{{
		LoadBalancerID: id, Op: model.OpCreate, Object: model.Ref{Kind: model.KindLoadBalancer, ID: id},
	}})
	if err := agent.Update(t.Context(), status.Report(plan, nil, status.Health{})); err != nil {
		t.Fatal(err)
	}
	for _, ref := range plan.Touched {
		if got, err := agent.LoadBalancerOf(t.Context(), ref, ""); got != id || err != nil {
			t.Errorf("load balancer of %v: %q, %v", ref, got, err)
		}
	}
	for _, listener := range tree.Listeners {
		err := agent.Statistics(t.Context(), []status.ListenerStatistics{{ID: listener.ID, TotalConnections: 1}})
		if err != nil {
			t.Error(err)
		}
	}
}
