package resync_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/resync"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

const (
	old   = 30 * time.Second
	young = 5 * time.Second
)

// fakeAgent has the load balancers that it holds; all others are gone.
type fakeAgent map[string]error

func (a fakeAgent) LoadBalancer(_ context.Context, id string) (*model.LoadBalancer, error) {
	err, there := a[id]
	if !there {
		return nil, fmt.Errorf("read %s: %w", id, status.ErrGone)
	}
	return &model.LoadBalancer{ID: id}, err
}

type bench struct {
	octavia  *fakeOctavia
	store    *store.Store
	agent    fakeAgent
	registry *prometheus.Registry
	resync   *resync.Resync
	woken    int
}

func newBench(t *testing.T) *bench {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	db, err := store.Open(t.Context(), store.Options{
		DSN: "sqlite:" + filepath.Join(t.TempDir(), "store.db"), Logger: logger, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := &bench{octavia: newFakeOctavia(t), store: db, agent: fakeAgent{}, registry: prometheus.NewRegistry()}
	b.resync = resync.New(resync.Options{
		Store: db, Octavia: b.octavia.api(), Agent: b.agent, Logger: logger, Registry: b.registry,
		Interval: time.Minute, PendingAge: 20 * time.Second, Wake: func() { b.woken++ },
	})
	return b
}

// lb adds a load balancer of this provider to Octavia.
func (b *bench) lb(id, provisioning string, age time.Duration) {
	b.octavia.add("loadbalancers", id, provisioning, age, map[string]any{"provider": "envoy"})
}

// tree adds a listener with a policy with a rule and a pool with a member and a monitor, each with that status.
func (b *bench) tree(lb, provisioning string, age time.Duration) {
	one := []any{map[string]any{"id": "x"}}
	b.octavia.add("listeners", "l", provisioning, age, map[string]any{"loadbalancer_id": lb, "l7policies": one})
	b.octavia.add("pools", "p", provisioning, age, map[string]any{
		"loadbalancer_id": lb, "members": one, "healthmonitor_id": "h",
	})
	b.octavia.add("pools/p/members", "m", provisioning, age, nil)
	b.octavia.add("healthmonitors", "h", provisioning, age, nil)
	b.octavia.add("l7policies", "q", provisioning, age, map[string]any{"listener_id": "l", "rules": one})
	b.octavia.add("l7policies/q/rules", "r", provisioning, age, nil)
}

// know puts a load balancer into the store, with no intent left.
func (b *bench) know(t *testing.T, id string) {
	t.Helper()
	if _, err := b.store.SaveTree(t.Context(), &model.LoadBalancer{ID: id}); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) round(t *testing.T) int {
	t.Helper()
	added, err := b.resync.Round(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return added
}

// intents lists a load balancer's as "op kind id parent", sorted.
func (b *bench) intents(t *testing.T, id string) []string {
	t.Helper()
	intents, err := b.store.Intents(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, intent := range intents {
		if !strings.HasPrefix(intent.RequestID, "resync-") {
			t.Errorf("request id %q", intent.RequestID)
		}
		line := strings.TrimSpace(fmt.Sprintf("%s %s %s %s", intent.Op, intent.Object.Kind, intent.Object.ID, intent.ParentID))
		if intent.Cascade {
			line += " cascade"
		}
		all = append(all, line)
	}
	slices.Sort(all)
	return all
}

func (b *bench) expect(t *testing.T, id string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, b.intents(t, id)); diff != "" {
		t.Errorf("intents of %s (-want +got):\n%s", id, diff)
	}
}

func TestStuckLoadBalancer(t *testing.T) {
	tests := map[string]struct {
		lb, children string
		want         []string
	}{
		"create": {"PENDING_CREATE", "PENDING_CREATE", []string{"create loadbalancer lb"}},
		"delete": {"PENDING_DELETE", "ACTIVE", []string{"delete loadbalancer lb cascade"}},
		"update": {"PENDING_UPDATE", "ACTIVE", []string{"update loadbalancer lb"}},
		"children created": {"PENDING_UPDATE", "PENDING_CREATE", []string{
			"create healthmonitor h p", "create l7policy q l", "create l7rule r q", "create listener l", "create member m p",
			"create pool p",
		}},
		"children updated": {"PENDING_UPDATE", "PENDING_UPDATE", []string{
			"update healthmonitor h p", "update l7policy q l", "update l7rule r q", "update listener l", "update member m p",
			"update pool p",
		}},
		"children deleted": {"PENDING_UPDATE", "PENDING_DELETE", []string{
			"delete healthmonitor h p", "delete l7policy q l", "delete l7rule r q", "delete listener l", "delete member m p",
			"delete pool p",
		}},
	}
	for name, test := range tests {
		for _, known := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, known %t", name, known), func(t *testing.T) {
				b := newBench(t)
				if known {
					b.know(t, "lb")
				}
				b.lb("lb", test.lb, old)
				b.tree("lb", test.children, old)
				if added := b.round(t); added != len(test.want) {
					t.Errorf("%d added", added)
				}
				b.expect(t, "lb", test.want...)
				// They are worked on now.
				if added := b.round(t); added != 0 {
					t.Errorf("%d added again", added)
				}
			})
		}
	}
}

