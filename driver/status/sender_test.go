package status_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
)

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

// TestSenderLeavesOutWhatIsNotThere: of a message it sends the rest.
func TestSenderLeavesOutWhatIsNotThere(t *testing.T) {
	for name, c := range map[string]struct {
		kind  model.Kind
		fault string
	}{
		"gone": {model.KindListener, "Listener one not found."},
		// A long deletion whose answer came too late goes on in the agent, and the second attempt meets it.
		"being deleted": {model.KindMember, "No row was found when one was required"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, b *bench) {
				b.agent.refuse = func(update model.StatusUpdate) error {
					if records := *update.Records(c.kind); len(records) > 0 && records[0].ID == "one" {
						return &status.RecordError{Kind: c.kind, ID: "one", Fault: c.fault}
					}
					return nil
				}
				b.outbox.add(lbID, update(c.kind, "one", "other"))
				b.sender.Wake()
				b.expect(t, lbID+" ACTIVE ONLINE, other ACTIVE -")
				b.expectEmpty(t)
			})
		})
	}
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
