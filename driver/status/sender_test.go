package status_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
	"github.com/octavia-envoy/octavia-envoy/store"
)

// fakeOutbox keeps messages as package store does.
type fakeOutbox struct {
	mu       sync.Mutex
	messages []store.OutboxMessage
	due      map[int64]time.Time
	newer    map[int64]bool
	dropped  []int64
	// stolen are messages that another controller sends between our look and our send.
	stolen map[int64]bool
	// failNewer makes HasNewerIntent fail.
	failNewer error
}

func (o *fakeOutbox) add(lb string, update model.StatusUpdate) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	id := int64(len(o.messages) + 1)
	o.messages = append(o.messages, store.OutboxMessage{ID: id, LoadBalancerID: lb, Status: update, CreatedAt: time.Now()})
	return id
}

func (o *fakeOutbox) Outbox(_ context.Context, now time.Time) ([]store.OutboxMessage, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var due []store.OutboxMessage
	seen := map[string]bool{}
	for _, message := range o.messages {
		if message.ID != 0 && !seen[message.LoadBalancerID] && !o.due[message.ID].After(now) {
			due = append(due, message)
		}
		if message.ID != 0 {
			seen[message.LoadBalancerID] = true
		}
	}
	return due, nil
}

func (o *fakeOutbox) OutboxSent(_ context.Context, id int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.messages[id-1].ID = 0
	return nil
}

func (o *fakeOutbox) OutboxDropped(ctx context.Context, message store.OutboxMessage) error {
	o.mu.Lock()
	o.dropped = append(o.dropped, message.ID)
	o.mu.Unlock()
	return o.OutboxSent(ctx, message.ID)
}

func (o *fakeOutbox) OutboxFailed(_ context.Context, id int64, cause string, next time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.messages[id-1].Attempts++
	o.messages[id-1].LastError = cause
	if o.due == nil {
		o.due = map[int64]time.Time{}
	}
	o.due[id] = next
	return nil
}

func (o *fakeOutbox) HasNewerIntent(_ context.Context, message store.OutboxMessage) (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stolen[message.ID] {
		o.messages[message.ID-1].ID = 0
	}
	if o.messages[message.ID-1].ID == 0 {
		return false, store.ErrNotFound
	}
	return o.newer[message.ID], o.failNewer
}

func (o *fakeOutbox) left() []store.OutboxMessage {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(o.messages), func(message store.OutboxMessage) bool { return message.ID == 0 })
}

// fakeUpdater records what is sent; refuse decides.
type fakeUpdater struct {
	mu     sync.Mutex
	sent   []string
	refuse func(update model.StatusUpdate) error
	hold   chan struct{}
	inside int
	most   int
}

func (u *fakeUpdater) Update(ctx context.Context, update model.StatusUpdate) error {
	u.mu.Lock()
	u.inside++
	u.most = max(u.most, u.inside)
	u.mu.Unlock()
	defer func() {
		u.mu.Lock()
		u.inside--
		u.mu.Unlock()
	}()
	if u.hold != nil {
		select {
		case <-u.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.refuse != nil {
		if err := u.refuse(update); err != nil {
			return err
		}
	}
	u.sent = append(u.sent, strings.ReplaceAll(lines(update), "\n", ", "))
	return nil
}

func (u *fakeUpdater) all() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.sent)
}

// bench runs a Sender in a bubble of its own clock.
type bench struct {
	outbox   *fakeOutbox
	agent    *fakeUpdater
	registry *prometheus.Registry
	log      *bytes.Buffer
	sender   *status.Sender
}

func run(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{outbox: &fakeOutbox{}, agent: &fakeUpdater{}, registry: prometheus.NewRegistry(), log: &bytes.Buffer{}}
		b.sender = status.NewSender(status.SenderOptions{
			Outbox: b.outbox, Agent: b.agent, Registry: b.registry, Logger: slog.New(slog.NewTextHandler(b.log, nil)),
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- b.sender.Run(ctx) }()
		synctest.Wait() // for its first look: from here on it does nothing while the test sets things up
		test(t, b)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
}

func (b *bench) expect(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, b.agent.all()); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}

