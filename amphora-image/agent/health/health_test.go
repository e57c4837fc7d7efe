package health

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/envoyadmin"
	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
)

const (
	up        = agentapiv1.MemberHealth_UP
	down      = agentapiv1.MemberHealth_DOWN
	unchecked = agentapiv1.MemberHealth_UNCHECKED
)

func line(what string) string {
	return `{"health_checker_type":"TCP","cluster_name":"c","timestamp":"2026-11-23T19:17:17.647Z",` + what +
		`,"metadata":{"filter_metadata":{"octavia":{"pool":"p","member":"m"}},"typed_filter_metadata":{}}}`
}

func TestEvents(t *testing.T) {
	for text, want := range map[string]condition{
		line(`"add_healthy_event":{"first_check":false}`):                                  {state: up},
		line(`"eject_unhealthy_event":{"failure_type":"NETWORK_TIMEOUT"}`):                 {down, "NETWORK_TIMEOUT"},
		line(`"health_check_failure_event":{"failure_type":"ACTIVE","first_check":true}`):  {down, "ACTIVE"},
		line(`"health_check_failure_event":{"failure_type":"ACTIVE","first_check":false}`): {},
		line(`"degraded_healthy_host":{}`):                                                 {},
		strings.ReplaceAll(line(`"add_healthy_event":{}`), `"octavia"`, `"other"`):         {},
		strings.ReplaceAll(line(`"add_healthy_event":{}`), `"member":"m"`, `"member":7`):   {},
		`{"cluster_name":"c","add_healthy_event":{}}`:                                      {},
	} {
		at, got, is, err := parse([]byte(text))
		if err != nil || got != want && is || is != (want != condition{}) || is && at != (place{"c", "p", "m"}) {
			t.Errorf("%s: %v %v %v %v, want %v", text, at, got, is, err, want)
		}
	}
	if _, _, _, err := parse([]byte("half a li")); err == nil {
		t.Error("half a line is taken")
	}
}

func TestCondition(t *testing.T) {
	for name, test := range map[string]struct {
		host  envoyadmin.Host
		last  condition
		whole bool
		want  condition
	}{
		"good":                      {envoyadmin.Host{}, condition{down, "ACTIVE"}, true, condition{state: up}},
		"failed":                    {envoyadmin.Host{FailedCheck: true}, condition{down, "ACTIVE"}, true, condition{down, "ACTIVE"}},
		"not checked":               {envoyadmin.Host{FailedCheck: true}, condition{}, true, condition{state: unchecked}},
		"checked anew":              {envoyadmin.Host{FailedCheck: true}, condition{state: up}, true, condition{state: unchecked}},
		"failed, and who knows why": {envoyadmin.Host{FailedCheck: true}, condition{}, false, condition{state: down}},
		"timed out":                 {envoyadmin.Host{FailedCheck: true, CheckTimedOut: true}, condition{}, false, condition{down, "NETWORK_TIMEOUT"}},
		"pending":                   {envoyadmin.Host{FailedCheck: true, PendingCheck: true}, condition{}, false, condition{state: unchecked}},
		"ejected for its answers":   {envoyadmin.Host{Failed: true}, condition{}, true, condition{state: up}},
	} {
		w := &Watcher{tail: tail{whole: test.whole}}
		if got := w.condition(&test.host, test.last); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var got []string
	one := &tail{path: path, max: 100, whole: true}
	t.Cleanup(one.close)
	look := func(of *tail, cut bool, want ...string) {
		t.Helper()
		got = nil
		is, err := of.read(func(line []byte) { got = append(got, string(line)) })
		if err != nil || is != cut || strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("read %q, emptied %v, %v; want %q", got, is, err, want)
		}
	}
	look(one, false) // there is no log
	envoy, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer envoy.Close()
	write := func(text string) {
		t.Helper()
		if _, err := envoy.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	write("a\nb")
	look(one, false, "a")
	write("c\n\n")
	look(one, false, "bc")
	write(strings.Repeat("x", 120) + "\n")
	look(one, true, strings.Repeat("x", 120))
	if info, err := os.Stat(path); err != nil || info.Size() != int64(len(mark))+1 {
		t.Errorf("%v %v", info, err)
	}
	write("d\n")
	look(one, false, "d")
	if one.whole {
		t.Error("it does not know that something is missing")
	}

	next := &tail{path: path, max: 100, whole: true}
	t.Cleanup(next.close)
	look(next, false, "d")
	if next.whole {
		t.Error("the next agent does not know that something is missing")
	}
	if err := next.restart(); err != nil {
		t.Fatal(err)
	}
	write("e\n")
	look(next, false, "e")
	if !next.whole {
		t.Error("nothing is missing since Envoy was started")
	}

	if err := next.restart(); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		write(fmt.Sprintf("%09d\n", i))
	}
	late := &tail{path: path, max: 100, whole: true}
	t.Cleanup(late.close)
	got = nil
	if cut, err := late.read(func(line []byte) { got = append(got, string(line)) }); err != nil || !cut || len(got) != 10 || late.whole {
		t.Errorf("of a log that grew without an agent: %q, %v, %v", got, cut, err)
	}
}

