package health

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func member(id string, state agentapiv1.MemberHealth_State, failure string) *agentapiv1.MemberHealth {
	return &agentapiv1.MemberHealth{PoolId: "p", MemberId: id, State: state, Failure: failure}
}

func report(whole bool, members ...*agentapiv1.MemberHealth) *news {
	return newNews(&agentapiv1.HealthReport{Whole: whole, Members: members})
}

func TestNewsIsApplied(t *testing.T) {
	view := &status.View{}
	is := func(state status.MemberState, failure string, since int) status.MemberView {
		return status.MemberView{PoolID: "p", State: state, Failure: failure, Since: noon.Add(time.Duration(since) * time.Minute)}
	}
	for minute, step := range []struct {
		news    *news
		changes int
		members map[string]status.MemberView
	}{
		0: {
			report(true, member("a", agentapiv1.MemberHealth_UP, ""), member("b", 0, "")), 2,
			map[string]status.MemberView{"a": is(status.MemberUp, "", 0), "b": is(status.MemberUnchecked, "", 0)},
		},
		1: {
			report(false, member("a", agentapiv1.MemberHealth_DOWN, "NETWORK")), 1,
			map[string]status.MemberView{"a": is(status.MemberDown, "NETWORK", 1), "b": is(status.MemberUnchecked, "", 0)},
		},
		2: {
			report(false), 0,
			map[string]status.MemberView{"a": is(status.MemberDown, "NETWORK", 1), "b": is(status.MemberUnchecked, "", 0)},
		},
		// The agent was started anew and does not know why.
		3: {
			report(true, member("a", agentapiv1.MemberHealth_DOWN, "")), 1,
			map[string]status.MemberView{"a": is(status.MemberDown, "NETWORK", 1)},
		},
		4: {
			report(false, member("a", agentapiv1.MemberHealth_DOWN, "ACTIVE")), 1,
			map[string]status.MemberView{"a": is(status.MemberDown, "ACTIVE", 1)},
		},
		5: {
			report(false, member("a", agentapiv1.MemberHealth_UP, "")), 1,
			map[string]status.MemberView{"a": is(status.MemberUp, "", 5)},
		},
	} {
		if changes := step.news.apply(view, noon.Add(time.Duration(minute)*time.Minute)); changes != step.changes {
			t.Errorf("step %d: %d changes, want %d", minute, changes, step.changes)
		}
		if diff := cmp.Diff(step.members, view.Members); diff != "" {
			t.Errorf("step %d (-want +got):\n%s", minute, diff)
		}
	}
}

func TestListenersAreApplied(t *testing.T) {
	view := &status.View{}
	listeners := func(whole bool, listeners ...*agentapiv1.ListenerHealth) *news {
		return newNews(&agentapiv1.HealthReport{Whole: whole, Listeners: listeners})
	}
	empty, full := &agentapiv1.ListenerHealth{ListenerId: "l"}, &agentapiv1.ListenerHealth{ListenerId: "l", Full: true}
	for i, step := range []struct {
		news    *news
		changes int
		want    map[string]status.ListenerView
	}{
		{listeners(true, empty), 1, map[string]status.ListenerView{"l": {}}},
		{listeners(false, full), 1, map[string]status.ListenerView{"l": {Full: true}}},
		{listeners(true, full), 0, map[string]status.ListenerView{"l": {Full: true}}},
		{listeners(true), 1, map[string]status.ListenerView{}},
	} {
		if changes := step.news.apply(view, noon); changes != step.changes {
			t.Errorf("step %d: %d changes, want %d", i, changes, step.changes)
		}
		if diff := cmp.Diff(step.want, view.Listeners); diff != "" {
			t.Errorf("step %d (-want +got):\n%s", i, diff)
		}
	}
}

