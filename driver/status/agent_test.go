package status_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
)

const lbID = "11111111-1111-1111-1111-111111111111"

func active(id string) model.StatusUpdate {
	return model.StatusUpdate{LoadBalancers: []model.ObjectStatus{{
		ID: id, ProvisioningStatus: model.ProvisioningActive, OperatingStatus: model.OperatingOnline,
	}}}
}

func TestUpdateSendsOneFrameOfRecords(t *testing.T) {
	fake := newFakeAgent(t, answers(`{"status_code": 200}`))
	if err := fake.client().Update(t.Context(), active(lbID)); err != nil {
		t.Fatal(err)
	}
	want := []map[string]any{{"loadbalancers": []any{map[string]any{
		"id": lbID, "provisioning_status": "ACTIVE", "operating_status": "ONLINE",
	}}}}
	if diff := cmp.Diff(want, fake.seen()); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestEmptyUpdateDoesNotConnect(t *testing.T) {
	client := &status.Agent{StatusSocket: "/nonexistent", StatsSocket: "/nonexistent"}
	if err := client.Update(t.Context(), model.StatusUpdate{}); err != nil {
		t.Error(err)
	}
	if err := client.Statistics(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

func TestUpdateNamesTheRefusedRecord(t *testing.T) {
	fake := newFakeAgent(t, answers(`{"status_code": 500, "fault_string": "Listener x not found.",`+
		` "status_object": "l7policies", "status_object_id": "p1"}`))
	err := fake.client().Update(t.Context(), active(lbID))
	var refused *status.RecordError
	if !errors.As(err, &refused) {
		t.Fatalf("got %v, want a RecordError", err)
	}
	want := &status.RecordError{Kind: model.KindL7Policy, ID: "p1", Fault: "Listener x not found."}
	if diff := cmp.Diff(want, refused); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestUpdateRefusedAsAWhole(t *testing.T) {
	fake := newFakeAgent(t, answers(`{"status_code": 500, "fault_string": "no database"}`))
	err := fake.client().Update(t.Context(), active(lbID))
	var refused *status.RecordError
	if err == nil || errors.As(err, &refused) || !strings.Contains(err.Error(), "no database") {
		t.Errorf("got %v", err)
	}
}

func TestBarrierWritesOnlyTheOperatingStatus(t *testing.T) {
	for current, want := range map[model.OperatingStatus]string{
		model.OperatingDegraded: "DEGRADED",
		// Without an operating status the agent would write nothing, and so wait for nothing.
		"": "OFFLINE",
	} {
		fake := newFakeAgent(t, answers(`{"status_code": 200}`))
		if err := fake.client().Barrier(t.Context(), lbID, current); err != nil {
			t.Fatal(err)
		}
		request := []map[string]any{{"loadbalancers": []any{map[string]any{"id": lbID, "operating_status": want}}}}
		if diff := cmp.Diff(request, fake.seen()); diff != "" {
			t.Errorf("request (-want +got):\n%s", diff)
		}
	}
}

func TestStatistics(t *testing.T) {
	fake := newFakeAgent(t, answers(`{"status_code": 200}`))
	err := fake.client().Statistics(t.Context(), []status.ListenerStatistics{{ID: "l", BytesIn: 2}})
	if err != nil {
		t.Fatal(err)
	}
	// All five are required, zeros too.
	want := []map[string]any{{"listeners": []any{map[string]any{
		"id": "l", "active_connections": 0.0, "bytes_in": 2.0, "bytes_out": 0.0, "request_errors": 0.0, "total_connections": 0.0,
	}}}}
	if diff := cmp.Diff(want, fake.seen()); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	refusing := newFakeAgent(t, answers(`{"status_code": 500, "fault_string": "'bytes_in'", "stats_object": "listeners"}`))
	err = refusing.client().Statistics(t.Context(), []status.ListenerStatistics{{ID: "l"}})
	if err == nil || !strings.Contains(err.Error(), "'bytes_in'") {
		t.Errorf("got %v", err)
	}
}

// TestLoadBalancer decodes an answer of a real driver-agent (Octavia 19), cut into single bytes on the way.
func TestLoadBalancer(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "loadbalancer.json"))
	if err != nil {
		t.Fatal(err)
	}
	fake := newFakeAgent(t, func(conn net.Conn, _ map[string]any) {
		for _, char := range frame(string(raw)) {
			if _, err := conn.Write([]byte{char}); err != nil {
				return
			}
		}
	})
	lb, err := fake.client().LoadBalancer(t.Context(), lbID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]map[string]any{{"object": "loadbalancers", "id": lbID}}, fake.seen()); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	// In the order of their ids, which is not that of the answer.
	pool, listener := lb.Pools[0], lb.Listeners[1]
	got := fmt.Sprintln(lb.Name, len(lb.Listeners), len(lb.Pools), len(listener.L7Policies[0].Rules),
		pool.Members[1].Weight, pool.HealthMonitor.HTTPVersion, pool.SessionPersistence.CookieName,
		listener.InsertHeaders["X-Forwarded-For"], listener.DefaultPoolID == pool.ID)
	if want := "st-a 2 2 1 0 1.1 c true true\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestReadErrors(t *testing.T) {
	const secret = "-----BEGIN PRIVATE KEY-----"
	write := func(raw string) func(net.Conn, map[string]any) {
		return func(conn net.Conn, _ map[string]any) { _, _ = conn.Write([]byte(raw)) }
	}
	tests := map[string]struct {
		answer func(net.Conn, map[string]any)
		is     error
		text   string
	}{
		"unknown":             {answers(`{}`), status.ErrGone, lbID},
		"unknown, spaced":     {answers(" {}\n"), status.ErrGone, lbID},
		"unreadable cert":     {write(""), status.ErrNoAnswer, "certificate"},
		"no length":           {write("HTTP/1.1 400 " + secret), nil, "is this the driver-agent's socket"},
		"no digits":           {write("\n{}"), nil, "is this the driver-agent's socket"},
		"too long a length":   {write("11111111111111\n"), nil, "is this the driver-agent's socket"},
		"too large":           {write("268435457\n"), nil, "the limit is"},
		"cut length":          {write("12"), nil, "unexpected EOF"},
		"cut payload":         {write("100\n{\"x\":\"" + secret), nil, "unexpected EOF"},
		"no JSON":             {answers(secret), nil, "decode loadbalancer"},
		"wrong type":          {answers(`{"name": {"x": "` + secret + `"}}`), nil, "decode loadbalancer"},
		"huge length, no end": {write("268435456\n" + secret), nil, "unexpected EOF"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := newFakeAgent(t, test.answer).client().LoadBalancer(t.Context(), lbID)
			if err == nil || !strings.Contains(err.Error(), test.text) {
				t.Fatalf("got %v, want %q in it", err, test.text)
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("%v is not %v", err, test.is)
			}
			if strings.Contains(err.Error(), "BEGIN") {
				t.Errorf("the error quotes the answer: %v", err)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing.sock")
	client := &status.Agent{StatusSocket: missing, GetSocket: missing}
	if err := client.Update(t.Context(), active(lbID)); !errors.Is(err, status.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
	if _, err := client.LoadBalancer(t.Context(), lbID); !errors.Is(err, status.ErrUnreachable) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestCancelledBeforeSendingDoesNotConnect(t *testing.T) {
	fake := newFakeAgent(t, answers(`{"status_code": 200}`))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := fake.client().Update(ctx, active(lbID)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if seen := fake.seen(); len(seen) > 0 {
		t.Errorf("sent %v", seen)
	}
}

// TestCancelledWhileWaiting ends the wait, and only after the whole frame was sent: the fake complains otherwise.
func TestCancelledWhileWaiting(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	fake := newFakeAgent(t, func(conn net.Conn, _ map[string]any) {
		cancel()
		// Returns when the client is gone.
		_, _ = conn.Read(make([]byte, 1))
	})
	// Larger than the socket's buffers, so that the frame takes more than one step.
	update := model.StatusUpdate{}
	for range 20000 {
		update.Members = append(update.Members, model.ObjectStatus{ID: lbID, ProvisioningStatus: model.ProvisioningActive})
	}
	client := fake.client()
	client.Timeout = time.Hour
	if err := client.Update(ctx, update); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if seen := fake.seen(); len(seen) != 1 || len(seen[0]["members"].([]any)) != 20000 {
		t.Error("the frame did not come whole")
	}
}

func TestSlowAgent(t *testing.T) {
	fake := newFakeAgent(t, func(conn net.Conn, _ map[string]any) { _, _ = conn.Read(make([]byte, 1)) })
	client := fake.client()
	client.Timeout = 20 * time.Millisecond
	err := client.Update(t.Context(), active(lbID))
	if !errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, status.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}

// TestFullBacklog: the agent listens with a backlog of five, and a unix socket refuses at once when it is full.
func TestFullBacklog(t *testing.T) {
	socket, accept := smallBacklog(t)
	client := &status.Agent{StatusSocket: socket}
	results := make(chan error, 8)
	for range cap(results) {
		go func() { results <- client.Update(t.Context(), active(lbID)) }()
	}
	// Nobody accepts: all but the few that fit into the backlog have to wait, and none may give up.
	select {
	case err := <-results:
		t.Fatalf("gave up: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	accept(cap(results))
	for range cap(results) {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestLoadBalancerOf(t *testing.T) {
	objects := map[string]string{
		"listeners/l":      `{"listener_id": "l", "loadbalancer_id": "lb"}`,
		"pools/p":          `{"pool_id": "p", "loadbalancer_id": "lb", "listener_id": "l"}`,
		"members/m":        `{"member_id": "m", "pool_id": "p"}`,
		"healthmonitors/h": `{"healthmonitor_id": "h", "pool_id": "p"}`,
		"l7policies/q":     `{"l7policy_id": "q", "listener_id": "l"}`,
		"l7rules/r":        `{"l7rule_id": "r", "l7policy_id": "q"}`,
		"pools/stray":      `{"pool_id": "stray", "loadbalancer_id": null}`,
	}
	fake := newFakeAgent(t, func(conn net.Conn, request map[string]any) {
		object, ok := objects[fmt.Sprintf("%s/%s", request["object"], request["id"])]
		if !ok {
			object = "{}"
		}
		_, _ = conn.Write(frame(object))
	})
	tests := []struct {
		kind       model.Kind
		id, parent string
		want, fail string
	}{
		{model.KindLoadBalancer, "lb", "", "lb", ""},
		{model.KindListener, "l", "", "lb", ""},
		{model.KindListener, "new", "lb", "lb", ""},
		{model.KindPool, "p", "", "lb", ""},
		{model.KindMember, "m", "", "lb", ""},
		{model.KindMember, "new", "p", "lb", ""},
		{model.KindHealthMonitor, "h", "", "lb", ""},
		{model.KindL7Policy, "q", "", "lb", ""},
		{model.KindL7Rule, "r", "", "lb", ""},
		{model.KindL7Rule, "new", "q", "lb", ""},
		{model.KindMember, "unknown", "", "", "does not have"},
		{model.KindPool, "stray", "", "", "has no loadbalancer"},
		{"amphora", "a", "", "", "no kind"},
	}
	for _, test := range tests {
		t.Run(string(test.kind)+" "+test.id, func(t *testing.T) {
			got, err := fake.client().LoadBalancerOf(t.Context(), model.Ref{Kind: test.kind, ID: test.id}, test.parent)
			if got != test.want || (err == nil) != (test.fail == "") {
				t.Fatalf("got %q, %v", got, err)
			}
			if err != nil && !strings.Contains(err.Error(), test.fail) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A large answer is decoded against the one before: what is read is what the agent says now, whoever has changed what was read before.
func TestLoadBalancerAgain(t *testing.T) {
	tree := &model.LoadBalancer{ID: lbID, Pools: []model.Pool{{ID: "pool"}}}
	for i := range 1000 {
		tree.Pools[0].Members = append(tree.Pools[0].Members, model.Member{ID: fmt.Sprintf("member-%03d", i), Weight: 1})
	}
	var text atomic.Value
	answer := func() {
		t.Helper()
		body, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		text.Store(string(body))
	}
	client := newFakeAgent(t, func(conn net.Conn, _ map[string]any) {
		body, _ := text.Load().(string)
		_, _ = conn.Write([]byte(frame(body)))
	}).client()
	for step, change := range []func(){
		func() {},
		func() { tree.Pools[0].Members[7].Weight = 2 },
		func() { tree.Pools[0].Members = tree.Pools[0].Members[1:] },
		func() { tree.Pools[0].Members = tree.Pools[0].Members[:2] }, // small
		func() {
			tree.Pools[0].Members = append(tree.Pools[0].Members, model.Member{ID: strings.Repeat("x", 1<<16)})
		},
		func() {},
	} {
		change()
		answer()
		got, err := client.LoadBalancer(t.Context(), lbID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tree, got); diff != "" {
			t.Errorf("step %d (-want +got):\n%s", step, diff)
		}
		clear(got.Pools[0].Members)
	}
}
