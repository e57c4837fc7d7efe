package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/publish"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// world is everything around the loop: a real store, and an Octavia, amphorae and Envoy whose answers a test decides.
type world struct {
	mu      sync.Mutex
	store   *store.Store
	tree    *model.LoadBalancer
	barrier error
	// overtake is called while the barrier is on its way.
	overtake  func()
	ensure    error
	reject    map[translate.Key]string
	published []*translate.Resources
	restored  []string
	removed   []string
	deleted   []string
	freed     []string
	panics    bool
	// stays are the ids of objects that Octavia does not want deleted; unread makes the tree unreadable.
	stays  []string
	unread bool
	reads  int
}

func (w *world) ProvisioningStatus(_ context.Context, ref model.Ref, _ string) (model.ProvisioningStatus, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if slices.Contains(w.stays, ref.ID) {
		return model.ProvisioningActive, nil
	}
	return model.ProvisioningPendingDelete, nil
}

func (w *world) Members(context.Context, string) (map[string]model.ProvisioningStatus, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	statuses := map[string]model.ProvisioningStatus{}
	for _, member := range w.tree.Pools[0].Members {
		statuses[member.ID] = model.ProvisioningPendingDelete
		if slices.Contains(w.stays, member.ID) {
			statuses[member.ID] = model.ProvisioningActive
		}
	}
	return statuses, nil
}

func (w *world) Barrier(context.Context, string, model.OperatingStatus) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.overtake != nil {
		w.overtake()
	}
	return w.barrier
}

func (w *world) LoadBalancer(context.Context, string) (*model.LoadBalancer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads++
	if w.panics {
		panic("a bug")
	}
	if w.unread {
		return nil, status.ErrNoAnswer
	}
	if w.tree == nil {
		return nil, status.ErrGone
	}
	return w.tree, nil
}

func (w *world) Ensure(ctx context.Context, tree *model.LoadBalancer) ([]model.Amphora, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ensure != nil {
		return nil, w.ensure
	}
	amphora := model.Amphora{
		ID: tree.ID, LoadBalancerID: tree.ID, Status: model.AmphoraAllocated, Role: "STANDALONE", Compute: "local",
	}
	return []model.Amphora{amphora}, w.store.PutAmphora(ctx, amphora)
}

func (w *world) Delete(_ context.Context, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deleted = append(w.deleted, id)
	return nil
}

func (w *world) Publish(_ context.Context, _ string, want *translate.Resources) (publish.Result, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.published = append(w.published, want)
	return publish.Result{Rejected: w.reject}, nil
}

func (w *world) Restore(node string, _ *translate.Resources) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.restored = append(w.restored, node)
	return nil
}

func (w *world) Refresh(ctx context.Context, node string, load func(context.Context) (*translate.Resources, error)) error {
	resources, err := load(ctx)
	if err != nil || resources == nil {
		return err
	}
	return w.Restore(node, resources)
}

func (w *world) Remove(node string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.removed = append(w.removed, node)
}