// TestNewsCoalesces compares reports one by one with all of them at once.
func TestNewsCoalesces(t *testing.T) {
	up, down := agentapiv1.MemberHealth_UP, agentapiv1.MemberHealth_DOWN
	sequences := map[string]struct {
		reports    []*agentapiv1.HealthReport
		superseded int
	}{
		"changes": {[]*agentapiv1.HealthReport{
			{Members: []*agentapiv1.MemberHealth{member("a", down, "x"), member("b", down, "x")}},
			{Members: []*agentapiv1.MemberHealth{member("a", up, "")}, Listeners: []*agentapiv1.ListenerHealth{{ListenerId: "l", Full: true}}},
			{Members: []*agentapiv1.MemberHealth{member("a", down, "y")}, Listeners: []*agentapiv1.ListenerHealth{{ListenerId: "l"}}},
		}, 3},
		"a whole comes last": {[]*agentapiv1.HealthReport{
			{Members: []*agentapiv1.MemberHealth{member("a", down, "x"), member("b", down, "x")}},
			{Whole: true, Members: []*agentapiv1.MemberHealth{member("b", down, "x")}},
		}, 0},
		"a whole comes first": {[]*agentapiv1.HealthReport{
			{Whole: true, Members: []*agentapiv1.MemberHealth{member("b", up, "")}},
			{Members: []*agentapiv1.MemberHealth{member("a", up, ""), member("b", down, "x")}},
		}, 1},
	}
	for name, sequence := range sequences {
		t.Run(name, func(t *testing.T) {
			start := func() *status.View {
				return &status.View{Members: map[string]status.MemberView{"old": {State: status.MemberUp}}, Listeners: map[string]status.ListenerView{"o": {}}}
			}
			one, all := start(), start()
			waiting, superseded := &pending{}, 0
			for _, report := range sequence.reports {
				newNews(report).apply(one, noon)
				superseded += waiting.add("amphora", newNews(report))
			}
			waiting.amphorae["amphora"].apply(all, noon)
			if diff := cmp.Diff(one, all); diff != "" {
				t.Errorf("(-one by one +at once):\n%s", diff)
			}
			if superseded != sequence.superseded {
				t.Errorf("%d superseded, want %d", superseded, sequence.superseded)
			}
		})
	}
}

func TestLongFailureIsCut(t *testing.T) {
	cut := report(false, member("a", agentapiv1.MemberHealth_DOWN, strings.Repeat("x", 1<<20))).members["a"]
	if len(cut.Failure) != maxFailure {
		t.Errorf("%d bytes are kept", len(cut.Failure))
	}
}

func TestPause(t *testing.T) {
	for _, test := range []struct {
		before, silence time.Duration
		members         int
		want            time.Duration
	}{
		{0, time.Hour, 1, firstPause},
		{firstPause, firstPause, 1, 1500 * time.Millisecond},
		{firstPause, 2500 * time.Millisecond, 1, firstPause},
		{firstPause, time.Hour, 500, 5 * time.Second},
		{4 * time.Second, 7 * time.Second, 1, 5 * time.Second},
		{4 * time.Second, 10 * time.Second, 1, 4 * time.Second},
		{4 * time.Second, 16 * time.Second, 1, 2 * time.Second},
		{8 * time.Second, 8 * time.Second, 1, lastPause},
		{lastPause, lastPause, 10_000, lastPause},
		{lastPause, 40 * time.Second, 1, 5 * time.Second},
		{lastPause, time.Minute, 1, firstPause},
	} {
		if got := pause(test.before, test.silence, test.members); got != test.want {
			t.Errorf("pause(%v, %v, %d) = %v, want %v", test.before, test.silence, test.members, got, test.want)
		}
	}
}

// However long they go on, changes that come one by one are each said at once; those that come faster are not.
func TestPauseOfChangesOneByOne(t *testing.T) {
	for apart, want := range map[time.Duration]time.Duration{
		time.Second / 10: lastPause, 2 * time.Second: lastPause,
		3 * time.Second: firstPause, 5 * time.Second: firstPause, 10 * time.Second: firstPause,
	} {
		last := firstPause
		for range 100 {
			last = pause(last, max(apart, last), 1)
		}
		if last != want {
			t.Errorf("a hundred changes, %v apart, have brought a pause of %v", apart, last)
		}
	}
}
