package status_test

import (
	"bytes"
	"context"
	"errors"
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
