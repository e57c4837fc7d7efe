package reconcile

import (
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// checked is the tree with a monitor and two members.
func checked() *model.LoadBalancer {
	lb := tree()
	lb.Pools[0].HealthMonitor = &model.HealthMonitor{
		ID: "h1", PoolID: poolID, AdminStateUp: true, Type: "TCP", Delay: 5, Timeout: 5, MaxRetries: 3, MaxRetriesDown: 3,
	}
	for _, id := range []string{"m1", "m2"} {
		lb.Pools[0].Members = append(lb.Pools[0].Members, model.Member{
			ID: id, PoolID: poolID, AdminStateUp: true, Address: "203.0.113.2" + id[1:], ProtocolPort: 80, Weight: 1,
		})
	}
	return lb
}

// sees makes the amphora see members in a state.
func (w *world) sees(t *testing.T, states map[string]status.MemberState) {
	t.Helper()
	view := status.View{Members: map[string]status.MemberView{}, Listeners: map[string]status.ListenerView{listenerID: {}}}
	for member, state := range states {
		view.Members[member] = status.MemberView{State: state}
	}
	body, err := view.Encode()
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.store.PutAmphoraHealth(t.Context(), lbID, []store.AmphoraHealth{{AmphoraID: lbID, View: body}})
	if err != nil {
		t.Fatal(err)
	}
}

func operating(records []model.ObjectStatus, id string) model.OperatingStatus {
	for _, record := range records {
		if record.ID == id {
			return record.OperatingStatus
		}
	}
	return "not named"
}

// TestACallTellsHowMembersAre holds that the end of a call does not say that all is well when it is not.
func TestACallTellsHowMembersAre(t *testing.T) {
	w := start(t, nil)
	w.set(func() { w.tree = checked() })
	w.intend(t, model.OpCreate, lbRef)
	if update := w.next(t); operating(update.Members, "m1") != model.OperatingOffline {
		t.Errorf("before a check: %+v", update.Members)
	}
	w.sees(t, map[string]status.MemberState{"m1": status.MemberDown, "m2": status.MemberUp})
	w.intend(t, model.OpUpdate, model.Ref{Kind: model.KindListener, ID: listenerID})
	update := w.next(t)
	for what, got := range map[string][2]model.OperatingStatus{
		"m1":            {operating(update.Members, "m1"), model.OperatingError},
		"m2":            {operating(update.Members, "m2"), model.OperatingOnline},
		"pool":          {operating(update.Pools, poolID), model.OperatingDegraded},
		"load balancer": {operating(update.LoadBalancers, lbID), model.OperatingDegraded},
	} {
		if got[0] != got[1] {
			t.Errorf("%s is %s, want %s", what, got[0], got[1])
		}
	}
	w.intend(t, model.OpUpdate, model.Ref{Kind: model.KindListener, ID: listenerID})
	if update := w.next(t); len(update.Members) != 0 || len(update.Pools) != 0 {
		t.Errorf("told again: %+v", update)
	}
}

// TestABarrierThatIsOvertakenIsPutRight: the barrier tells Octavia what it has; if that changes on the way, Octavia would be
// left with the old.
func TestABarrierThatIsOvertakenIsPutRight(t *testing.T) {
	w := start(t, func(o *Options) { o.Deadline = time.Hour })
	w.set(func() { w.tree = checked() })
	w.intend(t, model.OpCreate, lbRef)
	w.next(t)
	reported := func() model.OperatingStatus {
		health, err := w.store.Health(t.Context(), lbID)
		if err != nil {
			t.Fatal(err)
		}
		return health.Reported[lbRef]
	}
	if got := reported(); got != model.OperatingOnline {
		t.Fatalf("reported as %q", got)
	}
	w.set(func() {
		w.barrier = status.ErrNoAnswer // the attempt ends there, but the barrier may have come through
		w.overtake = func() {
			w.overtake = nil
			_, err := w.store.Settle(t.Context(), lbID, func(store.Health) store.Settlement {
				return store.Settlement{Status: model.StatusUpdate{
					LoadBalancers: []model.ObjectStatus{{ID: lbID, OperatingStatus: model.OperatingDegraded}},
				}}
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
	w.intend(t, model.OpUpdate, model.Ref{Kind: model.KindListener, ID: listenerID})
	if update := w.next(t); operating(update.LoadBalancers, lbID) != model.OperatingDegraded {
		t.Errorf("the overtaking message: %+v", update)
	}
	testkit.Until(t, "what the barrier overwrote to be reported again", func() bool { return reported() == "" })
}

// TestWhatIsRefusedIsRemembered: whoever looks at health later must not take a listener that is not served for well.
func TestWhatIsRefusedIsRemembered(t *testing.T) {
	w := start(t, nil)
	refused := checked()
	refused.Listeners[0].L7Policies = []model.L7Policy{{
		ID: "q1", ListenerID: listenerID, AdminStateUp: true, Action: "NONSENSE", Position: 1,
		Rules: []model.L7Rule{{ID: "r1", AdminStateUp: true, Type: model.L7TypePath, CompareType: model.L7CompareEqualTo, Value: "/"}},
	}}
	w.set(func() { w.tree = refused })
	w.intend(t, model.OpCreate, lbRef)
	if update := w.next(t); operating(update.Listeners, listenerID) != model.OperatingError {
		t.Errorf("reported: %+v", update)
	}
	health, err := w.store.Health(t.Context(), lbID)
	if err != nil || !health.Refused[model.Ref{Kind: model.KindL7Policy, ID: "q1"}] || health.PublishedAt.IsZero() {
		t.Errorf("kept: %+v, error %v", health, err)
	}
}