func TestLeavesAlone(t *testing.T) {
	tests := map[string]func(t *testing.T, b *bench){
		"a call may be under way": func(_ *testing.T, b *bench) { b.lb("lb", "PENDING_UPDATE", young) },
		"another provider's": func(_ *testing.T, b *bench) {
			b.octavia.add("loadbalancers", "lb", "PENDING_UPDATE", old, map[string]any{"provider": "amphora"})
		},
		"in ERROR":          func(_ *testing.T, b *bench) { b.lb("lb", "ERROR", old) },
		"unknown and young": func(_ *testing.T, b *bench) { b.lb("lb", "ACTIVE", young) },
		"known and ACTIVE": func(t *testing.T, b *bench) {
			b.know(t, "lb")
			b.lb("lb", "ACTIVE", old)
			b.tree("lb", "ACTIVE", old)
		},
		"a status waits to be sent": func(t *testing.T, b *bench) {
			b.know(t, "lb")
			b.lb("lb", "PENDING_UPDATE", old)
			err := b.store.Finish(t.Context(), store.Finish{
				LoadBalancerID: "lb", ProvisioningStatus: model.ProvisioningActive,
				Status: model.StatusUpdate{LoadBalancers: []model.ObjectStatus{{ID: "lb", ProvisioningStatus: "ACTIVE"}}},
			})
			if err != nil {
				t.Fatal(err)
			}
			messages, err := b.store.Outbox(t.Context(), time.Now())
			if err != nil || len(messages) != 1 {
				t.Fatal(messages, err)
			}
			// Even while it waits for its next attempt.
			if err := b.store.OutboxFailed(t.Context(), messages[0].ID, "absent", time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		},
		"a child's call may be under way": func(t *testing.T, b *bench) {
			b.know(t, "lb")
			b.lb("lb", "ACTIVE", old)
			b.tree("lb", "PENDING_UPDATE", young)
		},
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			prepare(t, b)
			for range 3 {
				if added := b.round(t); added != 0 {
					t.Errorf("%d added: %v", added, b.intents(t, "lb"))
				}
			}
		})
	}
}

// TestLeavesWhatChangesMeanwhile: somebody ends the call, and the next one begins, while its children are read.
func TestLeavesWhatChangesMeanwhile(t *testing.T) {
	for _, before := range []string{"PENDING_UPDATE", "ACTIVE"} {
		t.Run(before, func(t *testing.T) {
			b := newBench(t)
			b.know(t, "lb")
			b.lb("lb", before, old)
			b.tree("lb", "PENDING_UPDATE", old)
			b.octavia.meanwhile = func() { b.lb("lb", "PENDING_UPDATE", young) }
			if added := b.round(t); added != 0 {
				t.Errorf("%d added: %v", added, b.intents(t, "lb"))
			}
		})
	}
}

func TestLeavesCallsToTheirIntents(t *testing.T) {
	b := newBench(t)
	b.lb("lb", "PENDING_UPDATE", old)
	b.tree("lb", "PENDING_UPDATE", old)
	_, err := b.store.AddIntent(t.Context(), model.Intent{
		LoadBalancerID: "lb", Op: model.OpUpdate, Object: model.Ref{Kind: model.KindPool, ID: "p"},
	}, store.Audit{})
	if err != nil {
		t.Fatal(err)
	}
	if added := b.round(t); added != 0 {
		t.Errorf("%d added", added)
	}
}

func TestAdoptsWhatTheStoreDoesNotKnow(t *testing.T) {
	b := newBench(t)
	b.lb("lb", "ACTIVE", old)
	b.round(t)
	b.expect(t, "lb", "update loadbalancer lb")
	if got := counter(t, b, "octavia_envoy_resync_intents_total", "unknown"); got != 1 {
		t.Errorf("metric: %v", got)
	}
}

func TestStrayChildren(t *testing.T) {
	b := newBench(t)
	b.know(t, "lb")
	b.lb("lb", "ACTIVE", old)
	b.tree("lb", "ACTIVE", old)
	b.octavia.add("pools/p/members", "m2", "PENDING_DELETE", old, nil)
	b.round(t)
	b.expect(t, "lb", "delete member m2 p")
}

