package amphora_test

import (
	"context"
	"slices"
	"strconv"
	"testing"

	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
	"github.com/octavia-envoy/octavia-envoy/driver/amphora/amphoratest"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

func counted(epoch string) *agentapiv1.Report {
	return &agentapiv1.Report{Content: &agentapiv1.Report_Statistics{Statistics: &agentapiv1.StatisticsReport{Epoch: epoch}}}
}

func beat(sequence uint64) *agentapiv1.Report {
	return &agentapiv1.Report{Content: &agentapiv1.Report_Heartbeat{Heartbeat: &agentapiv1.Heartbeat{Sequence: sequence}}}
}

func say(t *testing.T, to stream, reports ...*agentapiv1.Report) {
	t.Helper()
	for _, report := range reports {
		if err := to.Send(report); err != nil {
			t.Fatal(err)
		}
	}
}

func acknowledged(t *testing.T, by stream, sequence uint64) {
	t.Helper()
	for {
		instruction, err := by.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if instruction.GetAcknowledge() != nil && instruction.GetAcknowledge().GetSequence() == sequence {
			return
		}
	}
}

// TestHooksHearInOrder also shows what an acknowledgement means: that everything before it has been handed over.
func TestHooksHearInOrder(t *testing.T) {
	c := amphoratest.New(t)
	var heard []string // not locked: the calls for one amphora follow each other, and so does the acknowledgement
	c.FleetOptions.Statistics = func(ctx context.Context, of model.Amphora, report *agentapiv1.StatisticsReport) {
		if ctx.Err() != nil || of.LoadBalancerID == "" {
			t.Error("the hook has no context, or no amphora")
		}
		heard = append(heard, report.GetEpoch())
	}
	c.FleetOptions.Health = func(_ context.Context, of model.Amphora, report *agentapiv1.HealthReport) {
		heard = append(heard, of.ID+strconv.FormatBool(report.GetWhole()))
	}
	c.Start()
	row := put(t, c)
	agent := greet(t, dial(t, c, issue(t, c, row.ID)), row.ID, row.LoadBalancerID)
	say(t, agent, counted("1"), &agentapiv1.Report{Content: &agentapiv1.Report_Health{
		Health: &agentapiv1.HealthReport{Whole: true},
	}}, counted("2"), beat(7))
	acknowledged(t, agent, 7)
	if want := []string{"1", row.ID + "true", "2"}; !slices.Equal(heard, want) {
		t.Errorf("heard %q, want %q", heard, want)
	}
}

// TestOlderStreamIsNotHeardAfterANewer: an older count after a newer one would look like counters that began again.
func TestOlderStreamIsNotHeardAfterANewer(t *testing.T) {
	c := amphoratest.New(t)
	entered, proceed := make(chan string, 8), make(chan struct{})
	c.FleetOptions.Statistics = func(_ context.Context, _ model.Amphora, report *agentapiv1.StatisticsReport) {
		entered <- report.GetEpoch()
		<-proceed
	}
	c.Start()
	row := put(t, c)
	client := dial(t, c, issue(t, c, row.ID))
	older := greet(t, client, row.ID, row.LoadBalancerID)
	say(t, older, counted("old 1"), counted("old 2"))
	if got := <-entered; got != "old 1" {
		t.Fatal(got)
	}
	newer := greet(t, client, row.ID, row.LoadBalancerID)
	acknowledged(t, newer, 0)
	say(t, newer, counted("new"), beat(1))
	select {
	case got := <-entered:
		t.Fatalf("%q is heard while the hook is still busy", got)
	default:
	}
	close(proceed)
	acknowledged(t, newer, 1)
	if got := <-entered; got != "new" || len(entered) > 0 {
		t.Errorf("after the newer stream has begun, %q is heard, and %d more", got, len(entered))
	}
}