func (b *bench) expectEmpty(t *testing.T) {
	t.Helper()
	if left := b.outbox.left(); len(left) > 0 {
		t.Errorf("left in the outbox: %v", left)
	}
}

func update(kind model.Kind, ids ...string) model.StatusUpdate {
	update := active(lbID)
	for _, id := range ids {
		records := update.Records(kind)
		*records = append(*records, model.ObjectStatus{ID: id, ProvisioningStatus: model.ProvisioningActive})
	}
	return update
}

func deleted(id string) model.StatusUpdate {
	return model.StatusUpdate{LoadBalancers: []model.ObjectStatus{{ID: id, ProvisioningStatus: model.ProvisioningDeleted}}}
}

func TestSenderSendsInOrder(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		for _, id := range []string{"a", "b", "c"} {
			b.outbox.add(lbID, model.StatusUpdate{Pools: []model.ObjectStatus{{ID: id}}})
		}
		b.sender.Wake()
		b.expect(t, "a - -", "b - -", "c - -")
		b.expectEmpty(t)
		// Without a wake the next look is a second away.
		b.outbox.add(lbID, model.StatusUpdate{Pools: []model.ObjectStatus{{ID: "d"}}})
		time.Sleep(time.Second)
		b.expect(t, "a - -", "b - -", "c - -", "d - -")
	})
}

func TestSenderIsParallelWithinBounds(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.agent.hold = make(chan struct{})
		for i := range 20 {
			b.outbox.add(string(rune('a'+i)), active(string(rune('a'+i))))
		}
		b.sender.Wake()
		synctest.Wait()
		b.agent.mu.Lock()
		if b.agent.inside != 8 {
			t.Errorf("%d at once, want 8", b.agent.inside)
		}
		b.agent.mu.Unlock()
		close(b.agent.hold)
		synctest.Wait()
		if b.agent.most != 8 || len(b.agent.all()) != 20 {
			t.Errorf("%d at once, %d sent", b.agent.most, len(b.agent.all()))
		}
		b.expectEmpty(t)
	})
}

func TestSenderTriesForEver(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		absent := errors.New("the agent is absent")
		b.agent.refuse = func(model.StatusUpdate) error { return absent }
		b.outbox.add(lbID, active(lbID))
		b.outbox.add("other", active("other"))
		b.sender.Wake()
		synctest.Wait()
		if left := b.outbox.left(); len(left) != 2 || left[0].Attempts != 1 || left[0].LastError != absent.Error() {
			t.Errorf("left: %v", left)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		// From 0.2 s to 30 s, half of it by chance: between 120 and 250 attempts an hour.
		attempts := b.outbox.left()[0].Attempts
		if attempts < 100 || attempts > 270 {
			t.Errorf("%d attempts in an hour", attempts)
		}
		if age := b.gauge(t, "octavia_envoy_status_outbox_oldest_seconds"); age < 3590 || age > 3601 {
			t.Errorf("the oldest message has %v s", age)
		}
		b.agent.mu.Lock()
		b.agent.refuse = nil
		b.agent.mu.Unlock()
		time.Sleep(31 * time.Second)
		synctest.Wait()
		b.expectEmpty(t)
		if sent := b.agent.all(); len(sent) != 2 {
			t.Errorf("sent %v", sent)
		}
	})
}

func TestSenderDropsWhatOctaviaHas(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		old := b.outbox.add(lbID, active(lbID))
		last := b.outbox.add("gone", deleted("gone"))
		b.outbox.newer = map[int64]bool{old: true, last: true}
		b.sender.Wake()
		b.expect(t, "gone DELETED -")
		b.expectEmpty(t)
		expectCounters(t, b, "dropped", 1)
		if !slices.Equal(b.outbox.dropped, []int64{old}) {
			t.Errorf("noted as dropped: %v", b.outbox.dropped)
		}
	})
}