func said(t *testing.T, tracker *Tracker) string {
	t.Helper()
	report := tracker.Next()
	if report == nil {
		return ""
	}
	words := []string{strconv.FormatBool(report.GetWhole())}
	for _, member := range report.GetMembers() {
		words = append(words, strings.TrimSpace(fmt.Sprintf("%s/%s %s %s", member.GetPoolId(), member.GetMemberId(), member.GetState(), member.GetFailure())))
	}
	for _, listener := range report.GetListeners() {
		words = append(words, fmt.Sprintf("%s %v", listener.GetListenerId(), listener.GetFull()))
	}
	return strings.Join(words, ", ")
}

func TestTrackerSaysWhatChanged(t *testing.T) {
	now := time.Unix(1000, 0)
	tracker := newTracker(time.Minute, func() time.Time { return now })
	a, b := place{"c1", "p", "m1"}, place{"c2", "p", "m1"}
	is := func(want string) {
		t.Helper()
		if got := said(t, tracker); got != want {
			t.Errorf("said %q, want %q", got, want)
		}
	}
	tracker.Greet()
	tracker.set(a, condition{state: up})
	tracker.Listeners(map[string]bool{"l": false})
	is("") // not everything is known
	tracker.replace(map[place]condition{a: {state: up}, b: {state: up}})
	is("true, p/m1 UP, l false")
	is("")
	tracker.set(b, condition{down, "ACTIVE"})
	tracker.set(a, condition{state: unchecked})
	is("false, p/m1 DOWN ACTIVE")
	tracker.set(b, condition{state: up})
	is("false, p/m1 UNCHECKED")
	tracker.Listeners(map[string]bool{"l": true})
	is("false, l true")
	tracker.replace(map[place]condition{a: {state: up}, b: {state: up}, {"c1", "p", "m2"}: {down, "NETWORK"}})
	is("false, p/m1 UP, p/m2 DOWN NETWORK")
	tracker.replace(map[place]condition{a: {state: up}})
	is("true, p/m1 UP, l true") // only the whole can say that one is gone
	tracker.Listeners(map[string]bool{})
	is("true, p/m1 UP")
	now = now.Add(time.Minute)
	is("true, p/m1 UP")
	is("")
	tracker.forget() // another Envoy
	tracker.set(a, condition{down, "NETWORK"})
	tracker.Greet()
	is("")
	tracker.replace(map[place]condition{a: {down, "NETWORK"}})
	is("true, p/m1 DOWN NETWORK")
}

// TestSlowReaderGetsTheNewest has 1,000 members change ten times before somebody takes it.
func TestSlowReaderGetsTheNewest(t *testing.T) {
	tracker := newTracker(time.Hour, time.Now)
	tracker.replace(map[place]condition{})
	_ = tracker.Next()
	for round := range 10 {
		for i := range 1000 {
			state := up
			if (round+i)%2 == 0 {
				state = down
			}
			tracker.set(place{"c", "p", fmt.Sprintf("m%04d", i)}, condition{state: state})
		}
	}
	report := tracker.Next()
	if len(report.GetMembers()) != 1000 || report.GetMembers()[0].GetState() != up || report.GetMembers()[1].GetState() != down {
		t.Errorf("%d members, first %v", len(report.GetMembers()), report.GetMembers()[:2])
	}
	if len(tracker.Wake()) != 1 || tracker.Next() != nil {
		t.Error("more than the newest waits")
	}
}