// TestReadsChildrenOnlyAfterAChange: a thousand quiet load balancers must not cost thousands of requests a minute.
func TestReadsChildrenOnlyAfterAChange(t *testing.T) {
	b := newBench(t)
	b.know(t, "lb")
	b.lb("lb", "ACTIVE", 2*old)
	b.tree("lb", "ACTIVE", 2*old)
	b.round(t)
	if seen := b.octavia.seen(); len(seen) != 8 {
		t.Errorf("first round: %v", seen)
	}
	b.round(t)
	if diff := cmp.Diff([]string{"loadbalancers"}, b.octavia.seen()); diff != "" {
		t.Errorf("second round (-want +got):\n%s", diff)
	}
	b.lb("lb", "ACTIVE", old)
	b.round(t)
	if seen := b.octavia.seen(); len(seen) != 8 {
		t.Errorf("after a change: %v", seen)
	}
}

// TestForgetsWhatOctaviaForgot takes two rounds and the driver-agent's word.
func TestForgetsWhatOctaviaForgot(t *testing.T) {
	b := newBench(t)
	for _, id := range []string{"gone", "unlisted", "unreadable", "back", "lb"} {
		b.know(t, id)
	}
	b.lb("lb", "ACTIVE", old)
	b.agent["unlisted"] = nil
	b.agent["unreadable"] = errors.New("the agent is absent")
	if added := b.round(t); added != 0 {
		t.Errorf("%d added in the first round", added)
	}
	b.lb("back", "ACTIVE", old)
	added, err := b.resync.Round(t.Context())
	if added != 1 || err == nil {
		t.Errorf("%d added, %v", added, err)
	}
	b.expect(t, "gone", "delete loadbalancer gone cascade")
	for _, id := range []string{"unlisted", "unreadable", "back", "lb"} {
		b.expect(t, id)
	}
	b.octavia.remove("loadbalancers", "back")
	b.agent["unreadable"] = nil
	if added := b.round(t); added != 0 {
		t.Errorf("%d added when one was missing for the first time again", added)
	}
}

func TestFailingOctavia(t *testing.T) {
	b := newBench(t)
	b.know(t, "lb")
	b.octavia.set(func(f *fakeOctavia) { f.broken = true })
	for range 3 {
		if added, err := b.resync.Round(t.Context()); err == nil || added != 0 {
			t.Errorf("%d added, %v", added, err)
		}
	}
	b.octavia.set(func(f *fakeOctavia) { f.broken = false })
	b.lb("lb", "PENDING_UPDATE", old)
	b.round(t)
	b.expect(t, "lb", "update loadbalancer lb")
}

func TestPages(t *testing.T) {
	b := newBench(t)
	b.octavia.set(func(f *fakeOctavia) { f.pageLimit = 2 })
	for i := range 5 {
		b.lb(fmt.Sprintf("lb%d", i), "PENDING_DELETE", old)
	}
	if added := b.round(t); added != 5 {
		t.Errorf("%d added", added)
	}
}

// TestRun starts without Keystone, comes round when it is there, and wakes the reconciler.
func TestRun(t *testing.T) {
	b := newBench(t)
	b.octavia.set(func(f *fakeOctavia) { f.noLogin = errors.New("connection refused") })
	b.lb("lb", "PENDING_CREATE", old)
	woken := make(chan struct{}, 1)
	r := resync.New(resync.Options{
		Store: b.store, Octavia: b.octavia.api(), Agent: b.agent, Logger: slog.New(slog.DiscardHandler),
		Interval: 10 * time.Millisecond, PendingAge: 20 * time.Second, Wake: func() { woken <- struct{}{} },
		Registry: b.registryOfItsOwn(),
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	testkit.Until(t, "round that fails", func() bool { return counter(t, b, "octavia_envoy_resync_rounds_total", "error") > 0 })
	b.octavia.set(func(f *fakeOctavia) { f.noLogin = nil })
	select {
	case <-woken:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was taken up")
	}
	b.expect(t, "lb", "create loadbalancer lb")
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v", err)
	}
	if problems, err := testutil.GatherAndLint(b.registry); err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", problems, err)
	}
}

func (b *bench) registryOfItsOwn() *prometheus.Registry {
	b.registry = prometheus.NewRegistry()
	return b.registry
}

func counter(t *testing.T, b *bench, name, label string) float64 {
	t.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetName() == name && metric.GetLabel()[0].GetValue() == label {
				return metric.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no metric %s %s", name, label)
	return 0
}