// A call for a load balancer that was not PENDING says nothing about a message that ends no call.
func TestSenderSendsHealthWhateverCallsCome(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		health := model.StatusUpdate{Members: []model.ObjectStatus{{ID: "m1", OperatingStatus: model.OperatingError}}}
		b.outbox.newer = map[int64]bool{b.outbox.add(lbID, health): true}
		b.sender.Wake()
		b.expect(t, "m1 - ERROR")
		b.expectEmpty(t)
		expectCounters(t, b, "dropped", 0)
	})
}

func TestSenderTellsThatAMessageIsOut(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		out := 0
		b.sender.Sent = func() { out++ }
		b.outbox.add(lbID, active(lbID))
		b.sender.Wake()
		b.expect(t, lbID+" ACTIVE ONLINE")
		if out != 1 {
			t.Errorf("told %d times", out)
		}
	})
}

func TestSenderLeavesWhatAnotherSent(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.outbox.stolen = map[int64]bool{b.outbox.add(lbID, active(lbID)): true}
		b.sender.Wake()
		b.expect(t)
		if strings.Contains(b.log.String(), "ERROR") {
			t.Errorf("it counts as an error: %s", b.log)
		}
	})
}

func TestSenderDoesNotSendWithoutKnowing(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.outbox.failNewer = errors.New("database is locked")
		b.outbox.add(lbID, active(lbID))
		b.sender.Wake()
		b.expect(t)
		b.outbox.mu.Lock()
		b.outbox.failNewer = nil
		b.outbox.mu.Unlock()
		time.Sleep(time.Second)
		b.expect(t, lbID+" ACTIVE ONLINE")
	})
}

func TestSenderLeavesOutWhatIsGone(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.agent.refuse = func(update model.StatusUpdate) error {
			if len(update.Listeners) > 0 && update.Listeners[0].ID == "l1" {
				return &status.RecordError{Kind: model.KindListener, ID: "l1", Fault: "Listener l1 not found."}
			}
			return nil
		}
		b.outbox.add(lbID, update(model.KindListener, "l1", "l2"))
		b.sender.Wake()
		b.expect(t, lbID+" ACTIVE ONLINE, l2 ACTIVE -")
		b.expectEmpty(t)
	})
}

// A long deletion whose answer came too late goes on in the agent, and the second attempt meets it.
func TestSenderLeavesOutWhatIsBeingDeleted(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.agent.refuse = func(update model.StatusUpdate) error {
			if len(update.Members) > 0 && update.Members[0].ID == "m1" {
				return &status.RecordError{Kind: model.KindMember, ID: "m1", Fault: "No row was found when one was required"}
			}
			return nil
		}
		b.outbox.add(lbID, update(model.KindMember, "m1", "m2"))
		b.sender.Wake()
		b.expect(t, lbID+" ACTIVE ONLINE, m2 ACTIVE -")
		b.expectEmpty(t)
	})
}

// TestSenderSendsLongMessagesInParts: no request of the driver-agent may last longer than is waited for its answer.
func TestSenderSendsLongMessagesInParts(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		var members []string
		for i := range 250 {
			members = append(members, fmt.Sprint("m", i))
		}
		b.outbox.add(lbID, update(model.KindMember, members...))
		b.sender.Wake()
		time.Sleep(time.Second)
		synctest.Wait()
		sent := b.agent.all()
		if len(sent) != 3 {
			t.Fatalf("%d requests: %v", len(sent), sent)
		}
		for i, request := range sent {
			if last := i == 2; strings.Contains(request, lbID) != last {
				t.Errorf("request %d: %s", i, request)
			}
		}
		b.expectEmpty(t)
		expectCounters(t, b, "sent", 1)
	})
}

func TestSenderTakesPurgedForDeleted(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.agent.refuse = func(model.StatusUpdate) error {
			return &status.RecordError{
				Kind: model.KindLoadBalancer, ID: lbID, Fault: "'NoneType' object has no attribute 'vip'",
			}
		}
		b.outbox.add(lbID, deleted(lbID))
		b.sender.Wake()
		b.expect(t)
		b.expectEmpty(t)
	})
}