func (w *world) DeallocateVIP(_ context.Context, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.freed = append(w.freed, id)
	return nil
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// start runs a loop over a fresh store until the test ends.
func start(t *testing.T, change func(*Options)) *world {
	t.Helper()
	t.Parallel()
	logger := slog.New(slog.DiscardHandler)
	database, err := store.Open(t.Context(), store.Options{
		DSN: "sqlite:" + filepath.Join(t.TempDir(), "store.db"), Logger: logger, Now: time.Now, Keys: storetest.Keys(t, "test"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := database.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := &world{store: database}
	options := Options{
		Store: database, Octavia: w, Amphorae: w, Publisher: w, VIPs: w, Statuses: w, Report: func() {}, Owner: "test",
		Deadline: time.Minute, RetryInterval: 50 * time.Millisecond, Parallel: 4, Logger: logger,
	}
	if change != nil {
		change(&options)
	}
	loop := New(options)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = loop.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if changed := database.ChangedTrees(); len(changed) > 0 {
			t.Errorf("the trees of %v, which may only be read, were changed", changed)
		}
		if err := database.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) intend(t *testing.T, op model.Op, ref model.Ref) {
	t.Helper()
	_, err := w.store.AddIntent(t.Context(), model.Intent{
		LoadBalancerID: lbID, Op: op, Object: ref, RequestID: "req-1", Cascade: true,
	}, store.Audit{Action: "test"})
	if err != nil {
		t.Fatal(err)
	}
}

// next waits for the next message to Octavia and takes it from the outbox.
func (w *world) next(t *testing.T) model.StatusUpdate {
	t.Helper()
	var update model.StatusUpdate
	testkit.Until(t, "a status for Octavia", func() bool {
		messages, err := w.store.Outbox(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if len(messages) == 0 {
			return false
		}
		update = messages[0].Status
		if err := w.store.OutboxSent(t.Context(), messages[0].ID); err != nil {
			t.Fatal(err)
		}
		return true
	})
	return update
}

var (
	lbID       = uuid.MustParse("11111111-1111-4111-8111-111111111111").String()
	listenerID = uuid.MustParse("22222222-2222-4222-8222-222222222222").String()
	poolID     = uuid.MustParse("33333333-3333-4333-8333-333333333333").String()
	lbRef      = model.Ref{Kind: model.KindLoadBalancer, ID: lbID}
)

func tree() *model.LoadBalancer {
	return &model.LoadBalancer{
		ID: lbID, Name: "lb", AdminStateUp: true, VIPAddress: "203.0.113.5",
		Listeners: []model.Listener{{
			ID: listenerID, LoadBalancerID: lbID, AdminStateUp: true, Protocol: model.ProtocolHTTP, ProtocolPort: 80,
			ConnectionLimit: model.UnlimitedConnections, DefaultPoolID: poolID, TimeoutClientData: 50000,
			TimeoutMemberConnect: 5000, TimeoutMemberData: 50000,
		}},
		Pools: []model.Pool{{
			ID: poolID, LoadBalancerID: lbID, AdminStateUp: true, Protocol: model.ProtocolHTTP,
			LBAlgorithm: model.AlgorithmRoundRobin,
		}},
	}
}

func provisioning(records []model.ObjectStatus) model.ProvisioningStatus {
	if len(records) != 1 {
		return ""
	}
	return records[0].ProvisioningStatus
}

func TestCreatedLoadBalancerBecomesActive(t *testing.T) {
	w := start(t, nil)
	w.set(func() { w.tree = tree() })
	w.intend(t, model.OpCreate, lbRef)
	update := w.next(t)
	for what, records := range map[string][]model.ObjectStatus{
		"load balancer": update.LoadBalancers, "listener": update.Listeners, "pool": update.Pools,
	} {
		if provisioning(records) != model.ProvisioningActive {
			t.Errorf("the %s is reported as %v", what, records)
		}
	}
	if intents, err := w.store.Intents(t.Context(), lbID); err != nil || len(intents) != 0 {
		t.Errorf("intents left: %v, error %v", intents, err)
	}
	known, err := w.store.LoadBalancer(t.Context(), lbID)
	if err != nil || known.Tree.Listener(listenerID) == nil || known.ProvisioningStatus != model.ProvisioningActive {
		t.Errorf("stored: %+v, error %v", known, err)
	}
}

func TestDeletionTakesTheAmphoraeAlong(t *testing.T) {
	w := start(t, nil)
	w.set(func() { w.tree = tree() })
	w.intend(t, model.OpCreate, lbRef)
	w.next(t)
	w.intend(t, model.OpDelete, lbRef)
	update := w.next(t)
	if provisioning(update.LoadBalancers) != model.ProvisioningDeleted || provisioning(update.Listeners) != model.ProvisioningDeleted {
		t.Errorf("reported: %+v", update)
	}
	w.set(func() {
		if !slices.Contains(w.deleted, lbID) || !slices.Contains(w.removed, lbID) {
			t.Errorf("amphorae deleted %v, forgotten by the publisher %v", w.deleted, w.removed)
		}
	})
	if _, err := w.store.LoadBalancer(t.Context(), lbID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the store still has it: %v", err)
	}
}

func TestRolledBackCreationLeavesNothing(t *testing.T) {
	w := start(t, nil) // Octavia answers that it does not exist
	w.intend(t, model.OpCreate, lbRef)
	testkit.Until(t, "end of the load balancer in the store", func() bool {
		_, err := w.store.LoadBalancer(t.Context(), lbID)
		return errors.Is(err, store.ErrNotFound)
	})
	w.set(func() {
		if !slices.Contains(w.freed, lbID) {
			t.Error("its VIP port is left")
		}
		if len(w.published) != 0 {
			t.Error("it was published")
		}
	})
}

func TestRolledBackDeletionDeletesNothing(t *testing.T) {
	w := start(t, nil)
	w.set(func() { w.tree, w.stays = tree(), []string{lbID} })
	w.intend(t, model.OpCreate, lbRef)
	w.next(t)
	w.intend(t, model.OpDelete, lbRef)
	testkit.Until(t, "end of the intent", func() bool {
		intents, err := w.store.Intents(t.Context(), lbID)
		return err == nil && len(intents) == 0
	})
	if _, err := w.store.LoadBalancer(t.Context(), lbID); err != nil {
		t.Errorf("the load balancer is gone: %v", err)
	}
	w.set(func() {
		if len(w.deleted) != 0 {
			t.Error("its amphora is gone")
		}
	})
	if messages, err := w.store.Outbox(t.Context(), time.Now()); err != nil || len(messages) != 0 {
		t.Errorf("reported: %+v, error %v", messages, err)
	}
}

func TestRolledBackBatchUpdateDeletesNoMember(t *testing.T) {
	w := start(t, nil)
	wanted := tree()
	wanted.Pools[0].Members = []model.Member{
		{ID: "m1", PoolID: poolID, AdminStateUp: true, Address: "203.0.113.21", ProtocolPort: 80, Weight: 1},
		{ID: "m2", PoolID: poolID, AdminStateUp: true, Address: "203.0.113.22", ProtocolPort: 80, Weight: 1},
	}
	w.set(func() { w.tree, w.stays = wanted, []string{"m1"} })
	w.intend(t, model.OpCreate, lbRef)
	w.next(t)
	// The call names neither member, but of m1 Octavia does not say that it is being deleted.
	w.intend(t, model.OpBatchUpdate, model.Ref{Kind: model.KindPool, ID: poolID})
	update := w.next(t)
	for _, member := range update.Members {
		want := map[string]model.ProvisioningStatus{"m1": model.ProvisioningActive, "m2": model.ProvisioningDeleted}[member.ID]
		if member.ProvisioningStatus != want {
			t.Errorf("member %s is reported %s, not %s", member.ID, member.ProvisioningStatus, want)
		}
	}
	if len(update.Members) != 2 {
		t.Errorf("reported members: %+v", update.Members)
	}
}

func TestUnreadableTreeCanBeDeleted(t *testing.T) {
	w := start(t, nil)
	w.set(func() { w.tree = tree() })
	w.intend(t, model.OpCreate, lbRef)
	w.next(t)
	w.set(func() { w.unread = true })
	w.intend(t, model.OpDelete, lbRef)
	if update := w.next(t); provisioning(update.LoadBalancers) != model.ProvisioningDeleted {
		t.Errorf("reported: %+v", update)
	}
}

// A replica that is at work on a load balancer is waited for without spinning.
func TestBusyLoadBalancerIsWaitedFor(t *testing.T) {
	w := start(t, nil)
	w.set(func() { w.tree = tree() })
	if acquired, err := w.store.AcquireLease(t.Context(), lbID, "another", time.Minute); err != nil || !acquired {
		t.Fatal(acquired, err)
	}
	w.intend(t, model.OpCreate, lbRef)
	time.Sleep(time.Second) // time to do wrong: to work all the same, or to give up
	w.set(func() {
		if w.reads != 0 {
			t.Error("worked on what another replica works on")
		}
	})
	if err := w.store.ReleaseLease(t.Context(), lbID, "another"); err != nil {
		t.Fatal(err)
	}
	if update := w.next(t); provisioning(update.LoadBalancers) != model.ProvisioningActive {
		t.Errorf("reported: %+v", update)
	}
}

func TestUnreachableDriverAgentIsWaitedFor(t *testing.T) {
	w := start(t, func(o *Options) { o.Deadline = time.Millisecond })
	w.set(func() { w.tree, w.barrier = tree(), status.ErrUnreachable })
	w.intend(t, model.OpCreate, lbRef)
	time.Sleep(600 * time.Millisecond) // several attempts, well past the deadline
	if messages, err := w.store.Outbox(t.Context(), time.Now()); err != nil || len(messages) != 0 {
		t.Fatalf("reported without Octavia: %v, error %v", messages, err)
	}
	w.set(func() { w.barrier = nil })
	if update := w.next(t); provisioning(update.LoadBalancers) != model.ProvisioningActive {
		t.Errorf("reported: %+v", update)
	}
}

func TestFailurePastTheDeadlineIsErrorAndHeals(t *testing.T) {
	w := start(t, func(o *Options) { o.Deadline = time.Millisecond })
	w.set(func() { w.tree, w.ensure = tree(), errors.New("no agent connected") })
	w.intend(t, model.OpCreate, lbRef)
	if update := w.next(t); provisioning(update.LoadBalancers) != model.ProvisioningError {
		t.Fatalf("reported: %+v", update)
	}
	known, err := w.store.LoadBalancer(t.Context(), lbID)
	if err != nil || !strings.Contains(known.LastError, "no agent connected") {
		t.Errorf("the reason is lost: %+v, error %v", known, err)
	}
	w.set(func() { w.ensure = nil })
	update := w.next(t)
	if provisioning(update.LoadBalancers) != model.ProvisioningActive || provisioning(update.Listeners) != model.ProvisioningActive {
		t.Errorf("after the cause is gone, reported: %+v", update)
	}
}

func TestRefusedResourceIsTheObjectsErrorAlone(t *testing.T) {
	w := start(t, nil)
	key := translate.Key{TypeURL: translate.TypeURLs()[3], Name: listenerID}
	w.set(func() { w.tree, w.reject = tree(), map[translate.Key]string{key: "duplicate address"} })
	w.intend(t, model.OpCreate, lbRef)
	update := w.next(t)
	if provisioning(update.Listeners) != model.ProvisioningError {
		t.Errorf("the listener is reported as %v", update.Listeners)
	}
	if provisioning(update.LoadBalancers) != model.ProvisioningActive || provisioning(update.Pools) != model.ProvisioningActive {
		t.Errorf("its neighbours are reported as %v and %v", update.LoadBalancers, update.Pools)
	}
	known, err := w.store.LoadBalancer(t.Context(), lbID)
	if err != nil || !strings.Contains(known.LastError, "duplicate address") {
		t.Errorf("Envoy's sentence is lost: %+v, error %v", known, err)
	}
}

func TestPanicIsAFailedAttempt(t *testing.T) {
	w := start(t, nil)
	w.set(func() { w.tree, w.panics = tree(), true })
	w.intend(t, model.OpCreate, lbRef)
	time.Sleep(100 * time.Millisecond) // at least one attempt
	w.set(func() { w.panics = false })
	if update := w.next(t); provisioning(update.LoadBalancers) != model.ProvisioningActive {
		t.Errorf("reported: %+v", update)
	}
}

func TestFailoverRebuildsTheAmphorae(t *testing.T) {
	w := start(t, nil)
	w.set(func() { w.tree = tree() })
	w.intend(t, model.OpCreate, lbRef)
	w.next(t)
	w.intend(t, model.OpFailover, lbRef)
	if update := w.next(t); provisioning(update.LoadBalancers) != model.ProvisioningActive {
		t.Errorf("reported: %+v", update)
	}
	w.set(func() {
		if !slices.Contains(w.deleted, lbID) {
			t.Error("the old amphora is left")
		}
	})
}

func TestRestoreComesFromTheStore(t *testing.T) {
	w := start(t, nil)
	w.set(func() { w.tree = tree() })
	w.intend(t, model.OpCreate, lbRef)
	w.next(t)
	next := New(Options{Store: w.store, Publisher: w, Parallel: 1, Logger: slog.New(slog.DiscardHandler)})
	if err := next.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.set(func() {
		if !slices.Equal(w.restored, []string{lbID}) {
			t.Errorf("restored amphorae: %v", w.restored)
		}
	})
}
