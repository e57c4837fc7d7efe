package status_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
	"github.com/octavia-envoy/octavia-envoy/store"
)

func (o *fakeOutbox) AcquireSending(context.Context, string, string, time.Duration) (bool, error) {
	return true, nil
}

func (o *fakeOutbox) ReleaseSending(context.Context, string, string) error { return nil }

// projects names whose a message is by the first letter of its load balancer.
type projects struct{ *fakeOutbox }

func (o projects) Outbox(ctx context.Context, now time.Time) ([]store.OutboxMessage, error) {
	due, err := o.fakeOutbox.Outbox(ctx, now)
	for i := range due {
		due[i].ProjectID = due[i].LoadBalancerID[:1]
	}
	return due, err
}

// steps is a driver-agent that answers when it is told to.
type steps struct {
	mu      sync.Mutex
	waiting []step
}

type step struct {
	name   string
	answer chan struct{}
}

func (a *steps) Update(ctx context.Context, update model.StatusUpdate) error {
	one := step{answer: make(chan struct{})}
	for _, records := range [][]model.ObjectStatus{update.Members, update.LoadBalancers} {
		for _, record := range records {
			one.name, _, _ = strings.Cut(record.ID, "/")
		}
	}
	a.mu.Lock()
	a.waiting = append(a.waiting, one)
	a.mu.Unlock()
	select {
	case <-one.answer:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// names are the load balancers whose messages are with the agent.
func (a *steps) names() []string {
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []string
	for _, one := range a.waiting {
		all = append(all, one.name)
	}
	slices.Sort(all)
	return all
}

// answer answers one request of a load balancer.
func (a *steps) answer(t *testing.T, name string) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.IndexFunc(a.waiting, func(one step) bool { return one.name == name })
	if i < 0 {
		t.Fatalf("%s has nothing with the agent", name)
	}
	close(a.waiting[i].answer)
	a.waiting = slices.Delete(a.waiting, i, i+1)
}

// sending runs senders, of replicas if there are several, over one outbox until the test ends.
func sending(t *testing.T, outbox status.Outbox, agents ...*steps) []*status.Sender {
	t.Helper()
	var senders []*status.Sender
	for i, agent := range agents {
		sender := status.NewSender(status.SenderOptions{
			Outbox: outbox, Agent: agent, Owner: strconv.Itoa(i), Logger: slog.New(slog.DiscardHandler),
		})
		go func() { _ = sender.Run(t.Context()) }()
		senders = append(senders, sender)
	}
	synctest.Wait()
	return senders
}

// long is a message of three parts.
func long(lb string) model.StatusUpdate {
	var update model.StatusUpdate
	for i := range 300 {
		update.Members = append(update.Members, model.ObjectStatus{ID: fmt.Sprintf("%s/%d", lb, i), ProvisioningStatus: model.ProvisioningActive})
	}
	return update
}

// Long messages of one tenant take half of the places, and are sent part by part: another's goes beside them, and its own
// short one comes in between.
func TestLongMessagesOfOneTenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox, agent := &fakeOutbox{}, &steps{}
		sender := sending(t, projects{outbox}, agent)[0]
		want := []string{}
		for i := range 8 {
			lb := fmt.Sprintf("big%d", i)
			outbox.add(lb, long(lb))
			want = append(want, lb)
		}
		sender.Wake()
		synctest.Wait()
		outbox.add("big short", active("big short"))
		outbox.add("other", active("other"))
		sender.Wake()
		if got := agent.names(); !slices.Equal(got, append(want, "other")) {
			t.Fatalf("with the agent are %v, want half of the places for one, and the other", got)
		}
		agent.answer(t, "big3")
		want[3] = "big short"
		slices.Sort(want)
		if got := agent.names(); !slices.Equal(got, append(want, "other")) {
			t.Fatalf("with the agent are %v, want the short one in the place of a part", got)
		}
		agent.answer(t, "big short")
		if got := agent.names(); !slices.Contains(got, "big3") {
			t.Errorf("with the agent are %v, want the next part", got)
		}
	})
}

// claims are the rights to send.
type claims struct {
	*fakeOutbox
	mu    sync.Mutex
	owner map[string]string
}

func (c *claims) AcquireSending(_ context.Context, lb, owner string, _ time.Duration) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owner[lb] == "" {
		c.owner[lb] = owner
	}
	return c.owner[lb] == owner, nil
}

func (c *claims) ReleaseSending(_ context.Context, lb, owner string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owner[lb] == owner {
		delete(c.owner, lb)
	}
	return nil
}

// Of two replicas one sends a message; when it is lost to the other in between, it sends no further part of it.
func TestReplicasDoNotSendTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := &claims{fakeOutbox: &fakeOutbox{}, owner: map[string]string{}}
		agents := []*steps{{}, {}}
		senders := sending(t, outbox, agents...)
		outbox.add("a", long("a"))
		senders[0].Wake()
		synctest.Wait()
		senders[1].Wake()
		time.Sleep(10 * time.Second) // many looks of both
		if first, second := agents[0].names(), agents[1].names(); len(first) != 1 || len(second) != 0 {
			t.Fatalf("with the agents are %v and %v", first, second)
		}
		// The first one stands still for long enough, and the second one takes over.
		outbox.mu.Lock()
		outbox.owner["a"] = "1"
		outbox.mu.Unlock()
		time.Sleep(20 * time.Second)
		if second := agents[1].names(); len(second) != 1 {
			t.Fatalf("nobody has taken over: %v", second)
		}
		agents[0].answer(t, "a")
		time.Sleep(10 * time.Second)
		if first := agents[0].names(); len(first) != 0 {
			t.Errorf("the first one goes on: %v", first)
		}
		for range 3 {
			agents[1].names()
			agents[1].answer(t, "a")
		}
		synctest.Wait()
		if left := outbox.left(); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	})
}
