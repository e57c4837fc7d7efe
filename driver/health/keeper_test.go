package health

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
)

const (
	lbID       = "11111111-1111-4111-8111-111111111111"
	listenerID = "22222222-2222-4222-8222-222222222222"
	poolID     = "33333333-3333-4333-8333-333333333333"
	firstID    = "aaaaaaaa-1111-4111-8111-111111111111"
	secondID   = "aaaaaaaa-2222-4222-8222-222222222222"
)

// messageTime is what a message costs the driver-agent.
const messageTime = 150 * time.Millisecond

// octavia takes messages as the driver-agent does, and keeps what it was told.
type octavia struct {
	mu       sync.Mutex
	statuses map[string]model.OperatingStatus
	messages int
	at       time.Time
	away     bool
}

func (o *octavia) Update(ctx context.Context, update model.StatusUpdate) error {
	o.mu.Lock()
	away := o.away
	o.mu.Unlock()
	if away {
		return status.ErrUnreachable
	}
	select {
	case <-time.After(messageTime):
	case <-ctx.Done():
		return ctx.Err()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.messages++
	o.at = time.Now()
	for _, records := range [][]model.ObjectStatus{update.Members, update.Pools, update.Listeners, update.LoadBalancers} {
		for _, record := range records {
			if record.OperatingStatus != "" {
				o.statuses[record.ID] = record.OperatingStatus
			}
		}
	}
	return nil
}

func (o *octavia) set(change func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change()
}

// world is a load balancer that was published a while ago, with a real store and a real Sender.
type world struct {
	t        *testing.T
	store    *store.Store
	octavia  *octavia
	keeper   *Keeper
	registry *prometheus.Registry
	members  []string
	tree     *model.LoadBalancer
}

// in runs a test in a bubble, where time is not real.
func in(t *testing.T, members int, amphorae []string, test func(w *world)) {
	t.Helper()
	t.Parallel()
	dsn := storetest.SQLite(t)
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, octavia: &octavia{statuses: map[string]model.OperatingStatus{}}}
		w.store = storetest.OpenWith(t, store.Options{DSN: dsn})
		w.publish(members, amphorae)
		sender := status.NewSender(status.SenderOptions{
			Outbox: w.store, Agent: w.octavia, Logger: slog.New(slog.DiscardHandler), Sent: func() { w.keeper.Wake() },
		})
		stop := w.run(sender.Wake)
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { _ = sender.Run(ctx) })
		defer func() {
			stop()
			cancel()
			running.Wait()
		}()
		w.rest()
		test(w)
	})
}