// TestSenderLeavesOutPoison: the load balancer's own record comes last, and without it the load balancer stays locked.
func TestSenderLeavesOutPoison(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		tries := 0
		b.agent.refuse = func(update model.StatusUpdate) error {
			if len(update.Pools) == 0 {
				return nil
			}
			tries++
			return &status.RecordError{Kind: model.KindPool, ID: "p1", Fault: "(IntegrityError) a foreign key fails"}
		}
		b.outbox.add(lbID, update(model.KindPool, "p1"))
		b.sender.Wake()
		time.Sleep(time.Minute)
		b.expect(t, lbID+" ACTIVE ONLINE")
		b.expectEmpty(t)
		if tries != 5 {
			t.Errorf("tried %d times, want 5", tries)
		}
		if !strings.Contains(b.log.String(), "level=ERROR msg=\"record left out") {
			t.Error("nothing in the log")
		}
	})
}

// TestSenderBearsWithTheDatabase: what will pass is no poison, and the load balancer's record never is.
func TestSenderBearsWithTheDatabase(t *testing.T) {
	faults := map[string]*status.RecordError{
		"database": {Kind: model.KindPool, ID: "p1", Fault: "(pymysql.err.OperationalError) (2003, \"Can't connect\")"},
		"deadlock": {Kind: model.KindPool, ID: "p1", Fault: "Deadlock found when trying to get lock"},
		"neutron":  {Kind: model.KindLoadBalancer, ID: lbID, Fault: "Port 7 not found."},
		"absent":   {Kind: model.KindMember, ID: "not in the message", Fault: "Member not found."},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, b *bench) {
				b.agent.refuse = func(update model.StatusUpdate) error {
					if name == "absent" || strings.Contains(lines(update), fault.ID) {
						return fault
					}
					return nil
				}
				b.outbox.add(lbID, update(model.KindPool, "p1"))
				b.sender.Wake()
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				if left := b.outbox.left(); len(left) != 1 || left[0].Attempts < 10 {
					t.Errorf("left: %v", left)
				}
				b.expect(t)
			})
		})
	}
}

// TestSenderNeverResurrects: the agent would make a DELETED load balancer ACTIVE without a question.
func TestSenderNeverResurrects(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.outbox.add(lbID, deleted(lbID))
		b.outbox.add(lbID, active(lbID))
		b.outbox.add(lbID, deleted(lbID))
		b.outbox.add("other", active("other"))
		b.sender.Wake()
		synctest.Wait()
		sent := b.agent.all()
		slices.Sort(sent)
		if diff := cmp.Diff([]string{lbID + " DELETED -", lbID + " DELETED -", "other ACTIVE ONLINE"}, sent); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
		b.expectEmpty(t)
	})
}

// TestSenderKeepsWhatIsUnderWay: a message whose sending is cut short by the end of the process stays.
func TestSenderKeepsWhatIsUnderWay(t *testing.T) {
	var b *bench
	run(t, func(t *testing.T, inner *bench) {
		b = inner
		b.agent.hold = make(chan struct{})
		b.outbox.add(lbID, active(lbID))
		b.sender.Wake()
		synctest.Wait()
	})
	if left := b.outbox.left(); len(left) != 1 || left[0].Attempts != 0 {
		t.Errorf("left: %v", left)
	}
}

func (b *bench) gauge(t *testing.T, name string) float64 {
	t.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func expectCounters(t *testing.T, b *bench, outcome string, want int) {
	t.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetValue() == outcome && metric.GetCounter().GetValue() != float64(want) {
					t.Errorf("%s %s: %v, want %d", family.GetName(), outcome, metric.GetCounter().GetValue(), want)
				}
			}
		}
	}
	if problems, err := testutil.GatherAndLint(b.registry); err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", problems, err)
	}
}