func (w *world) publish(members int, amphorae []string) {
	w.t.Helper()
	w.tree = &model.LoadBalancer{
		ID: lbID, AdminStateUp: true,
		Listeners: []model.Listener{{ID: listenerID, AdminStateUp: true, DefaultPoolID: poolID}},
		Pools: []model.Pool{{ID: poolID, AdminStateUp: true, HealthMonitor: &model.HealthMonitor{
			ID: "44444444-4444-4444-8444-444444444444", AdminStateUp: true,
		}}},
	}
	for i := range members {
		id := fmt.Sprintf("55555555-5555-4555-8555-%012d", i)
		w.members = append(w.members, id)
		w.tree.Pools[0].Members = append(w.tree.Pools[0].Members, model.Member{ID: id, AdminStateUp: true, Weight: 1})
	}
	ctx := w.t.Context()
	id, err := w.store.AddIntent(ctx, model.Intent{LoadBalancerID: lbID}, store.Audit{})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.store.SaveTree(ctx, w.tree); err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.Finish(ctx, store.Finish{LoadBalancerID: lbID, IntentIDs: []int64{id}, Published: true}); err != nil {
		w.t.Fatal(err)
	}
	for _, amphora := range amphorae {
		err := w.store.PutAmphora(ctx, model.Amphora{ID: amphora, LoadBalancerID: lbID, LastHeartbeat: time.Now()})
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// run starts a Keeper; what it returns stops it.
func (w *world) run(report func()) (stop func()) {
	w.registry = prometheus.NewRegistry()
	w.keeper = New(Options{Store: w.store, Report: report, Logger: slog.New(slog.DiscardHandler), Registry: w.registry})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = w.keeper.Run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// rest lets all that is due be done, and more than a pause pass.
func (w *world) rest() { time.Sleep(time.Minute); synctest.Wait() }

// says makes an amphora say that members are in a state; whole, the others are up, and the listener is there.
func (w *world) says(amphora string, whole bool, states map[string]agentapiv1.MemberHealth_State) {
	report := &agentapiv1.HealthReport{Whole: whole}
	all := maps.Clone(states)
	if whole {
		report.Listeners = []*agentapiv1.ListenerHealth{{ListenerId: listenerID}}
		if all == nil {
			all = map[string]agentapiv1.MemberHealth_State{}
		}
		for _, member := range w.members {
			if _, named := all[member]; !named {
				all[member] = agentapiv1.MemberHealth_UP
			}
		}
	}
	for member, state := range all {
		report.Members = append(report.Members, &agentapiv1.MemberHealth{PoolId: poolID, MemberId: member, State: state, Failure: "NETWORK"})
	}
	w.keeper.Hear(w.t.Context(), model.Amphora{ID: amphora, LoadBalancerID: lbID}, report)
}

func (w *world) heartbeat(amphora string) {
	w.t.Helper()
	if err := w.store.Heartbeat(w.t.Context(), amphora, time.Now()); err != nil {
		w.t.Fatal(err)
	}
}

func down(members ...string) map[string]agentapiv1.MemberHealth_State {
	states := map[string]agentapiv1.MemberHealth_State{}
	for _, member := range members {
		states[member] = agentapiv1.MemberHealth_DOWN
	}
	return states
}

// want compares with what Octavia was told of the load balancer, its pool and its members.
func (w *world) want(what string, lb, pool model.OperatingStatus, members ...model.OperatingStatus) {
	w.t.Helper()
	w.octavia.mu.Lock()
	defer w.octavia.mu.Unlock()
	got := []model.OperatingStatus{w.octavia.statuses[lbID], w.octavia.statuses[poolID]}
	for i := range members {
		got = append(got, w.octavia.statuses[w.members[i]])
	}
	if diff := cmp.Diff(append([]model.OperatingStatus{lb, pool}, members...), got); diff != "" {
		w.t.Errorf("%s: Octavia has (-want +got):\n%s", what, diff)
	}
}

func (w *world) sent() int {
	w.octavia.mu.Lock()
	defer w.octavia.mu.Unlock()
	return w.octavia.messages
}

const (
	up       = model.OperatingOnline
	degraded = model.OperatingDegraded
	failed   = model.OperatingError
)

func TestOctaviaIsToldWhatAmphoraeSee(t *testing.T) {
	in(t, 2, []string{firstID}, func(w *world) {
		w.says(firstID, true, nil)
		w.rest()
		w.want("all up", up, up, up, up)
		before := w.sent()
		begin := time.Now()
		w.says(firstID, false, down(w.members[0]))
		w.rest()
		w.want("one down", degraded, degraded, failed, up)
		w.octavia.set(func() {
			if took := w.octavia.at.Sub(begin); took > 2*messageTime {
				w.t.Errorf("it took %v to say so after a quiet time", took)
			}
		})
		w.says(firstID, false, down(w.members[1]))
		w.rest()
		w.want("all down", failed, failed, failed, failed)
		w.says(firstID, true, nil)
		w.rest()
		w.want("all back", up, up, up, up)
		if got := w.sent() - before; got != 3 {
			w.t.Errorf("%d messages for three changes", got)
		}
		w.says(firstID, true, nil)
		w.rest()
		if got := w.sent() - before; got != 3 {
			w.t.Errorf("%d messages after one that changes nothing", got)
		}
	})
}

// TestAThousandFlappingMembers is the bound: whatever amphorae say, Octavia ends with the truth after few messages.
func TestAThousandFlappingMembers(t *testing.T) {
	in(t, 1000, []string{firstID}, func(w *world) {
		w.says(firstID, true, nil)
		w.rest()
		random := rand.New(rand.NewPCG(1, 2))
		said := func() int { return int(testutil.ToFloat64(w.keeper.metrics.messages)) }
		before, begin := said(), time.Now()
		truth := map[string]agentapiv1.MemberHealth_State{}
		const flapping = 2 * time.Minute
		for time.Since(begin) < flapping {
			states := map[string]agentapiv1.MemberHealth_State{}
			for _, member := range w.members {
				states[member] = agentapiv1.MemberHealth_DOWN
				if random.IntN(2) == 0 {
					states[member] = agentapiv1.MemberHealth_UP
				}
			}
			maps.Copy(truth, states)
			w.says(firstID, false, states)
			time.Sleep(400 * time.Millisecond)
		}
		end := time.Now()
		w.rest()
		messages := said() - before
		// 1 s, then about 500 members each time: 5, 7.5, then every 10 s, and the one at the end.
		if messages < 10 || messages > 20 {
			w.t.Errorf("%d messages in %v", messages, flapping)
		}
		for _, member := range w.members {
			want := up
			if truth[member] == agentapiv1.MemberHealth_DOWN {
				want = failed
			}
			if got := w.octavia.statuses[member]; got != want {
				w.t.Fatalf("member %s ends as %s, and is %s", member, got, want)
			}
		}
		w.want("at the end", degraded, degraded)
		late := w.octavia.at.Sub(end)
		if late > lastPause+2*time.Second {
			w.t.Errorf("the truth was told %v after the last change", late)
		}
		w.t.Logf("%d messages in %v of flapping, the truth %v after its end", messages, flapping, late)
		if count := testutil.ToFloat64(w.keeper.metrics.coalesced); count < 100_000 {
			w.t.Errorf("%v changes counted as coalesced", count)
		}
		if age := testutil.ToFloat64(w.keeper.metrics.oldest); age != 0 {
			w.t.Errorf("a change of %v s is not told", age)
		}
		// A quiet time later all is as at first.
		begin = time.Now()
		w.says(firstID, true, nil)
		w.rest()
		w.want("all back", up, up)
		if took := w.octavia.at.Sub(begin); took > 7*messageTime {
			w.t.Errorf("it took %v to say so of 500 members after a quiet time", took)
		}
	})
}

func TestWhileTheDriverAgentIsAwayOneMessageWaits(t *testing.T) {
	in(t, 2, []string{firstID}, func(w *world) {
		w.says(firstID, true, nil)
		w.rest()
		w.octavia.set(func() { w.octavia.away = true })
		for range 10 {
			w.says(firstID, false, down(w.members[0]))
			w.rest()
			w.says(firstID, true, nil)
			w.rest()
		}
		w.says(firstID, false, down(w.members...))
		w.rest()
		if age := testutil.ToFloat64(w.keeper.metrics.oldest); age < 60 {
			w.t.Errorf("the oldest change that is not told is %v s old", age)
		}
		before := w.sent()
		w.octavia.set(func() { w.octavia.away = false })
		w.rest()
		w.rest()
		w.want("when it is back", failed, failed, failed, failed)
		if got := w.sent() - before; got != 2 {
			w.t.Errorf("%d messages, want the one that waited and the truth", got)
		}
	})
}

func TestAnotherControllerTakesUpWhatIsUnsettled(t *testing.T) {
	in(t, 1, []string{firstID}, func(w *world) {
		view := status.View{
			Members:   map[string]status.MemberView{w.members[0]: {State: status.MemberDown}},
			Listeners: map[string]status.ListenerView{listenerID: {}},
		}
		body, err := view.Encode()
		if err != nil {
			w.t.Fatal(err)
		}
		_, err = w.store.PutAmphoraHealth(w.t.Context(), lbID, []store.AmphoraHealth{{AmphoraID: firstID, View: body}})
		if err != nil {
			w.t.Fatal(err)
		}
		w.rest()
		w.want("after a view that another wrote", failed, failed, failed)
	})
}

func TestRulesOfANewProgramHoldForAll(t *testing.T) {
	in(t, 1, []string{firstID}, func(w *world) {
		w.says(firstID, true, nil)
		w.rest()
		// As if an older program had thought otherwise.
		if err := w.store.Unsettle(w.t.Context(), lbID); err != nil {
			w.t.Fatal(err)
		}
		_, err := w.store.Settle(w.t.Context(), lbID, func(store.Health) store.Settlement {
			return store.Settlement{Status: model.StatusUpdate{Pools: []model.ObjectStatus{{ID: poolID, OperatingStatus: failed}}}}
		})
		if err != nil {
			w.t.Fatal(err)
		}
		w.rest()
		w.want("before", up, failed)
		stop := w.run(func() {})
		defer stop()
		w.rest()
		w.want("after a start", up, up)
	})
}

// TestAmphoraeDisagree has two, of which one goes away and comes back.
func TestAmphoraeDisagree(t *testing.T) {
	in(t, 1, []string{firstID, secondID}, func(w *world) {
		alive := func(amphorae ...string) {
			for range 8 {
				for _, amphora := range amphorae {
					w.heartbeat(amphora)
				}
				time.Sleep(10 * time.Second)
			}
			synctest.Wait()
		}
		w.says(firstID, true, nil)
		w.says(secondID, true, down(w.members[0]))
		alive(firstID, secondID)
		w.want("one sees it down", degraded, degraded, degraded)
		alive(firstID)
		w.want("that one is away", up, up, up)
		alive(firstID, secondID)
		w.want("and back", degraded, degraded, degraded)
		w.says(secondID, true, nil)
		alive(firstID, secondID)
		w.want("they agree", up, up, up)
	})
}

func TestListenerThatVanishes(t *testing.T) {
	in(t, 1, []string{firstID}, func(w *world) {
		w.says(firstID, true, nil)
		w.heartbeat(firstID)
		w.rest()
		w.want("all is well", up, up, up)
		w.keeper.Hear(w.t.Context(), model.Amphora{ID: firstID, LoadBalancerID: lbID}, &agentapiv1.HealthReport{Whole: true})
		w.heartbeat(firstID)
		w.rest()
		w.octavia.set(func() {
			if got := w.octavia.statuses[listenerID]; got != failed {
				w.t.Errorf("the listener is %s", got)
			}
		})
		w.want("the only listener is gone", failed, up, up)
	})
}

func TestNewsOfDeletedLoadBalancersIsDropped(t *testing.T) {
	in(t, 1, []string{firstID}, func(w *world) {
		before := w.sent()
		if err := w.store.Finish(w.t.Context(), store.Finish{LoadBalancerID: lbID, Deleted: true}); err != nil {
			w.t.Fatal(err)
		}
		w.says(firstID, true, nil)
		w.rest()
		w.keeper.mu.Lock()
		defer w.keeper.mu.Unlock()
		if len(w.keeper.pending)+len(w.keeper.written) != 0 || w.sent() != before {
			w.t.Errorf("kept %v and %v, sent %d", w.keeper.pending, w.keeper.written, w.sent())
		}
	})
}
